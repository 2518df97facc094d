// See volume.h.
#include "src/detect/volume/volume.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/base/robust_statistics.h"

namespace knp::detect {
namespace {

// Yesterday's backup still counts for 0.7 of itself today, and twice that is allowed.
constexpr double kPeakHalfLifeMinutes = 2 * 24 * 60, kPeakFactor = 2;
// Of a normal distribution the standard deviation is 1.4826 median absolute deviations. A host as even as a clock is
// allowed a tenth of its median as deviation.
constexpr double kNormal = 1.4826, kLeastDeviation = 0.1;
// What lasts so long is what the host does now.
constexpr std::uint32_t kMostMinutes = 60;
constexpr std::size_t kMostCounts = 60;
constexpr std::uint64_t kIdleNs = 24ull * 3600 * 1'000'000'000;

}  // namespace

std::unique_ptr<Detector> MakeVolume(const Surroundings& surroundings) {
  const AnomalyOptions& options = surroundings.options.anomaly;
  if (!options.volume || options.volume_factor <= 0) return nullptr;
  return std::make_unique<Volume>(surroundings);
}

Volume::Volume(const Surroundings& surroundings)
    : options_(surroundings.options.anomaly),
      networks_(options_.internal_networks),
      alerts_(surroundings.alerts),
      unix_ns_(surroundings.unix_ns),
      hosts_(kMostHosts, 10 * kMinuteNs) {}

void Volume::OnCarried(const Contact& contact, const Carried& carried) {
  if (contact.folded) return;
  const Peer server{contact.server, contact.server_port, contact.protocol};
  const Peer client{contact.client, contact.server_port, contact.protocol};
  if (networks_.IsInternal(contact.client))
    Add(contact.client, server, carried.sent, carried.received, contact.mono_ns);
  if (networks_.IsInternal(contact.server))
    Add(contact.server, client, carried.received, carried.sent, contact.mono_ns);
}

void Volume::Add(const IpAddress& address, const Peer& peer, const Count& from_it, const Count& to_it,
                 std::uint64_t mono_ns) {
  Host* const host = from_it.bytes + to_it.bytes >= kAdmission ? hosts_.Use(address, mono_ns) : hosts_.Find(address);
  if (!host) return;
  for (const bool from : {false, true}) {
    const Count& count = from ? from_it : to_it;
    if (count.packets == 0) continue;
    Way& way = host->ways[from];
    way.bytes += count.bytes;
    way.packets += count.packets;
    way.peers.Add(peer, count.bytes);
  }
}

void Volume::Advance(std::uint64_t mono_ns) {
  const std::uint64_t minute = mono_ns / kMinuteNs;
  if (minute <= minute_) return;
  const bool first = minute_ == 0;
  // A clock that leaps (a replay over a gap): minutes of silence, as many as count.
  const std::uint64_t silent = first ? 0 : std::min<std::uint64_t>(minute - minute_ - 1, kMinutes);
  minute_ = minute;
  if (first) return;
  hosts_.VisitSince(mono_ns - std::min(mono_ns, kIdleNs), [&](const IpAddress& address, Host& host) {
    for (std::uint64_t i = 0; i <= silent; i++) EndMinute(address, &host, mono_ns);
  });
}

// The minute that runs is judged by what it had so far.
void Volume::Finish(std::uint64_t mono_ns) {
  hosts_.VisitSince(mono_ns - std::min(mono_ns, kIdleNs),
                    [&](const IpAddress& address, Host& host) { EndMinute(address, &host, mono_ns); });
}

void Volume::EndMinute(const IpAddress& address, Host* host, std::uint64_t mono_ns) {
  for (const bool from_it : {false, true}) {
    Way& way = host->ways[from_it];
    Judge(address, *host, from_it, &way, mono_ns);
    const auto bytes = static_cast<double>(way.bytes);
    way.peak *= std::exp2(-1 / kPeakHalfLifeMinutes);
    if (way.over == 0) {  // what is told is not learnt until it is over
      way.minutes[host->known % kMinutes] = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(way.bytes / 1024, std::numeric_limits<std::uint32_t>::max()));
      way.peak = std::max(way.peak, bytes);
    } else {
      way.minutes[host->known % kMinutes] = static_cast<std::uint32_t>(way.limit / 1024);
    }
    way.bytes = way.packets = 0;
    way.peers.Clear();
  }
  host->known++;
}

double Volume::LimitOf(const Way& way, std::uint32_t known) const {
  const auto floor = static_cast<double>(options_.volume_floor);
  std::vector<double> samples;
  samples.reserve(kMinutes);
  for (std::size_t i = 0; i < std::min<std::size_t>(known, kMinutes); i++) samples.push_back(way.minutes[i] * 1024.0);
  const RobustSummary usual = Summarize(std::move(samples));
  const double deviation = std::max(usual.deviation * kNormal, usual.median * kLeastDeviation);
  return std::max({floor, usual.median + options_.volume_factor * deviation, way.peak * kPeakFactor});
}

void Volume::Judge(const IpAddress& address, const Host& host, bool from_it, Way* way, std::uint64_t mono_ns) {
  const auto bytes = static_cast<double>(way->bytes);
  if (way->over == 0) {
    const std::uint32_t needed = std::clamp<std::uint32_t>(options_.volume_history, 5, kMinutes);
    if (host.known < needed || way->bytes <= options_.volume_floor) return;
    way->limit = LimitOf(*way, host.known);
    if (bytes <= way->limit) return;
    way->since_ns = mono_ns - std::min(mono_ns, kMinuteNs);
    way->greatest = 0;
    way->counts.clear();
  } else if (bytes <= way->limit || way->over >= kMostMinutes) {
    alerts_.Close("anomaly.volume", KeyOf(address, from_it), mono_ns);
    way->over = 0;
    way->peak = std::max(way->peak, way->greatest);
    way->counts = {};
    return;
  }
  way->over++;
  way->greatest = std::max(way->greatest, bytes);
  way->counts.push_back(
      {.time_unix_ns = unix_ns_(mono_ns - std::min(mono_ns, kMinuteNs)), .count = {way->packets, way->bytes}});
  if (way->counts.size() > kMostCounts) way->counts.erase(way->counts.begin());
  Tell(address, from_it, *way, mono_ns);
}

std::string Volume::KeyOf(const IpAddress& address, bool from_it) {
  return fmt::format("{} {}", address.ToString(), from_it ? "from" : "to");
}

void Volume::Tell(const IpAddress& address, bool from_it, const Way& way, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.volume";
  alert.severity = "low";
  alert.rule = {.name = from_it ? "volume.sent" : "volume.received",
                .observed = way.greatest,
                .threshold = way.limit,
                .window_s = 60};
  (from_it ? alert.source : alert.target) = Endpoint{.ip = address};
  std::vector<IpAddress>& others = from_it ? alert.evidence_targets : alert.evidence_sources;
  const std::vector<Peers::Place> top = way.peers.Top();
  for (const Peers::Place& place : top) {
    if (std::find(others.begin(), others.end(), place.key.address) == others.end()) others.push_back(place.key.address);
    if (std::find(alert.evidence_ports.begin(), alert.evidence_ports.end(), place.key.port) ==
        alert.evidence_ports.end())
      alert.evidence_ports.push_back(place.key.port);
  }
  alert.counts = way.counts;
  alert.facts = {{"bytes_a_minute", static_cast<double>(way.bytes)}, {"minutes", way.over}};
  std::string with;
  if (!top.empty()) {
    const Peer& most = top[0].key;
    alert.facts["bytes_of_first"] = static_cast<double>(std::min(top[0].count, way.bytes));
    with = fmt::format(", most of it {} {} ({} port {})", from_it ? "to" : "from", most.address.ToString(),
                       ProtocolName(most.protocol), most.port);
  }
  alert.summary = fmt::format(
      "{} {} {:.1f} MB in a minute; after what it did so far, up to {:.1f} MB were to be expected{}",
      address.ToString(), from_it ? "sent" : "received", static_cast<double>(way.bytes) / 1e6, way.limit / 1e6, with);
  finding.key = KeyOf(address, from_it);
  finding.first_mono_ns = way.since_ns;
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = 3 * kMinuteNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
