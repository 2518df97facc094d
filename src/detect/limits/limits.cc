// See limits.h.
#include "src/detect/limits/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

constexpr unsigned kLimits = 3;
constexpr const char* kNames[kLimits] = {"limit.packets_per_second", "limit.bits_per_second", "limit.flows_per_second"};
constexpr const char* kUnits[kLimits] = {"packets", "bits", "flows"};
constexpr const char* kFacts[kLimits] = {"packets_per_second", "bits_per_second", "flows_per_second"};
constexpr std::size_t kMostCounts = 60;

std::uint64_t SlotNs(const LimitOptions& options, unsigned slots) {
  return std::max<std::uint64_t>(Nanoseconds(options.average) / slots, 1'000'000);
}

std::array<std::uint64_t, kLimits> LimitsOf(const LimitRule& rule) {
  return {rule.packets_per_second, rule.bits_per_second, rule.flows_per_second};
}

}  // namespace

std::unique_ptr<Detector> MakeLimits(const Surroundings& surroundings) {
  if (surroundings.options.limits.rules.empty()) return nullptr;
  return std::make_unique<Limits>(surroundings);
}

Limits::Limits(const Surroundings& surroundings)
    : options_(surroundings.options.limits),
      alerts_(surroundings.alerts),
      unix_ns_(surroundings.unix_ns),
      by_length_(options_.rules.size()),
      slot_ns_(SlotNs(options_, kSlots)),
      hosts_(kMostHosts, 2 * slot_ns_ * kSlots) {
  std::iota(by_length_.begin(), by_length_.end(), std::size_t{0});
  std::stable_sort(by_length_.begin(), by_length_.end(), [this](std::size_t a, std::size_t b) {
    return options_.rules[a].prefix.length > options_.rules[b].prefix.length;
  });
}

void Limits::Add(const IpAddress& address, bool from_it, const Amount& amount, std::uint64_t mono_ns) {
  const auto rule = std::find_if(by_length_.begin(), by_length_.end(),
                                 [&](std::size_t i) { return options_.rules[i].prefix.Contains(address); });
  if (rule == by_length_.end()) return;
  const Prefix& prefix = options_.rules[*rule].prefix;
  const Key key =
      options_.rules[*rule].whole ? Key{prefix.address, prefix.length} : Key{address, Prefix::Host(address).length};
  Host* const host = hosts_.Use(key, mono_ns);
  if (!host) return;
  host->rule = *rule;
  // What comes late counts in the newest slot.
  Roll(host, std::max({now_slot_, host->slot, mono_ns / slot_ns_}));
  Amount& slot = host->ways[from_it].slots[host->slot % kSlots];
  slot.packets += amount.packets;
  slot.bytes += amount.bytes;
  slot.flows += amount.flows;
}

void Limits::Roll(Host* host, std::uint64_t slot) const {
  const std::uint64_t steps = std::min<std::uint64_t>(slot - host->slot, kSlots);
  for (std::uint64_t i = 0; i < steps; i++)
    for (Way& way : host->ways) way.slots[(slot - i) % kSlots] = {};
  host->slot = slot;
}

void Limits::OnStage(const Contact& contact, Stage before) {
  if (before != Stage::kNone || contact.folded) return;
  Add(contact.client, true, {.flows = 1}, contact.mono_ns);
  Add(contact.server, false, {.flows = 1}, contact.mono_ns);
}

void Limits::OnCarried(const Contact& contact, const Carried& carried) {
  const Amount sent{.packets = carried.sent.packets, .bytes = carried.sent.bytes};
  const Amount received{.packets = carried.received.packets, .bytes = carried.received.bytes};
  static constexpr IpAddress kUnknown4{}, kUnknown6{.bytes = {}, .version = 6};
  const auto add = [&](const IpAddress& address, bool is_client) {
    if (contact.folded && (address == kUnknown4 || address == kUnknown6)) return;
    if (sent.packets != 0) Add(address, is_client, sent, contact.mono_ns);
    if (received.packets != 0) Add(address, !is_client, received, contact.mono_ns);
  };
  add(contact.client, true);
  add(contact.server, false);
}

void Limits::Advance(std::uint64_t mono_ns) {
  const std::uint64_t slot = mono_ns / slot_ns_;
  if (slot <= now_slot_) return;
  // The slot that begins now is empty: judged is what is over.
  const std::uint64_t since = mono_ns - std::min(mono_ns, 3 * slot_ns_ * kSlots);
  hosts_.VisitSince(since, [&](const Key& key, Host& host) {
    if (host.slot + 1 < slot) Roll(&host, slot - 1);
    Judge(key, &host, mono_ns);
  });
  now_slot_ = slot;
}

void Limits::Finish(std::uint64_t mono_ns) {
  hosts_.VisitSince(mono_ns - std::min(mono_ns, 3 * slot_ns_ * kSlots),
                    [&](const Key& key, Host& host) { Judge(key, &host, mono_ns); });
}

void Limits::Judge(const Key& key, Host* host, std::uint64_t mono_ns) {
  const LimitRule& rule = options_.rules[host->rule];
  const std::array<std::uint64_t, kLimits> limits = LimitsOf(rule);
  const double seconds = static_cast<double>(slot_ns_ * kSlots) / 1e9;
  for (const bool from_it : {false, true}) {
    Way& way = host->ways[from_it];
    Amount sum;
    for (const Amount& slot : way.slots)
      sum = {sum.packets + slot.packets, sum.bytes + slot.bytes, sum.flows + slot.flows};
    const double rates[kLimits] = {static_cast<double>(sum.packets) / seconds,
                                   static_cast<double>(sum.bytes) * 8 / seconds,
                                   static_cast<double>(sum.flows) / seconds};
    bool any_over = false, any_near = false;
    for (unsigned i = 0; i < kLimits; i++) {
      const auto limit = static_cast<double>(limits[i]);
      if (limits[i] == 0) continue;
      any_near |= rates[i] >= limit * options_.hysteresis;
      if (rates[i] <= limit) continue;
      if (!way.over && !any_over) {
        way.limit = static_cast<std::uint8_t>(i);
        way.since_ns = mono_ns;
        way.peak = 0;
        way.counts.clear();
      }
      any_over = true;
    }
    if (way.over && !any_near) {
      alerts_.Close("anomaly.volume", NameOf(key, from_it), mono_ns);
      const std::array<Amount, kSlots> slots = way.slots;
      way = {};
      way.slots = slots;
    }
    way.over = way.over ? any_near : any_over;
    if (!way.over) continue;
    way.peak = std::max(way.peak, rates[way.limit]);
    const Amount& last = way.slots[host->slot % kSlots];
    way.counts.push_back({.time_unix_ns = unix_ns_(host->slot * slot_ns_), .count = {last.packets, last.bytes}});
    if (way.counts.size() > kMostCounts) way.counts.erase(way.counts.begin());
    Tell(key, *host, from_it, mono_ns);
  }
}

std::string Limits::NameOf(const Key& key, bool from_it) const {
  return fmt::format("limit {} {}", Prefix{key.address, key.length}.ToString(), from_it ? "from" : "to");
}

void Limits::Tell(const Key& key, const Host& host, bool from_it, std::uint64_t mono_ns) {
  const Way& way = host.ways[from_it];
  const auto limit = static_cast<double>(LimitsOf(options_.rules[host.rule])[way.limit]);
  const std::string who = Prefix{key.address, key.length}.ToString();
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.volume";
  alert.severity = "medium";
  alert.rule = {.name = kNames[way.limit],
                .observed = way.peak,
                .threshold = limit,
                .window_s = static_cast<double>(slot_ns_ * kSlots) / 1e9};
  // A whole prefix is no host: its first address has done nothing.
  if (Prefix{key.address, key.length}.IsHost()) (from_it ? alert.source : alert.target) = Endpoint{.ip = key.address};
  alert.counts = way.counts;
  alert.facts = {{kFacts[way.limit], way.peak}};
  alert.names = {who};
  alert.summary = fmt::format("{} {} up to {:.0f} {} a second: more than its limit of {:.0f}", who,
                              from_it ? "sent" : "received", way.peak, kUnits[way.limit], limit);
  finding.key = NameOf(key, from_it);
  finding.first_mono_ns = way.since_ns;
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = 4 * slot_ns_ * kSlots;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
