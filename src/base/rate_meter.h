// Means over the last 1, 10 and 60 seconds from counters that are sampled about once a second. Time is passed in.
#ifndef KNP_BASE_RATE_METER_H_
#define KNP_BASE_RATE_METER_H_

#include <knp/types.h>

#include <cstdint>
#include <deque>
#include <vector>

namespace knp {

class RateMeter {
 public:
  void Sample(std::uint64_t now_ns, const TrafficCount& rx, const TrafficCount& tx) {
    samples_.push_back({now_ns, rx, tx});
    while (samples_.size() > 2 && samples_[1].time_ns + kLongestNs <= now_ns) samples_.pop_front();
  }

  // From the youngest sample that is at least a window old (else the oldest) to the counters of now.
  std::vector<Rates> Read(std::uint64_t now_ns, const TrafficCount& rx, const TrafficCount& tx) const {
    std::vector<Rates> all;
    for (const std::uint32_t window_s : {1u, 10u, 60u}) {
      Rates rates{.window_s = window_s};
      const Point* from = nullptr;
      for (const Point& point : samples_) {
        if (from && point.time_ns + window_s * 1'000'000'000ull > now_ns + kSlackNs) break;
        from = &point;
      }
      if (from && now_ns > from->time_ns) {
        const double seconds = static_cast<double>(now_ns - from->time_ns) / 1e9;
        rates.rx_packets_per_second = static_cast<double>(rx.packets - from->rx.packets) / seconds;
        rates.rx_bytes_per_second = static_cast<double>(rx.bytes - from->rx.bytes) / seconds;
        rates.tx_packets_per_second = static_cast<double>(tx.packets - from->tx.packets) / seconds;
        rates.tx_bytes_per_second = static_cast<double>(tx.bytes - from->tx.bytes) / seconds;
      }
      all.push_back(rates);
    }
    return all;
  }

 private:
  static constexpr std::uint64_t kLongestNs = 61'000'000'000, kSlackNs = 50'000'000;
  struct Point {
    std::uint64_t time_ns;
    TrafficCount rx, tx;
  };
  std::deque<Point> samples_;
};

}  // namespace knp

#endif  // KNP_BASE_RATE_METER_H_
