// A client and a name server that exchange messages, seen as payload samples by the tracker under test.
#ifndef KNP_TESTS_SUPPORT_DNS_SAMPLES_H_
#define KNP_TESTS_SUPPORT_DNS_SAMPLES_H_

#include <netinet/in.h>

#include <utility>
#include <vector>

#include "src/dns/tracker.h"
#include "tests/support/dns_bytes.h"

namespace knp::testing {

inline constexpr std::uint64_t kMs = 1'000'000, kS = 1'000'000'000;

// 10.0.0.`host` asks 10.0.0.53.
inline FlowTuple DnsClient(std::uint8_t host = 1, std::uint8_t protocol = IPPROTO_UDP, std::uint16_t port = 40000,
                           std::uint16_t server_port = 53) {
  FlowTuple tuple;
  tuple.source = {10, 0, 0, host};
  tuple.destination = {10, 0, 0, 53};
  tuple.source_port = port;
  tuple.destination_port = server_port;
  tuple.protocol = protocol;
  return tuple;
}

inline FlowTuple Backwards(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

inline IpAddress Ip(const char* text) { return *ParseIpAddress(text); }

struct DnsWatch {
  explicit DnsWatch(dns::Tracker::Options options = {})
      : tracker(options, [this](const dns::Completion& completion) { completions.push_back(completion); }) {}

  // A whole message in a packet by itself.
  void See(const FlowTuple& tuple, const Bytes& bytes, std::uint64_t mono_ns, std::uint64_t flow_id = 1,
           InterfaceId interface = 0, Direction direction = Direction::kEgress) {
    SeePart(tuple, bytes, bytes.size(), 0, mono_ns, flow_id, interface, direction);
  }
  // A part of a payload of `length` bytes, or a segment.
  void SeePart(const FlowTuple& tuple, const Bytes& bytes, std::size_t length, std::uint32_t sequence,
               std::uint64_t mono_ns, std::uint64_t flow_id = 1, InterfaceId interface = 0,
               Direction direction = Direction::kEgress) {
    PayloadSample sample;
    sample.tuple = tuple;
    sample.interface = interface;
    sample.direction = direction;
    sample.mono_ns = mono_ns;
    sample.sequence = sequence;
    sample.length = static_cast<std::uint32_t>(length);
    sample.data = bytes;
    tracker.OnPayload(sample, flow_id);
  }

  std::vector<dns::Completion> completions;
  dns::Tracker tracker;
};

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_DNS_SAMPLES_H_
