// See beacon.h.
#include "src/detect/beacon/beacon.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/base/nanoseconds.h"
#include "src/base/robust_statistics.h"

namespace knp::detect {
namespace {

constexpr double kLeastIntervalS = 1;
constexpr std::size_t kMostChanged = 1024, kMostLong = 64, kMostClients = 16;
// A skew is a ratio of two differences: where the quartiles are as good as equal, it says nothing.
constexpr double kNoSpread = 0.02;

// Regular by their purpose.
bool IsTimeOrNameService(std::uint16_t port) {
  return port == 53 || port == 123 || port == 853 || port == 5353 || port == 5355;
}

double Evenness(const RobustSummary& summary) {
  if (summary.median <= 0) return summary.deviation <= 0 ? 1 : 0;
  const double spread = (summary.q3 - summary.q1) / summary.median;
  const double skew = spread <= kNoSpread ? 0 : std::abs(summary.BowleySkew());
  const double deviation = std::clamp(1 - summary.deviation / summary.median, 0.0, 1.0);
  // A skew of a narrow spread is no unevenness either: it counts as much as the spread is wide.
  return std::min(1 - skew * std::min(spread, 1.0), deviation);
}

}  // namespace

std::unique_ptr<Detector> MakeBeacon(const Surroundings& surroundings) {
  const AnomalyOptions& options = surroundings.options.anomaly;
  if (!options.beacon || options.beacon_connections == 0) return nullptr;
  return std::make_unique<Beacon>(surroundings);
}

Beacon::Beacon(const Surroundings& surroundings)
    : options_(surroundings.options.anomaly),
      networks_(options_.internal_networks),
      alerts_(surroundings.alerts),
      unix_ns_(surroundings.unix_ns),
      seen_(kMostSeen, 0),
      pairs_(kMostPairs, 0) {}

bool Beacon::IsWanted(const FlowRecord& record) const {
  if (record.protocol != IPPROTO_TCP && record.protocol != IPPROTO_UDP) return false;
  if (record.received.packets == 0 || record.tunnel) return false;
  if (IsTimeOrNameService(record.destination.port) || IsTimeOrNameService(record.source.port)) return false;
  return networks_.IsInternal(record.source.ip) && networks_.IsExternal(record.destination.ip);
}

void Beacon::OnRecord(const FlowRecord& record, std::uint64_t mono_ns) {
  if (!IsWanted(record)) return;
  const Key key{record.source.ip, record.destination.ip, record.destination.port, record.protocol};
  NoteLong(key, record);
  if (record.final) NoteConnection(key, record, mono_ns);
}

void Beacon::NoteLong(const Key& key, const FlowRecord& record) {
  if (options_.beacon_long.count() == 0 || record.pattern != TrafficPattern::kPeriodic) return;
  const std::uint64_t age_ns = record.end_unix_ns - std::min(record.end_unix_ns, record.start_unix_ns);
  if (age_ns < Nanoseconds(options_.beacon_long)) return;
  if (long_ones_.size() < kMostLong)
    long_ones_.emplace_back(key, Long{.seconds = age_ns / kSecondNs,
                                      .name = record.destination.dns_name,
                                      .sent = record.sent,
                                      .received = record.received});
}

void Beacon::NoteConnection(const Key& key, const FlowRecord& record, std::uint64_t mono_ns) {
  const Sample sample{.start_ns = record.start_unix_ns,
                      .bytes = static_cast<std::uint32_t>(
                          std::min<std::uint64_t>(record.sent.bytes, std::numeric_limits<std::uint32_t>::max()))};
  Pair* pair = pairs_.Find(key);
  if (!pair) {
    const Sample* const before = seen_.Find(key);
    if (!before) {
      if (Sample* const first = seen_.Use(key, mono_ns)) *first = sample;
      return;
    }
    const Sample first = *before;
    seen_.Erase(key);
    pair = pairs_.Use(key, mono_ns);
    if (!pair) return;
    pair->samples[pair->connections++ % kMostSamples] = first;
  } else {
    pairs_.Use(key, mono_ns);
  }
  pair->samples[pair->connections++ % kMostSamples] = sample;
  if (!record.destination.dns_name.empty()) pair->name = record.destination.dns_name;
  if (pair->connections < std::min<std::size_t>(options_.beacon_connections, kMostSamples) || pair->changed) return;
  if (changed_.size() >= kMostChanged) return;
  pair->changed = true;
  changed_.push_back(key);
}

BeaconScore Beacon::Rate(std::vector<Sample> samples) {
  BeaconScore score;
  if (samples.size() < 3) return score;
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.start_ns < b.start_ns; });
  std::vector<double> intervals, bytes;
  for (std::size_t i = 0; i < samples.size(); i++) {
    bytes.push_back(samples[i].bytes);
    if (i != 0) intervals.push_back(static_cast<double>(samples[i].start_ns - samples[i - 1].start_ns) / 1e9);
  }
  const RobustSummary times = Summarize(intervals), sizes = Summarize(bytes);
  score.interval_s = times.median;
  score.bytes = sizes.median;
  if (times.median < kLeastIntervalS) return score;
  score.times = Evenness(times);
  score.sizes = Evenness(sizes);
  // Pauses and crowds: time outside intervals that are near the median.
  double kept = 0, all = 0;
  for (const double interval : intervals) {
    all += std::max(interval, times.median);
    if (interval > times.median / 2 && interval < times.median * 1.5) kept += interval;
  }
  score.presence = std::min(kept / all, 1.0);
  return score;
}

void Beacon::Advance(std::uint64_t mono_ns) {
  for (const Key& key : changed_) {
    Pair* const pair = pairs_.Find(key);
    if (!pair) continue;
    pair->changed = false;
    const std::size_t count = std::min<std::size_t>(pair->connections, kMostSamples);
    const BeaconScore score = Rate({pair->samples.begin(), pair->samples.begin() + static_cast<std::ptrdiff_t>(count)});
    if (score.Total() < options_.beacon_score) continue;
    pair->told = true;
    Tell(key, *pair, score, mono_ns);
  }
  changed_.clear();
  for (const auto& [key, connection] : long_ones_) TellLong(key, connection, mono_ns);
  long_ones_.clear();
}

Finding Beacon::Make(const Key& key, const std::string& name, std::uint64_t mono_ns) const {
  Finding finding;
  finding.alert.type = "anomaly.beacon";
  finding.alert.severity = "low";
  finding.alert.source = Endpoint{.ip = key.client};
  finding.alert.target = Endpoint{.ip = key.server, .port = key.port};
  finding.alert.target->dns_name = name;
  finding.alert.evidence_ports = {key.port};
  if (!name.empty()) finding.alert.names = {name};
  finding.key = fmt::format("{} {} {}", key.server.ToString(), ProtocolName(key.protocol), key.port);
  finding.last_mono_ns = mono_ns;
  return finding;
}

// Several of ours that call the same server are one alert.
void Beacon::NameClients(const Key& key, Alert* alert) {
  pairs_.VisitSince(0, [&](const Key& other, const Pair& pair) {
    if (pair.told && other.server == key.server && other.port == key.port && other.protocol == key.protocol &&
        alert->evidence_sources.size() < kMostClients)
      alert->evidence_sources.push_back(other.client);
  });
  if (alert->evidence_sources.size() < 2) return;
  alert->source.reset();
  alert->distinct_sources = alert->evidence_sources.size();
}

void Beacon::Tell(const Key& key, const Pair& pair, const BeaconScore& score, std::uint64_t mono_ns) {
  Finding finding = Make(key, pair.name, mono_ns);
  Alert& alert = finding.alert;
  alert.rule = {
      .name = "beacon.connections", .observed = score.Total(), .threshold = options_.beacon_score, .window_s = 0};
  alert.facts = {{"connections", pair.connections},   {"interval_s", score.interval_s},
                 {"bytes_a_connection", score.bytes}, {"score_times", score.times},
                 {"score_sizes", score.sizes},        {"score_presence", score.presence}};
  alert.summary =
      fmt::format("{} connects to {}{} port {} every {:.0f} s and sends {:.0f} bytes each time, {} times so far",
                  key.client.ToString(), pair.name.empty() ? "" : pair.name + " at ", key.server.ToString(), key.port,
                  score.interval_s, score.bytes, pair.connections);
  const std::size_t count = std::min<std::size_t>(pair.connections, kMostSamples);
  std::uint64_t first_unix_ns = pair.samples[0].start_ns;
  for (std::size_t i = 0; i < count; i++) first_unix_ns = std::min(first_unix_ns, pair.samples[i].start_ns);
  const std::uint64_t epoch_ns = unix_ns_(mono_ns) - mono_ns;
  finding.first_mono_ns = std::clamp(first_unix_ns, epoch_ns, epoch_ns + mono_ns) - epoch_ns;
  NameClients(key, &alert);
  // It is over when three calls in a row have failed to come.
  finding.quiet_ns = static_cast<std::uint64_t>(score.interval_s * 3 * 1e9) + 120 * kSecondNs;
  alerts_.Tell(finding, mono_ns);
}

void Beacon::TellLong(const Key& key, const Long& connection, std::uint64_t mono_ns) {
  Finding finding = Make(key, connection.name, mono_ns);
  Alert& alert = finding.alert;
  alert.rule = {.name = "beacon.long_connection",
                .observed = static_cast<double>(connection.seconds),
                .threshold = static_cast<double>(options_.beacon_long.count()) / 1e3,
                .window_s = 0};
  alert.facts = {{"duration_s", static_cast<double>(connection.seconds)},
                 {"bytes_sent", static_cast<double>(connection.sent.bytes)},
                 {"bytes_received", static_cast<double>(connection.received.bytes)}};
  alert.summary = fmt::format("{} keeps a connection to {}{} port {} for {} minutes already and uses it at even times",
                              key.client.ToString(), connection.name.empty() ? "" : connection.name + " at ",
                              key.server.ToString(), key.port, connection.seconds / 60);
  finding.first_mono_ns = mono_ns - std::min(mono_ns, connection.seconds * kSecondNs);
  finding.quiet_ns = 300 * kSecondNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
