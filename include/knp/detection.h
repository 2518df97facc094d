// What is an attack, and how sure to be: the detectors' thresholds. Each default is meant to be kept; docs/detection.md says
// where it comes from and what each detector cannot see. A threshold of 0 switches its rule off.
#ifndef KNP_DETECTION_H_
#define KNP_DETECTION_H_

#include <knp/prefix.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace knp {

// Contacts that came to nothing: refused, aborted by the client's own stack, unanswered. Successes of the same source
// weigh against them.
struct ScanOptions {
  bool enabled = true;
  std::uint32_t ports = 15;              // vertical: of one host (Zeek)
  std::uint32_t hosts = 25;              // horizontal: on one port or few (Zeek)
  std::uint32_t pinged_hosts = 32;       // ping sweep, answered or not
  std::uint32_t distributed_ports = 15;  // of one host, by several sources together
  std::uint32_t distributed_sources = 4;
  std::uint32_t slow_ports = 6;  // without a window: the sequential test, and so many
  std::uint32_t slow_hosts = 10;
  std::chrono::milliseconds window{60000};
  // Of these (nodes, NAT gateways: many clients behind one address) ten times as much is needed.
  std::vector<Prefix> shared_sources;
};

struct FloodOptions {
  bool enabled = true;
  // A second, to one host.
  std::uint64_t syn = 100;    // handshakes that are not completed
  std::uint64_t ack = 1000;   // TCP packets of no connection
  std::uint64_t udp = 20000;  // unanswered, of few sources (FastNetMon); of many new ones a twentieth
  std::uint64_t icmp = 1000;
  std::uint64_t fragments = 2000;       // later ones
  std::uint64_t amplification = 100;    // answers of services known as reflectors that nobody asked for
  std::uint64_t reflection = 100;       // SYN-ACKs that nobody asked for
  std::uint64_t other = 10000;          // GRE and all other protocols
  std::uint32_t slow_connections = 50;  // held open by one source with requests that do not end
};

// As FastNetMon's: plain limits of what one host or prefix may receive or send, averaged over `average`.
struct LimitRule {
  Prefix prefix;  // hosts in it are looked at one by one, or together if `whole`
  bool whole = false;
  std::uint64_t packets_per_second = 0;  // 0: no limit
  std::uint64_t bits_per_second = 0;
  std::uint64_t flows_per_second = 0;
};
// Over one, it is told as anomaly.volume with the limit's name, never as an attack.
struct LimitOptions {
  std::vector<LimitRule> rules;  // the longest prefix that holds an address counts; none: off
  std::chrono::milliseconds average{5000};
  double hysteresis = 0.8;  // over when all are below this share of their limits
};

struct AnomalyOptions {
  // Private addresses are internal in any case: what beacons, volumes and new peers are about.
  std::vector<Prefix> internal_networks;
  bool new_peer = false;  // of a local address, after it was watched for the learning period
  std::chrono::milliseconds learning{86'400'000};
  bool volume = true;                       // a host's own baseline
  double volume_factor = 8;                 // median absolute deviations beyond the median
  std::uint64_t volume_floor = 10'000'000;  // bytes a minute: below it nobody is an anomaly
  std::uint32_t volume_history = 60;        // minutes of it that a host needs; at most 120
  bool failures = true;
  std::uint32_t failures_per_minute = 100;  // of one client or one service, and most of what it tried
  std::uint32_t half_open = 500;            // connections of one service at a time that are answered and not completed
  bool beacon = true;
  std::uint32_t beacon_connections = 12;  // RITA: 4 at least; at most 64 are looked at
  double beacon_score = 0.9;
  std::chrono::milliseconds beacon_long{1'800'000};  // one connection with periodic bursts: from this age on
  bool dns_tunnel = true;
  std::uint32_t dns_subdomains = 100;            // of one domain, by one client, in five minutes
  std::chrono::milliseconds long_connection{0};  // 0: off
  std::string known_bad_file;                    // addresses and prefixes, one a line; read again when it changes
  bool odd_flags = true;
};

// Alerts of `type` (empty: any; "scan" covers "scan.vertical") from `source` to `target` are not raised, but counted.
struct Suppression {
  std::string type;
  std::vector<Prefix> source, target;  // empty: any
};

struct DetectionOptions {
  bool enabled = true;
  ScanOptions scan;
  FloodOptions flood;
  LimitOptions limits;
  AnomalyOptions anomaly;
  std::vector<Suppression> suppress;
  std::uint32_t max_open_alerts = 128;  // beyond it attacks of a type are folded into one alert, and counted
  std::chrono::milliseconds cool_down{600'000};
  std::chrono::milliseconds update_interval{5000};  // an alert that lasts is told again so often
};

}  // namespace knp

#endif  // KNP_DETECTION_H_
