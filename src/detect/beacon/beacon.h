// anomaly.beacon: an internal client that calls an external server at even times with even sizes, as implants call home
// (RITA's measures), or keeps one connection for long with periodic bursts. One alert a server and port.
//
// Bounded: kMostSeen triples of client, server and port that were met once (60 bytes each), kMostPairs met again, with their
// last kMostSamples connections (0.7 KiB each): hours of them for any client that does not call thousands of servers.
#ifndef KNP_DETECT_BEACON_BEACON_H_
#define KNP_DETECT_BEACON_BEACON_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/address_scope.h"
#include "src/base/aged_map.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

// How even a series is, each 0 to 1.
struct BeaconScore {
  double times = 0;     // evenness of the intervals: their skew and their spread
  double sizes = 0;     // the same of what the client sent
  double presence = 0;  // share of the time in which the intervals are kept
  double interval_s = 0, bytes = 0;
  double Total() const { return (times + sizes + presence) / 3; }
};

class Beacon : public Detector {
 public:
  static constexpr std::size_t kMostSeen = 32768, kMostPairs = 4096, kMostSamples = 64;

  explicit Beacon(const Surroundings& surroundings);

  void OnRecord(const FlowRecord& record, std::uint64_t mono_ns) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Advance(mono_ns); }

  struct Sample {
    std::uint64_t start_ns = 0;
    std::uint32_t bytes = 0;  // sent
  };
  static BeaconScore Rate(std::vector<Sample> samples);

 private:
  struct Key {
    IpAddress client, server;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return HashOf(key.client, HashOf(key.server, std::uint64_t{key.port} << 8 | key.protocol));
    }
  };
  struct Pair {
    std::array<Sample, kMostSamples> samples{};
    std::uint32_t connections = 0;
    std::string name;  // the server's, as the client asked for it
    bool changed = false, told = false;
  };
  struct Long {  // one connection
    std::uint64_t seconds = 0;
    std::string name;
    Count sent, received;
  };

  bool IsWanted(const FlowRecord& record) const;
  void NoteConnection(const Key& key, const FlowRecord& record, std::uint64_t mono_ns);
  void NoteLong(const Key& key, const FlowRecord& record);
  void Tell(const Key& key, const Pair& pair, const BeaconScore& score, std::uint64_t mono_ns);
  void TellLong(const Key& key, const Long& connection, std::uint64_t mono_ns);
  Finding Make(const Key& key, const std::string& name, std::uint64_t mono_ns) const;
  void NameClients(const Key& key, Alert* alert);

  const AnomalyOptions& options_;
  const InternalNetworks networks_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  AgedMap<Key, Sample, KeyHash> seen_;
  AgedMap<Key, Pair, KeyHash> pairs_;
  std::vector<Key> changed_;                     // of pairs_
  std::vector<std::pair<Key, Long>> long_ones_;  // since the last Advance
};

std::unique_ptr<Detector> MakeBeacon(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_BEACON_BEACON_H_
