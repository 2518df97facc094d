// See target.h.
#include "src/detect/flood/target.h"

#include <algorithm>
#include <utility>

#include "src/base/address_hash.h"
#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

constexpr std::size_t kMostSamples = 8, kMostSeries = 60;
constexpr std::uint64_t kOfOne =
    2;  // observed of a conversation before its answer: its beginning, and its first packet

}  // namespace

FloodCount& FloodCount::operator+=(const FloodCount& other) {
  packets += other.packets;
  bytes += other.bytes;
  opened += other.opened;
  completed += other.completed;
  refused += other.refused;
  answered += other.answered;
  return *this;
}

void FloodTarget::Advance(std::uint64_t mono_ns) {
  const std::uint64_t bucket_ns = mono_ns / kBucketNs * kBucketNs;
  if (bucket_ns <= bucket_ns_) return;
  const std::uint64_t steps = std::min<std::uint64_t>((bucket_ns - bucket_ns_) / kBucketNs, kBuckets);
  for (std::uint64_t i = 0; i < steps; i++) {
    at_ = (at_ + 1) % kBuckets;
    buckets_[at_] = {};
    first_fragments_[at_] = 0;
  }
  bucket_ns_ = bucket_ns;
}

void FloodTarget::Observe(FloodKind kind, const IpAddress& source, const IpAddress& host, const IpAddress& part,
                          std::uint16_t port, const Contact& contact, std::uint64_t packets, std::uint64_t bytes,
                          bool opened) {
  last_mono_ns_ = std::max(last_mono_ns_, contact.mono_ns);
  std::unique_ptr<Detail>& owned = details_[static_cast<std::size_t>(kind)];
  if (!owned) {
    owned = std::make_unique<Detail>();
    owned->first_mono_ns = contact.mono_ns;
  }
  Detail& d = *owned;
  std::unique_ptr<Earlier>& earlier = earlier_[static_cast<std::size_t>(kind)];
  if (earlier && contact.mono_ns > earlier->until_mono_ns) earlier.reset();
  // Of what is folded nobody knows the source.
  if (!contact.folded) {
    d.sources.Add(HashOf(source));
    d.top_sources.Add(source, std::max<std::uint64_t>(packets, 1));
    d.flows += opened;
    d.all_flows += opened;
    d.packets += packets;
  }
  if (contact.folded) d.all_flows += packets;
  const bool has_port = port != 0;
  if (has_port) {
    d.ports.Add(Mix(port + 1U));
    d.top_ports.Add(port, std::max<std::uint64_t>(packets, 1));
  }
  d.hosts.Add(HashOf(host));
  d.top_parts.Add(part, std::max<std::uint64_t>(packets, 1));
  if (packets != 0) {
    const std::uint64_t second = contact.mono_ns / kSecondNs * kSecondNs;
    if (d.series.empty() || d.series.back().time_unix_ns < second) {
      if (d.series.size() >= kMostSeries) d.series.erase(d.series.begin());
      d.series.push_back({.time_unix_ns = second, .count = {}});
    }
    d.series.back().count += {packets, bytes};
  }
  if (d.samples.size() < kMostSamples && !contact.folded)
    d.samples.push_back(
        {.time_unix_ns = contact.first_mono_ns,
         .protocol = contact.protocol,
         .source = {.ip = contact.client, .port = has_port ? contact.client_port : std::uint16_t{0}},
         .destination = {.ip = contact.server, .port = has_port ? contact.server_port : std::uint16_t{0}},
         .tcp_flags = contact.flags_sent,
         .note = {}});
}

void FloodTarget::TakeBack(FloodKind kind, const IpAddress& source) {
  if (Detail* d = details_[static_cast<std::size_t>(kind)].get()) d->top_sources.Remove(source, kOfOne);
}

void FloodTarget::ForgetDetail(FloodKind kind, std::uint64_t until_mono_ns) {
  std::unique_ptr<Detail>& detail = details_[static_cast<std::size_t>(kind)];
  if (!detail) return;
  auto earlier = std::make_unique<Earlier>();
  earlier->sources = detail->sources;
  earlier->ports = detail->ports;
  earlier->hosts = detail->hosts;
  earlier->flows = detail->flows;
  earlier->all_flows = detail->all_flows;
  earlier->packets = detail->packets;
  earlier->until_mono_ns = until_mono_ns;
  earlier_[static_cast<std::size_t>(kind)] = std::move(earlier);
  detail.reset();
}

FloodCount FloodTarget::Sum(FloodKind kind, std::size_t from, std::size_t to) const {
  FloodCount sum;
  for (std::size_t i = from; i < std::min(to, kBuckets); i++)
    sum += buckets_[(at_ + kBuckets - i) % kBuckets][static_cast<std::size_t>(kind)];
  return sum;
}

std::uint64_t FloodTarget::FirstFragments(std::size_t buckets) const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < buckets; i++) sum += first_fragments_[(at_ + kBuckets - i) % kBuckets];
  return sum;
}

}  // namespace knp::detect
