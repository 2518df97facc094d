// Floods: more packets than a host can use, of no connection that it has agreed to. What each packet belongs to is known from
// its conversation's stage; what is left over is counted by whom it goes to (target.h) and judged four times a second
// (rules.h). A load test, a flash crowd or a busy gateway completes its handshakes and is answered: it is not counted.
//
// Memory: kMostTargets hosts, as many prefixes and kMostNetworks networks with much of it, 10 KiB each; who gets little is in a
// sketch.
#ifndef KNP_DETECT_FLOOD_FLOOD_H_
#define KNP_DETECT_FLOOD_FLOOD_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "src/base/address_hash.h"
#include "src/base/count_min.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"
#include "src/detect/flood/rules.h"
#include "src/detect/flood/target.h"

namespace knp::detect {

class Flood : public Detector {
 public:
  static constexpr std::size_t kMostTargets = 256, kMostNetworks = 64;

  explicit Flood(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage before) override;
  void OnCarried(const Contact& contact, const Carried& carried) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { JudgeAll(mono_ns, true); }

 private:
  struct Entry {
    FloodTarget counts;
    std::array<bool, kFloodKinds> open{};
    std::array<std::uint64_t, kFloodKinds> first_mono_ns{}, last_mono_ns{};
    std::array<double, kFloodKinds> peak{};
  };
  using Targets = absl::flat_hash_map<IpAddress, std::unique_ptr<Entry>, IpAddressHash>;
  // Hosts, or prefixes by their first address.
  struct Level {
    FloodScope scope;
    std::size_t most;               // targets
    std::uint32_t first_admission;  // packets until one is a target, while there is room
    std::uint32_t admission = first_admission;
    Targets targets{};
    CountMin<4096> newcomers{};
  };
  // One piece of news, as the attacker's.
  struct News {
    FloodKind kind;
    IpAddress source, host;
    std::uint16_t port;
    std::uint64_t packets = 0, bytes = 0;
    bool opened = false, completed = false, refused = false, answered = false;
  };

  bool IsAnswer(const News& news, const Contact& contact) const;
  void Count(const News& news, const Contact& contact);
  void CountIn(Level* level, const IpAddress& key, const News& news, const Contact& contact);
  Entry* Admit(Level* level, const IpAddress& key, std::uint64_t weight);
  void JudgeAll(std::uint64_t mono_ns, bool finish);
  void JudgeTarget(Level* level, const IpAddress& key, Entry* entry, std::uint64_t mono_ns, bool finish);
  void Tell(const Level& level, const IpAddress& key, Entry* entry, FloodKind kind, const FloodJudgement& judgement,
            std::uint64_t mono_ns);
  bool IsToldAsScan(const FloodTarget::Detail& detail) const;
  bool IsCovered(const Level& level, const IpAddress& key) const;

  const FloodOptions& options_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  Level hosts_{FloodScope::kHost, kMostTargets, 32}, prefixes_{FloodScope::kPrefix, kMostTargets, 256},
      networks_{FloodScope::kNetwork, kMostNetworks, 512};
  CountMin<4096> askers_;  // who has begun conversations lately
  std::uint64_t halved_ns_ = 0;
};

// Null: not wanted.
std::unique_ptr<Detector> MakeFlood(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_FLOOD_FLOOD_H_
