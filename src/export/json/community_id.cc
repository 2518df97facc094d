// See community_id.h.
#include "src/export/json/community_id.h"

#include <netinet/in.h>
#include <openssl/evp.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace knp::json {
namespace {

// An ICMP message and what answers it stand for the ports; without an answer its code does, and the sender stays first.
struct IcmpPorts {
  std::uint16_t source, destination;
  bool one_way;
};

std::optional<std::uint8_t> Counterpart(std::uint8_t protocol, std::uint8_t type) {
  static constexpr std::pair<std::uint8_t, std::uint8_t> kPairs[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}};
  static constexpr std::pair<std::uint8_t, std::uint8_t> kPairs6[] = {{128, 129}, {130, 131}, {133, 134},
                                                                      {135, 136}, {139, 140}, {144, 145}};
  const auto find = [type](const auto& pairs) -> std::optional<std::uint8_t> {
    for (const auto& [request, answer] : pairs) {
      if (type == request) return answer;
      if (type == answer) return request;
    }
    return std::nullopt;
  };
  return protocol == IPPROTO_ICMP ? find(kPairs) : find(kPairs6);
}

IcmpPorts PortsOf(std::uint8_t protocol, std::pair<std::uint8_t, std::uint8_t> icmp) {
  const auto answer = Counterpart(protocol, icmp.first);
  return answer ? IcmpPorts{icmp.first, *answer, false} : IcmpPorts{icmp.first, icmp.second, true};
}

class Bytes {
 public:
  void Put(const void* data, std::size_t size) {
    std::memcpy(data_ + size_, data, size);
    size_ += size;
  }
  void PutByte(std::uint8_t byte) { data_[size_++] = byte; }
  void Put16(std::uint16_t value) {
    PutByte(static_cast<std::uint8_t>(value >> 8));
    PutByte(static_cast<std::uint8_t>(value));
  }
  const unsigned char* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  unsigned char data_[2 + 32 + 2 + 4];
  std::size_t size_ = 0;
};

}  // namespace

std::string CommunityId(const FlowRecord& flow) {
  const bool icmp = flow.protocol == IPPROTO_ICMP || flow.protocol == IPPROTO_ICMPV6;
  const bool ports =
      icmp || flow.protocol == IPPROTO_TCP || flow.protocol == IPPROTO_UDP || flow.protocol == IPPROTO_SCTP;
  Endpoint first = flow.source, second = flow.destination;
  bool one_way = false;
  if (icmp && flow.icmp) {
    const IcmpPorts numbers = PortsOf(flow.protocol, *flow.icmp);
    first.port = numbers.source;
    second.port = numbers.destination;
    one_way = numbers.one_way;
  }
  const std::size_t width = flow.source.ip.version == 6 ? 16 : 4;
  const int order = std::memcmp(first.ip.bytes.data(), second.ip.bytes.data(), width);
  if (!one_way && (order > 0 || (order == 0 && first.port > second.port))) std::swap(first, second);
  Bytes bytes;
  bytes.Put16(0);  // the seed
  bytes.Put(first.ip.bytes.data(), width);
  bytes.Put(second.ip.bytes.data(), width);
  bytes.PutByte(flow.protocol);
  bytes.PutByte(0);
  if (ports) {
    bytes.Put16(first.port);
    bytes.Put16(second.port);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha1(), nullptr) != 1) return {};
  char text[2 * EVP_MAX_MD_SIZE];
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text), digest, static_cast<int>(size));
  return "1:" + std::string(text, static_cast<std::size_t>(length));
}

}  // namespace knp::json
