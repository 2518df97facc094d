// Who uses how much: traffic by host, protocol and application, as the monitor reports it. Plain values. Every packet
// counts once, at the place that its flow record attributes it to.
#ifndef KNP_TRAFFIC_H_
#define KNP_TRAFFIC_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knp {

// A mean over the last whole seconds, at most `window_s` of them, fewer if there have not been so many.
struct TrafficRate {
  std::uint32_t window_s = 0;
  double packets_per_second = 0;
  double bytes_per_second = 0;
};

// Of one second; packets and bytes need not be of the same one.
struct SecondCount {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const SecondCount&, const SecondCount&) = default;
};

struct TrafficUse {
  Count count;                     // since it is known
  std::vector<TrafficRate> rates;  // over 1, 10 and 60 s; empty in the first second
  SecondCount peak;                // the largest second
  // Nineteen of twenty seconds had no more, of all whole seconds since the monitor's first packet: those without
  // traffic count as zero. Within 3.2 % (exact below 32).
  SecondCount p95;
};

struct HostTraffic : TrafficUse {  // count = sent + received; what a host sends to itself is in both
  IpAddress ip;
  std::string dns_name;
  Count sent;
  Count received;
};

struct NamedTraffic : TrafficUse {
  std::string name;  // of an application: empty if that is not known
};

// What the rows of a list leave out.
struct OtherTraffic {
  // Those which had to make room may be among them more than once; those which never had a row are not.
  std::uint64_t rows = 0;
  Count sent, received;  // of hosts
  Count count;
  std::vector<TrafficRate> rates;
};

// Rows are in order of bytes over the last 10 s, then since they are known. In each list, rows and `other` add up to
// `total` (hosts: `sent` and `received` each do).
struct TrafficReport {
  std::uint64_t time_unix_ns = 0;
  std::vector<HostTraffic> hosts;
  OtherTraffic other_hosts;
  std::vector<NamedTraffic> protocols;
  OtherTraffic other_protocols;
  std::vector<NamedTraffic> applications;
  OtherTraffic other_applications;
  TrafficUse total;
};

}  // namespace knp

#endif  // KNP_TRAFFIC_H_
