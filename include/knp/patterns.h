// What a conversation must look like to be called by a pattern's name (TrafficPattern): docs/patterns.md has the rules.
#ifndef KNP_PATTERNS_H_
#define KNP_PATTERNS_H_

#include <cstdint>

namespace knp {

// Each is listed in docs/patterns.md with what it is good for. Sizes are of frames, `payload` without their headers.
struct PatternThresholds {
  std::uint64_t burst_gap_ns = 2'000'000'000;

  double idle_packet_bytes = 90;
  double idle_interval_s = 10;
  std::uint32_t idle_intervals = 3;

  std::uint32_t periodic_intervals = 4;
  double periodic_deviation = 0.2;
  double periodic_busy = 0.5;

  std::uint64_t one_way_packets = 10;

  double streaming_s = 10;
  double streaming_busy = 0.8;
  double streaming_deviation = 0.5;
  double streaming_min_bytes_per_second = 4'000;
  double streaming_max_bytes_per_second = 4'000'000;
  double streaming_packet_bytes = 100;

  std::uint64_t bulk_bytes = 1'000'000;
  double bulk_ratio = 10;
  double bulk_packet_bytes = 500;
  double bulk_bytes_per_second = 100'000;

  double interactive_s = 10;
  std::uint64_t interactive_packets = 20;
  double interactive_payload_bytes = 100;
  double interactive_packets_per_second = 20;

  std::uint64_t tcp_payload_bytes = 32;
  double request_packet_ratio = 8;
  double request_payload_bytes = 700;

  friend bool operator==(const PatternThresholds&, const PatternThresholds&) = default;
};

}  // namespace knp

#endif  // KNP_PATTERNS_H_
