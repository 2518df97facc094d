// Plain limits, as FastNetMon has: packets, bits and new conversations a second of a host or a whole prefix, to it and from
// it. Told as anomaly.volume with the limit's name: a limit that is exceeded is no attack yet.
//
// Bounded: kMostHosts hosts (or whole prefixes) of the rules' prefixes; 300 bytes each.
#ifndef KNP_DETECT_LIMITS_LIMITS_H_
#define KNP_DETECT_LIMITS_LIMITS_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/aged_map.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class Limits : public Detector {
 public:
  static constexpr std::size_t kMostHosts = 16384;
  static constexpr unsigned kSlots = 5;  // of an average

  explicit Limits(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage before) override;
  void OnCarried(const Contact& contact, const Carried& carried) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override;

 private:
  struct Amount {
    std::uint64_t packets = 0, bytes = 0, flows = 0;
  };
  struct Way {
    std::array<Amount, kSlots> slots{};
    bool over = false;
    std::uint64_t since_ns = 0, peak_ns = 0;
    double peak = 0;         // of the limit that was exceeded first
    std::uint8_t limit = 0;  // which one
    std::vector<AlertCount> counts;
  };
  struct Host {
    std::size_t rule = 0;
    std::uint64_t slot = 0;   // number of the newest one
    std::array<Way, 2> ways;  // to it, from it
  };
  struct Key {
    IpAddress address;
    std::uint8_t length = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return HashOf(key.address, key.length); }
  };

  void Add(const IpAddress& address, bool from_it, const Amount& amount, std::uint64_t mono_ns);
  void Roll(Host* host, std::uint64_t slot) const;
  void Judge(const Key& key, Host* host, std::uint64_t mono_ns);
  void Tell(const Key& key, const Host& host, bool from_it, std::uint64_t mono_ns);
  std::string NameOf(const Key& key, bool from_it) const;

  const LimitOptions& options_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  std::vector<std::size_t> by_length_;  // rules, the longest prefix first
  const std::uint64_t slot_ns_;
  std::uint64_t now_slot_ = 0;
  AgedMap<Key, Host, KeyHash> hosts_;
};

std::unique_ptr<Detector> MakeLimits(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_LIMITS_LIMITS_H_
