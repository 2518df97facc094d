// See rules.h. Windows are in buckets of a quarter of a second, the one of now being 0.
#include "src/detect/flood/rules.h"

#include <algorithm>
#include <cmath>

namespace knp::detect {
namespace {

constexpr std::size_t kSecond = 4, kLag = 1;  // so long may a handshake take
constexpr std::size_t kReadingLag = 5;
constexpr double kSpoofed = 0.3;        // sources by conversations: more have invented addresses
constexpr double kFewestInvented = 50;  // three hosts with one conversation each are three hosts
constexpr double kAlwaysNew = 0.8;
constexpr double kRefusedPerSource = 1000, kSilentPerSource = 300;  // handshakes a second: no client retries so often
constexpr double kConcentrated = 10;                                // conversations a port: a scan has one or two
constexpr double kMostOfFragmentsRest = 60;  // the largest datagram has 44 later fragments on Ethernet
constexpr double kSmallFragment = 256;
constexpr double kLargeAnswer = 400, kSmallAnswer = 200;
constexpr double kMostOfScan = 20000, kRepeats = 1.3, kAllPorts = 65536;
constexpr double kPerSourceUdp = 2000;
constexpr double kReflectors = 5;  // fewer may be servers that answer late, if it is not much
constexpr double kPrefixFactor = 2, kNetworkFactor = 4;
constexpr double kLeastHosts = 8, kPerHostOfSweep = 5;
constexpr std::size_t kLeastPrefixes = 4;

struct Who {
  double sources = 0, ports = 0, hosts = 0;
  double each = 0;   // sources by conversations
  double flows = 0;  // conversations, or packets where those repeat; of sources that are known
  double all = 0;
};

Who Describe(const FloodTarget& target, FloodKind kind) {
  const FloodTarget::Detail* detail = target.detail(kind);
  if (!detail) return {};
  HyperLogLog<9> sources = detail->sources, ports = detail->ports, hosts = detail->hosts;
  std::uint64_t flows = detail->flows, packets = detail->packets, all_flows = detail->all_flows;
  if (const FloodTarget::Earlier* earlier = target.earlier(kind)) {
    sources.Merge(earlier->sources);
    ports.Merge(earlier->ports);
    hosts.Merge(earlier->hosts);
    flows += earlier->flows;
    packets += earlier->packets;
    all_flows += earlier->all_flows;
  }
  Who who{.sources = sources.Estimate(), .ports = ports.Estimate(), .hosts = hosts.Estimate()};
  const bool tcp = kind == FloodKind::kSyn || kind == FloodKind::kAck;  // with an answer's reset behind each
  who.flows = static_cast<double>(tcp ? flows : std::max(flows, packets));
  who.all = static_cast<double>(all_flows);
  if (flows != 0) who.each = who.sources / static_cast<double>(flows);
  return who;
}

bool AreInvented(const Who& who) { return who.each >= kSpoofed && who.sources >= kFewestInvented; }

// Conversations a second that came to nothing, over `seconds`. What began just now may still.
double Failed(const FloodTarget& target, FloodKind kind, std::size_t seconds, bool finish) {
  const std::size_t lag = finish ? 0 : kLag;
  const FloodCount began = target.Sum(kind, lag, seconds * kSecond + lag);
  const FloodCount since = target.Sum(kind, 0, seconds * kSecond + lag);
  const double failed = static_cast<double>(began.opened) - static_cast<double>(since.completed);
  return std::max(failed, 0.0) / static_cast<double>(seconds);
}

// Few sources that visit each port about once; who comes round again and again does not look for anything.
bool IsScan(const Who& who, double failed_per_second) {
  if (who.flows > kMostOfScan && who.flows > kRepeats * who.ports) return false;
  if (who.hosts < 2 && who.all > kRepeats * kAllPorts) return false;
  return who.each < kSpoofed && failed_per_second / std::max(who.ports, 1.0) < kConcentrated && who.ports > 16;
}

// Clients whose server is away try again, and again: each of them now and then. At first each of them is new, as invented
// ones always are.
bool AreRetries(const FloodTarget& target, FloodKind kind, const Who& who, const FloodCount& all, double failed,
                double threshold) {
  const double per_source = failed / std::max(who.sources, 1.0);
  if (all.answered * 2 > all.opened) return false;  // nor does a client leave unused what it was given
  if (all.refused * 5 <= all.opened * 4)
    return who.each < kSpoofed && per_source < kSilentPerSource && failed < 50 * threshold;
  const std::uint64_t before = target.Sum(kind, 2 * kSecond, 3 * kSecond).opened;
  const bool lasts = static_cast<double>(before) >= threshold;
  return !(who.each >= kAlwaysNew && lasts) && per_source < kRefusedPerSource;
}

// SYN and ACK: conversations that come to nothing.
std::optional<FloodJudgement> JudgeTcp(FloodKind kind, const FloodTarget& target, double threshold, double least_second,
                                       bool finish) {
  const Who who = Describe(target, kind);
  for (const std::size_t seconds : {std::size_t{1}, std::size_t{3}}) {
    const double failed = Failed(target, kind, seconds, finish);
    const double needed = seconds == 1 ? least_second : threshold;
    if (failed < needed) continue;
    const FloodCount all = target.Sum(kind, 0, seconds * kSecond + kLag);
    const double rate = static_cast<double>(all.opened) / static_cast<double>(seconds);
    if (failed < 0.25 * rate || IsScan(who, failed * static_cast<double>(seconds))) continue;
    const bool spoofed = AreInvented(who);
    if (AreRetries(target, kind, who, all, failed, threshold)) continue;
    return FloodJudgement{kind == FloodKind::kSyn ? "ddos.syn.incomplete_per_second" : "ddos.ack.stray_per_second",
                          failed, threshold, static_cast<double>(seconds), spoofed};
  }
  return std::nullopt;
}

// What came in a second, `ago` seconds before the last one: the bucket of now has perhaps hardly begun, and does not count if
// a whole one in its place makes it more.
FloodCount OneSecond(const FloodTarget& target, FloodKind kind, std::size_t ago = 0) {
  const std::size_t from = ago * kSecond;
  const FloodCount with = target.Sum(kind, from, from + kSecond),
                   without = target.Sum(kind, from + 1, from + 1 + kSecond);
  return with.packets >= without.packets ? with : without;
}
double Packets(const FloodTarget& target, FloodKind kind, std::size_t ago = 0) {
  return static_cast<double>(OneSecond(target, kind, ago).packets);
}

std::optional<FloodJudgement> JudgeAck(const FloodTarget& target, double threshold, bool finish) {
  if (auto judgement = JudgeTcp(FloodKind::kAck, target, threshold, threshold, finish)) return judgement;
  // One connection that is none, for longer than it takes to read both its directions.
  const double now = Packets(target, FloodKind::kAck), before = Packets(target, FloodKind::kAck, 1);
  const Who who = Describe(target, FloodKind::kAck);
  if (now < 10 * threshold || before < 10 * threshold || IsScan(who, now)) return std::nullopt;
  return FloodJudgement{"ddos.ack.packets_per_second", now, 10 * threshold, 1, false};
}

// Where live flows are read once a second, a question and its answer may be read in either order, nearly a second apart: what
// goes on unanswered beyond that, stays so.
bool GoesOn(const FloodTarget& target, FloodKind kind) {
  const FloodCount early = target.Sum(kind, kReadingLag, FloodTarget::kBuckets);
  const FloodCount began = target.Sum(kind, kLag, kLag + 2), since = target.Sum(kind, 0, kLag + 2);
  return early.opened + early.packets != 0 && (began.opened > since.completed || began.opened == 0);
}

// The share of it that did not turn out to be of answered conversations.
double UnansweredShare(const FloodCount& count) {
  if (count.opened == 0) return 1;
  return std::max(0.0, 1 - static_cast<double>(count.completed) / static_cast<double>(count.opened));
}

std::optional<FloodJudgement> JudgeUdp(const FloodTarget& target, double threshold, bool finish) {
  if (!finish && !GoesOn(target, FloodKind::kUdp)) return std::nullopt;
  const Who who = Describe(target, FloodKind::kUdp);
  const bool spoofed = AreInvented(who);
  const double failed = Failed(target, FloodKind::kUdp, 1, finish);
  // Many that are new at once, and then stay, have found their service, or a new one of us.
  const double lately = 2 * static_cast<double>(target.Sum(FloodKind::kUdp, kLag, kLag + 2).opened);
  if (spoofed && failed >= threshold / 20 && (finish || lately >= threshold / 40))
    return FloodJudgement{"ddos.udp.new_sources_per_second", failed, threshold / 20, 1, true};
  if (failed >= threshold / 4 && !IsScan(who, failed))
    return FloodJudgement{"ddos.udp.unanswered_per_second", failed, threshold / 4, 1, spoofed};
  const double packets = Packets(target, FloodKind::kUdp);
  const double before = Packets(target, FloodKind::kUdp, 1);
  // Many senders of a little each are telemetry.
  const bool each_much = packets / std::max(who.sources, 1.0) >= kPerSourceUdp || packets >= 10 * threshold;
  if (packets >= threshold && before >= threshold && each_much && !IsScan(who, packets))
    return FloodJudgement{"ddos.udp.packets_per_second", packets, threshold, 1, spoofed};
  return std::nullopt;
}

std::optional<FloodJudgement> JudgeFragments(const FloodTarget& target, double threshold) {
  const FloodCount sum = OneSecond(target, FloodKind::kFragment);
  const double packets = static_cast<double>(sum.packets);
  if (packets < threshold) return std::nullopt;
  const bool without_first = packets > kMostOfFragmentsRest * static_cast<double>(target.FirstFragments(2 * kSecond));
  if (!without_first && static_cast<double>(sum.bytes) / packets >= kSmallFragment) return std::nullopt;
  return FloodJudgement{"ddos.fragment.packets_per_second", packets, threshold, 1,
                        AreInvented(Describe(target, FloodKind::kFragment))};
}

std::optional<FloodJudgement> JudgeAmplification(const FloodTarget& target, double threshold, bool finish) {
  if (!finish && !GoesOn(target, FloodKind::kAmplification)) return std::nullopt;
  const Who who = Describe(target, FloodKind::kAmplification);
  const FloodCount second = OneSecond(target, FloodKind::kAmplification);
  const double packets = static_cast<double>(second.packets) * UnansweredShare(second);
  const double size = static_cast<double>(second.bytes) / std::max<double>(static_cast<double>(second.packets), 1);
  if (packets >= threshold && (size >= kSmallAnswer || packets >= 10 * threshold) &&
      (who.sources >= 3 || packets >= 10 * threshold))
    return FloodJudgement{"ddos.amplification.packets_per_second", packets, threshold, 1, false};
  // Few, but large, and of several.
  const FloodCount sum = target.Sum(FloodKind::kAmplification, 0, 10 * kSecond);
  const double few = static_cast<double>(sum.packets) * UnansweredShare(sum);
  const double mean = static_cast<double>(sum.bytes) / std::max<double>(static_cast<double>(sum.packets), 1);
  if (few >= 0.3 * threshold && mean >= kLargeAnswer && who.sources >= 5)
    return FloodJudgement{"ddos.amplification.large_answers_per_second", few / 10, 0.03 * threshold, 10, false};
  return std::nullopt;
}

std::optional<FloodJudgement> JudgeReflection(const FloodTarget& target, double threshold, bool finish) {
  const double failed = Failed(target, FloodKind::kReflection, 1, finish);
  const Who who = Describe(target, FloodKind::kReflection);
  if (failed >= threshold && (who.sources >= kReflectors || failed >= 10 * threshold))
    return FloodJudgement{"ddos.reflection.syn_acks_per_second", failed, threshold, 1, false};
  // To the same port again and again: one connection that is none.
  const double now = Packets(target, FloodKind::kReflection), before = Packets(target, FloodKind::kReflection, 1);
  if (now < 10 * threshold || before < 10 * threshold) return std::nullopt;
  return FloodJudgement{"ddos.reflection.packets_per_second", now, 10 * threshold, 1, false};
}

std::optional<FloodJudgement> JudgePackets(FloodKind kind, const FloodTarget& target, double threshold, bool finish,
                                           const char* rule) {
  const double packets = Packets(target, kind), before = Packets(target, kind, 1);
  // A burst that is over within a second was none, if it was not ten times as much; and what live flows carry is read once a
  // second, two seconds' worth of it in one, now and then.
  const bool lasts = before >= threshold / 2 && packets + before >= 2 * threshold;
  if (packets < threshold || (!finish && !lasts && packets < 10 * threshold)) return std::nullopt;
  return FloodJudgement{rule, packets, threshold, 1, AreInvented(Describe(target, kind))};
}

std::uint64_t ThresholdOf(FloodKind kind, const FloodOptions& o) {
  switch (kind) {
    case FloodKind::kSyn: return o.syn;
    case FloodKind::kAck: return o.ack;
    case FloodKind::kUdp: return o.udp;
    case FloodKind::kIcmp: return o.icmp;
    case FloodKind::kFragment: return o.fragments;
    case FloodKind::kAmplification: return o.amplification;
    case FloodKind::kReflection: return o.reflection;
    case FloodKind::kOther: return o.other;
  }
  return 0;
}

}  // namespace

Prefix PrefixOf(const IpAddress& host, FloodScope scope) {
  switch (scope) {
    case FloodScope::kHost: return Prefix::Host(host);
    case FloodScope::kPrefix: return Prefix::Of(host, host.version == 6 ? 64 : 24);
    case FloodScope::kNetwork: return Prefix::Of(host, host.version == 6 ? 48 : 16);
  }
  return Prefix::Host(host);
}

std::optional<FloodJudgement> Judge(FloodKind kind, const FloodTarget& target, const FloodOptions& options,
                                    FloodScope scope, bool finish) {
  const std::uint64_t configured = ThresholdOf(kind, options);
  if (configured == 0 || !target.detail(kind)) return std::nullopt;
  const double factor = scope == FloodScope::kHost ? 1 : scope == FloodScope::kPrefix ? kPrefixFactor : kNetworkFactor;
  const double threshold = static_cast<double>(configured) * factor;
  if (scope == FloodScope::kNetwork && target.detail(kind)->top_parts.Keys().size() < kLeastPrefixes)
    return std::nullopt;
  if (scope != FloodScope::kHost) {
    const Who who = Describe(target, kind);
    const double each = static_cast<double>(target.Sum(kind, 0, 2 * kSecond).packets) / std::max(who.hosts, 1.0);
    // One that visits each host once or twice sweeps the prefix, and is told as that.
    if (who.hosts < kLeastHosts || (who.sources < 4 && each < kPerHostOfSweep)) return std::nullopt;
  }
  switch (kind) {
    case FloodKind::kSyn: return JudgeTcp(kind, target, threshold, 20 * threshold, finish);
    case FloodKind::kAck: return JudgeAck(target, threshold, finish);
    case FloodKind::kUdp: return JudgeUdp(target, threshold, finish);
    case FloodKind::kIcmp: return JudgePackets(kind, target, threshold, finish, "ddos.icmp.packets_per_second");
    case FloodKind::kFragment: return JudgeFragments(target, threshold);
    case FloodKind::kAmplification: return JudgeAmplification(target, threshold, finish);
    case FloodKind::kReflection: return JudgeReflection(target, threshold, finish);
    case FloodKind::kOther: return JudgePackets(kind, target, threshold, finish, "ddos.other.packets_per_second");
  }
  return std::nullopt;
}

}  // namespace knp::detect
