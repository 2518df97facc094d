// See attempts.h.
#include "src/detect/scan/attempts.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/address_scope.h"
#include "src/base/reflector_ports.h"
#include "src/base/tcp_flags.h"

namespace knp::detect {
namespace {

constexpr std::uint16_t kFirstEphemeral = 32768;
constexpr std::uint64_t kHalfNs = 500'000'000;
// UDP traceroute's ports, and how far its packets may still go when we see them.
constexpr std::uint16_t kTracerouteFirst = 33434, kTracerouteLast = 33534;
constexpr std::uint8_t kTracerouteTtl = 30;

bool IsOneHost(const IpAddress& a) {
  if (IsGroup(a)) return false;
  // A subnet's broadcast address, of most: a scan loses one host of each.
  return a.version == 6 || (a.bytes[0] != 0 && a.bytes[3] != 255);
}

bool IsKnownAddress(const IpAddress& a) {
  return std::any_of(a.bytes.begin(), a.bytes.end(), [](std::uint8_t b) { return b != 0; });
}

// TCP without SYN: packets of probes, and those of connections that we meet in their middle. A connection's ends are told
// by their ports; what comes from a service is an answer.
bool IsTcpProbe(const Contact& contact) {
  const std::uint8_t flags = contact.flags_sent;
  if (flags & kSyn) return true;
  if (flags & kRst || contact.client_sent_payload || contact.server_sent_payload) return false;
  if (!(flags & kAck)) return true;  // NULL, FIN, Xmas: no connection has such packets
  if ((flags & (kPsh | kUrg)) != 0) return false;
  return contact.stage == Stage::kRefused &&
         (contact.server_port < kFirstEphemeral || contact.server_port < contact.client_port);
}

bool IsEchoRequest(const Contact& contact) {
  const unsigned type = contact.icmp >> 8;
  if (contact.protocol == IPPROTO_ICMP) return type == 8 || type == 13 || type == 17;
  return contact.protocol == IPPROTO_ICMPV6 && type == 128;
}

bool IsTraceroute(const Contact& contact) {
  return contact.protocol == IPPROTO_UDP && contact.server_port >= kTracerouteFirst &&
         contact.server_port <= kTracerouteLast && contact.ttl != 0 && contact.ttl <= kTracerouteTtl;
}

// Of a ping the ports are its identifier, which says nothing: each run of ping has another.
Attempt Make(const Contact& contact) {
  const bool has_ports = contact.protocol != IPPROTO_ICMP && contact.protocol != IPPROTO_ICMPV6;
  return {.source = contact.client,
          .target = contact.server,
          .source_port = has_ports ? contact.client_port : std::uint16_t{0},
          .port = has_ports ? contact.server_port : std::uint16_t{0},
          .protocol = contact.protocol,
          .tcp_flags = contact.flags_sent,
          .mono_ns = contact.first_mono_ns};
}

// A RST to nobody whom we saw ask: the question came in fragments too small to have its flags, or past us. From a service to
// who asks, by their ports: else it is what a flooded service gets from those whose names were used.
Attempt Asked(const Contact& contact) {
  Attempt attempt = Make(contact);
  std::swap(attempt.source, attempt.target);
  std::swap(attempt.source_port, attempt.port);
  attempt.tcp_flags = kUnknownFlags;
  return attempt;
}

}  // namespace

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDoubtful: return "doubtful";
    case Verdict::kSilent: return "silent";
    case Verdict::kRefused: return "refused";
    case Verdict::kAborted: return "aborted";
    case Verdict::kPinged: return "pinged";
    case Verdict::kGood: return "good";
  }
  return "";
}

std::optional<Attempt> AttemptOf(const Contact& contact) {
  if (contact.folded || contact.fragment_rest) return std::nullopt;
  if (!IsOneHost(contact.server) || !IsKnownAddress(contact.client)) return std::nullopt;
  switch (contact.protocol) {
    case IPPROTO_TCP:
      if (contact.stage == Stage::kUnsolicited)
        return contact.flags_received == 0 && contact.client_port < kFirstEphemeral &&
                       contact.server_port >= kFirstEphemeral
                   ? std::optional<Attempt>(Asked(contact))
                   : std::nullopt;
      if (contact.stage == Stage::kRefused && contact.flags_sent == 0) return Make(contact);
      return IsTcpProbe(contact) ? std::optional<Attempt>(Make(contact)) : std::nullopt;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
      // An answer whose question was not seen, or never was asked (a reflector's), is told by its ports.
      if ((contact.stage == Stage::kOpened || contact.stage == Stage::kRefused) && contact.server_port >= 1024 &&
          (contact.client_port < 1024 || IsReflectorPort(contact.client_port)))
        return std::nullopt;
      return IsTraceroute(contact) ? std::nullopt : std::optional<Attempt>(Make(contact));
    case IPPROTO_SCTP: return Make(contact);
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return IsEchoRequest(contact) && contact.stage != Stage::kUnsolicited ? std::optional<Attempt>(Make(contact))
                                                                            : std::nullopt;
    default: return std::nullopt;
  }
}

void Attempts::OnStage(const Contact& contact, Stage before) {
  const std::optional<Attempt> now = AttemptOf(contact);
  if (!now) {
    if (contact.stage >= Stage::kCompleted) pending_.erase(contact.flow_id);
    return;
  }
  const auto waiting = pending_.find(contact.flow_id);
  const Attempt attempt = waiting != pending_.end() ? waiting->second : *now;
  if (before == Stage::kNone) {
    recent_.Add(HashOf(attempt.source));
    begin_(attempt);
  }
  const auto settle = [&](Verdict verdict) {
    if (waiting != pending_.end()) pending_.erase(waiting);
    sink_(attempt, verdict, contact.mono_ns);
  };
  if (IsEchoRequest(contact)) {
    if (before == Stage::kNone) sink_(attempt, Verdict::kPinged, contact.mono_ns);
    return;
  }
  switch (contact.stage) {
    case Stage::kNone: break;
    case Stage::kOpened:
    case Stage::kAnswered:  // the third ACK may come yet
      if (before == Stage::kNone) Wait(contact, attempt);
      break;
    case Stage::kRefused:
    case Stage::kUnsolicited: settle(Verdict::kRefused); break;
    case Stage::kAborted: settle(Verdict::kAborted); break;
    case Stage::kCompleted:
    case Stage::kTalked:
      // Met in its middle it tells nothing of what was tried.
      if (before != Stage::kCompleted) settle(Verdict::kGood);
      break;
  }
}

void Attempts::Wait(const Contact& contact, const Attempt& attempt) {
  if (pending_.size() >= kMostPending || tcp_silent_.flows.size() >= 4 * kMostPending ||
      udp_silent_.flows.size() >= 4 * kMostPending)
    return;
  if (!pending_.try_emplace(contact.flow_id, attempt).second) return;
  const bool tcp = contact.protocol == IPPROTO_TCP || contact.protocol == IPPROTO_SCTP;
  (tcp ? tcp_doubt_ : udp_doubt_).flows.emplace_back(contact.flow_id, contact.first_mono_ns);
  (tcp ? tcp_silent_ : udp_silent_).flows.emplace_back(contact.flow_id, contact.first_mono_ns);
}

void Attempts::Drain(Queue* queue, std::uint64_t mono_ns) {
  while (!queue->flows.empty() && queue->flows.front().second + queue->age_ns <= mono_ns) {
    const std::uint64_t id = queue->flows.front().first;
    queue->flows.pop_front();
    const auto found = pending_.find(id);
    if (found == pending_.end()) continue;
    const Attempt attempt = found->second;
    if (queue->verdict == Verdict::kSilent) pending_.erase(found);
    sink_(attempt, queue->verdict, mono_ns);
  }
}

void Attempts::Advance(std::uint64_t mono_ns) {
  // What is left of a steady rate after halving it each half second is about a second's.
  if (mono_ns >= halved_ns_ + kHalfNs) {
    halved_ns_ = mono_ns;
    recent_.Halve();
  }
  Drain(&tcp_doubt_, mono_ns);
  Drain(&udp_doubt_, mono_ns);
  Drain(&tcp_silent_, mono_ns);
  Drain(&udp_silent_, mono_ns);
}

}  // namespace knp::detect
