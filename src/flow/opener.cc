// See opener.h.
#include "src/flow/opener.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace knp::flow {
namespace {

// Services of which clusters are full, from 1024 up; ascending.
constexpr std::uint16_t kServices[] = {
    1080,  1194,  1433,  1521,  1883,  2049,  2181,  2375,  2376,  2379,  2380,  3000,  3100,  3128,  3260,
    3306,  3389,  4222,  4240,  4244,  4317,  4318,  5000,  5060,  5061,  5222,  5432,  5601,  5671,  5672,
    5900,  5984,  6379,  6443,  6667,  6783,  7000,  7001,  7473,  7474,  7687,  8000,  8008,  8080,  8081,
    8086,  8088,  8089,  8123,  8125,  8200,  8300,  8301,  8443,  8472,  8500,  8600,  8888,  9000,  9042,
    9080,  9090,  9091,  9092,  9093,  9100,  9153,  9200,  9300,  9411,  9418,  9443,  9967,  10248, 10249,
    10250, 10255, 10256, 10257, 10259, 11211, 14250, 14268, 15672, 16686, 26257, 26379, 27017, 27018, 50051};

// 1: the low end looks like the service; -1: the high one; 0: neither, or both.
int ServiceEnd(const ConversationKey& key) {
  return static_cast<int>(IsServicePort(key.low_port)) - static_cast<int>(IsServicePort(key.high_port));
}

// The same, of the end where somebody of this host listens.
int ListeningEnd(const ConversationKey& key, const AsksListener& listens) {
  const auto at = [&](const std::array<std::uint8_t, 16>& bytes, std::uint16_t port) {
    return static_cast<int>(listens({.bytes = bytes, .version = key.ip_version}, port));
  };
  return at(key.low, key.low_port) - at(key.high, key.high_port);
}

}  // namespace

bool IsServicePort(std::uint16_t port) {
  return (port != 0 && port < 1024) || std::binary_search(std::begin(kServices), std::end(kServices), port);
}

void SettleOpener(Conversation* c, bool source_is_high, std::uint64_t first_mono_ns, std::uint8_t tcp_flags,
                  bool is_first_packet, const AsksListener& listens) {
  const bool tcp = c->key.protocol == IPPROTO_TCP;
  bool opener_is_high = c->source_is_high;
  const auto ask = [&] {
    c->listeners_asked = true;
    return ListeningEnd(c->key, listens);
  };
  if (c->opener != Opener::kSyn && is_first_packet && tcp && (tcp_flags & kSyn)) {
    opener_is_high = tcp_flags & kAck ? !source_is_high : source_is_high;
    c->opener = Opener::kSyn;
  } else if (c->opener == Opener::kSyn || c->opener == Opener::kListener) {
    // Nothing tells better.
  } else if (const int end = tcp && listens && !c->listeners_asked && !c->key.folded ? ask() : 0; end != 0) {
    opener_is_high = end > 0;
    c->opener = Opener::kListener;
  } else if (tcp && !((c->flags_sent | c->flags_received | tcp_flags) & kSyn) && (tcp_flags & kAck) &&
             ServiceEnd(c->key) != 0) {
    opener_is_high = ServiceEnd(c->key) > 0;
    c->opener = Opener::kPort;
  } else if (c->opener == Opener::kFirstPacket && first_mono_ns < c->first_mono_ns) {
    opener_is_high = source_is_high;
  }
  c->first_mono_ns = std::min(c->first_mono_ns, first_mono_ns);
  if (opener_is_high != c->source_is_high) c->Swap();
}

}  // namespace knp::flow
