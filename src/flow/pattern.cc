// See pattern.h and docs/patterns.md.
#include "src/flow/pattern.h"

#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace knp::flow {
namespace {

constexpr std::uint64_t kTenth = 100'000'000;
constexpr std::uint64_t kTenthsInASecond = 10, kByteUnit = 16;

// Square root of a variance that rounding may have made negative.
double Deviation(double mean_of_squares, double mean) {
  if (mean <= 0) return 0;
  return std::sqrt(std::max(mean_of_squares - mean * mean, 0.0)) / mean;
}

// Of an ordinary packet: Ethernet, no IP options; TCP with timestamps, as all common stacks send them.
std::uint64_t HeaderBytes(const PatternInput& input) {
  const std::uint64_t network = 14 + (input.ip_version == 6 ? 40 : 20);
  switch (input.protocol) {
    case IPPROTO_TCP: return network + 32;
    case IPPROTO_UDP: return network + 8;
    default: return network;
  }
}

// What the rules are about.
struct Shape {
  double duration_s, busy, bytes_per_second, active_bytes_per_second, packets_per_second, packet_bytes;
  std::uint64_t sent_payload, received_payload;
  bool both;
};

std::uint64_t Payload(const Count& count, std::uint64_t header) {
  return count.bytes - std::min(count.bytes, count.packets * header);
}

double PerPacket(std::uint64_t bytes, std::uint64_t packets) {
  return packets == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(packets);
}

Shape ShapeOf(const PatternInput& input) {
  const double bytes = static_cast<double>(input.sent.bytes + input.received.bytes);
  const auto packets = static_cast<double>(input.sent.packets + input.received.packets);
  Shape shape;
  shape.duration_s = static_cast<double>(input.duration_ns) / 1e9;
  const double at_least = std::max(shape.duration_s, 1.0), active = std::max(input.meter.active_seconds(), 1u);
  shape.busy = active / std::max(std::floor(shape.duration_s) + 1, 1.0);
  shape.bytes_per_second = bytes / at_least;
  shape.active_bytes_per_second = bytes / active;
  shape.packets_per_second = packets / at_least;
  shape.packet_bytes = packets > 0 ? bytes / packets : 0;
  shape.sent_payload = Payload(input.sent, HeaderBytes(input));
  shape.received_payload = Payload(input.received, HeaderBytes(input));
  shape.both = input.sent.packets > 0 && input.received.packets > 0;
  return shape;
}

bool IsIdle(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  return input.meter.intervals() >= t.idle_intervals && input.meter.interval_mean_s() >= t.idle_interval_s &&
         shape.packet_bytes <= t.idle_packet_bytes && shape.both;
}

bool IsPeriodic(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  return input.meter.intervals() >= t.periodic_intervals && input.meter.interval_deviation() <= t.periodic_deviation &&
         shape.busy <= t.periodic_busy;
}

bool IsSteady(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  return shape.busy >= t.streaming_busy &&
         input.meter.second_deviation(input.sent.bytes + input.received.bytes) <= t.streaming_deviation;
}

bool IsStreaming(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  return shape.duration_s >= t.streaming_s && IsSteady(input, shape, t) &&
         shape.bytes_per_second >= t.streaming_min_bytes_per_second &&
         shape.bytes_per_second <= t.streaming_max_bytes_per_second && shape.packet_bytes >= t.streaming_packet_bytes;
}

bool IsBulk(const Count& more, const Count& less, const Shape& shape, const PatternThresholds& t) {
  return more.bytes >= t.bulk_bytes &&
         static_cast<double>(more.bytes) >= t.bulk_ratio * static_cast<double>(less.bytes) &&
         PerPacket(more.bytes, more.packets) >= t.bulk_packet_bytes &&
         shape.active_bytes_per_second >= t.bulk_bytes_per_second;
}

// Both sides have said something.
bool IsDialogue(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  const std::uint64_t least = input.protocol == IPPROTO_TCP ? t.tcp_payload_bytes : 1;
  return shape.sent_payload >= least && shape.received_payload >= least;
}

bool IsInteractive(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  return shape.duration_s >= t.interactive_s && input.sent.packets + input.received.packets >= t.interactive_packets &&
         PerPacket(shape.sent_payload, input.sent.packets) <= t.interactive_payload_bytes &&
         PerPacket(shape.received_payload, input.received.packets) <= t.interactive_payload_bytes &&
         shape.packets_per_second <= t.interactive_packets_per_second && !IsSteady(input, shape, t);
}

bool IsRequestResponse(const PatternInput& input, const Shape& shape, const PatternThresholds& t) {
  const auto [fewer, more] = std::minmax(input.sent.packets, input.received.packets);
  const double smaller = std::min(PerPacket(shape.sent_payload, input.sent.packets),
                                  PerPacket(shape.received_payload, input.received.packets));
  return static_cast<double>(more) <= t.request_packet_ratio * static_cast<double>(fewer) &&
         smaller <= t.request_payload_bytes;
}

}  // namespace

void PatternMeter::Add(std::uint64_t since_start_ns, std::uint64_t bytes, std::uint64_t burst_gap_ns) {
  const bool first = active_ == 0;
  const std::uint64_t tenths =
      std::min<std::uint64_t>(since_start_ns / kTenth, std::numeric_limits<std::uint32_t>::max());
  const std::uint32_t now = std::max(static_cast<std::uint32_t>(tenths), last_);
  if (first || now / kTenthsInASecond != last_ / kTenthsInASecond) {
    second_squares_ += static_cast<float>(second_bytes_) * static_cast<float>(second_bytes_);
    second_bytes_ = 0;
    if (active_ < kMaxActive) ++active_;
  }
  const std::uint64_t sum = second_bytes_ + (bytes + kByteUnit / 2) / kByteUnit;
  second_bytes_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, std::numeric_limits<std::uint32_t>::max()));
  const bool begins = first || std::uint64_t{now - last_} * kTenth >= burst_gap_ns;
  if (begins && bursts_ < kMaxBursts) {
    const auto interval = static_cast<float>(first ? 0 : now - burst_from_);
    interval_squares_ += interval * interval;
    burst_from_ = first ? 0 : now;
    ++bursts_;
  }
  last_ = now;
}

double PatternMeter::interval_mean_s() const {
  return intervals() == 0 ? 0 : static_cast<double>(burst_from_) / kTenthsInASecond / intervals();
}

double PatternMeter::interval_deviation() const {
  if (intervals() == 0) return 0;
  const double count = intervals();
  return Deviation(interval_squares_ / count, burst_from_ / count);
}

double PatternMeter::second_deviation(std::uint64_t bytes) const {
  if (active_ == 0) return 0;
  const double count = active_, last = second_bytes_;
  return Deviation((second_squares_ + last * last) / count, static_cast<double>(bytes) / kByteUnit / count);
}

TrafficPattern ClassifyPattern(const PatternInput& input, const PatternThresholds& thresholds) {
  const Shape shape = ShapeOf(input);
  if (IsIdle(input, shape, thresholds)) return TrafficPattern::kIdle;
  if (IsPeriodic(input, shape, thresholds)) return TrafficPattern::kPeriodic;
  if (!shape.both)
    return input.sent.packets + input.received.packets >= thresholds.one_way_packets ? TrafficPattern::kOneWay
                                                                                     : TrafficPattern::kUnknown;
  if (IsStreaming(input, shape, thresholds)) return TrafficPattern::kStreaming;
  if (IsBulk(input.sent, input.received, shape, thresholds)) return TrafficPattern::kBulkUp;
  if (IsBulk(input.received, input.sent, shape, thresholds)) return TrafficPattern::kBulkDown;
  if (!IsDialogue(input, shape, thresholds)) return TrafficPattern::kUnknown;
  if (IsInteractive(input, shape, thresholds)) return TrafficPattern::kInteractive;
  if (IsRequestResponse(input, shape, thresholds)) return TrafficPattern::kRequestResponse;
  return TrafficPattern::kUnknown;
}

}  // namespace knp::flow
