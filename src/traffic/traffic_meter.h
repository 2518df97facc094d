// Bandwidth by host, protocol and application: sums, rates, peaks, percentiles. Fed by the monitor with what each
// conversation newly carried, counted at one place; read as reports. Exact as long as its tables have room; what they
// have no room for is summed, so nothing is ever missing. Not thread-safe. Time is passed in and may leap by days.
//
// A row takes 1.7 KiB and 16 bytes for each size of second that it had (at most 1,800; a few dozen with steady
// traffic).
#ifndef KNP_TRAFFIC_TRAFFIC_METER_H_
#define KNP_TRAFFIC_TRAFFIC_METER_H_

#include <knp/traffic.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "src/traffic/row_table.h"
#include "src/traffic/second_samples.h"

namespace knp::traffic {

struct TrafficDelta {
  IpAddress source;  // of version 0: not known, and of no host
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::string_view application;  // empty: not known
  Count sent;                    // source to destination
  Count received;
};

class TrafficMeter {
 public:
  struct Options {
    std::size_t hosts = 2048;
    std::size_t applications = 512;
  };

  explicit TrafficMeter(const Options& options);
  TrafficMeter(const TrafficMeter&) = delete;
  TrafficMeter& operator=(const TrafficMeter&) = delete;

  // A time that goes back counts as the last one.
  void Add(const TrafficDelta& delta, std::uint64_t now_mono_ns);
  // The first `top_n` rows of each list. The caller fills in what only it knows: the time of day and names of hosts.
  TrafficReport Report(std::uint64_t now_mono_ns, std::size_t top_n);

 private:
  struct IpHash {
    std::size_t operator()(const IpAddress& ip) const;
  };
  // Abseil's own, as distributions build it, knows no std::string_view.
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  using Hosts = RowTable<IpAddress, IpHash>;

  void AddHost(const IpAddress& ip, const Count& sent, const Count& received);
  std::uint32_t SecondOf(std::uint64_t now_mono_ns);

  Hosts hosts_;
  RowTable<std::uint8_t> protocols_;
  RowTable<std::string, NameHash, std::equal_to<>> applications_;
  Count total_;
  SecondSamples total_samples_;
  std::uint64_t first_s_ = 0;  // the second of the first packet
  std::uint32_t last_ = 0;     // the newest one, from there
  bool started_ = false;
};

}  // namespace knp::traffic

#endif  // KNP_TRAFFIC_TRAFFIC_METER_H_
