// DNS messages written down as data, for tests and as seeds of the fuzzer.
#ifndef KNP_TESTS_SUPPORT_DNS_BYTES_H_
#define KNP_TESTS_SUPPORT_DNS_BYTES_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/packet_bytes.h"

namespace knp::testing {

inline Bytes DnsLabel(std::string_view label) {
  Bytes bytes{static_cast<std::uint8_t>(label.size())};
  bytes.insert(bytes.end(), label.begin(), label.end());
  return bytes;
}

// "www.example.com": its labels without the root's.
inline Bytes DnsLabels(std::string_view name) {
  Bytes bytes;
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    bytes = Join({bytes, DnsLabel(name.substr(0, dot))});
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return bytes;
}

inline Bytes DnsName(std::string_view name) { return Join({DnsLabels(name), {0}}); }
inline Bytes DnsPointer(unsigned offset) { return Be16(0xc000 | offset); }

inline Bytes DnsHeader(unsigned id, unsigned flags, unsigned questions, unsigned answers, unsigned authorities = 0,
                       unsigned additionals = 0) {
  return Join({Be16(id), Be16(flags), Be16(questions), Be16(answers), Be16(authorities), Be16(additionals)});
}

inline Bytes DnsQuestion(std::string_view name, unsigned type) { return Join({DnsName(name), Be16(type), Be16(1)}); }

inline Bytes DnsRecord(const Bytes& owner, unsigned type, unsigned ttl_s, const Bytes& data) {
  return Join({owner, Be16(type), Be16(1), Be32(ttl_s), Be16(static_cast<unsigned>(data.size())), data});
}

inline Bytes DnsQuery(unsigned id, std::string_view name, unsigned type = 1) {
  return Join({DnsHeader(id, 0x0100, 1, 0), DnsQuestion(name, type)});
}

// An answer to DnsQuery with these records; their owner is at 12.
inline Bytes DnsResponse(unsigned id, std::string_view name, unsigned type, const std::vector<Bytes>& records,
                         unsigned flags = 0x8180) {
  Bytes bytes = Join({DnsHeader(id, flags, 1, static_cast<unsigned>(records.size())), DnsQuestion(name, type)});
  for (const Bytes& record : records) bytes = Join({bytes, record});
  return bytes;
}

inline Bytes DnsAddress(std::uint8_t last, unsigned ttl_s = 300) {
  return DnsRecord(DnsPointer(12), 1, ttl_s, {192, 0, 2, last});
}

struct DnsExample {
  std::string name;
  Bytes bytes;
};

// Well-formed messages of every kind that is taken apart.
inline std::vector<DnsExample> DnsExamples() {
  const Bytes owner = DnsPointer(12);
  const Bytes opt = Join({{0}, Be16(41), Be16(1232), Be32(0x01000000), Be16(0)});
  const Bytes https = Join({Be16(1),         {0},        Be16(1), Be16(6), DnsLabel("h3"), DnsLabel("h2"), Be16(3),
                            Be16(2),         Be16(8443), Be16(4), Be16(4), {192, 0, 2, 1}, Be16(6),        Be16(16),
                            Bytes(16, 0x20), Be16(2),    Be16(0), Be16(9), Be16(2),        {'x', 0xff}});
  return {
      {"query", DnsQuery(1, "www.Example.com")},
      {"query_edns", Join({DnsHeader(2, 0x0100, 1, 0, 0, 1), DnsQuestion("example.com", 28), opt})},
      {"a", DnsResponse(3, "www.example.com", 1, {DnsAddress(1), DnsAddress(2)})},
      {"aaaa", DnsResponse(4, "example.com", 28, {DnsRecord(owner, 28, 60, Bytes(16, 0x20))})},
      {"cname", DnsResponse(5, "www.example.com", 1,
                            {DnsRecord(owner, 5, 60, Join({DnsLabels("cdn"), DnsPointer(16)})),
                             DnsRecord(Join({DnsLabels("cdn"), DnsPointer(16)}), 1, 60, {192, 0, 2, 9})})},
      {"mx", DnsResponse(6, "example.com", 15, {DnsRecord(owner, 15, 60, Join({Be16(10), DnsLabels("mail"), owner}))})},
      {"txt", DnsResponse(7, "example.com", 16,
                          {DnsRecord(owner, 16, 60, Join({DnsLabel("v=spf1 -all"), DnsLabel("\"\x07")}))})},
      {"srv",
       DnsResponse(8, "_sip._tcp.example.com", 33,
                   {DnsRecord(owner, 33, 60, Join({Be16(1), Be16(2), Be16(5060), DnsName("sip.example.com")}))})},
      {"soa", DnsResponse(9, "example.com", 6,
                          {DnsRecord(owner, 6, 60,
                                     Join({DnsLabels("ns"), owner, DnsLabels("admin"), owner, Be32(2026), Be32(2),
                                           Be32(3), Be32(4), Be32(5)}))})},
      {"ptr", DnsResponse(10, "1.2.0.192.in-addr.arpa", 12, {DnsRecord(owner, 12, 60, DnsName("host.example.com"))})},
      {"https", DnsResponse(11, "example.com", 65, {DnsRecord(owner, 65, 60, https)})},
      {"caa",
       DnsResponse(12, "example.com", 257, {DnsRecord(owner, 257, 60, Join({{0}, DnsLabel("issue"), {'c', 'a'}}))})},
      {"unknown_type", DnsResponse(13, "example.com", 65280, {DnsRecord(owner, 65280, 60, {1, 2, 0xff})})},
      {"badvers", Join({DnsHeader(14, 0x8180, 1, 0, 0, 1), DnsQuestion("example.com", 1), opt})},
      {"nxdomain", Join({DnsHeader(15, 0x8183, 1, 0, 1, 0), DnsQuestion("none.example.com", 1),
                         DnsRecord(DnsPointer(17), 6, 60, Join({{0}, {0}, Bytes(20, 1)}))})},
      {"root", DnsResponse(16, "", 2, {DnsRecord({0}, 2, 60, DnsName("a.root-servers.net"))})},
      {"mdns", Join({DnsHeader(0, 0x8400, 0, 1), DnsRecord(DnsName("printer.local"), 1, 120, {192, 0, 2, 7})})},
  };
}

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_DNS_BYTES_H_
