// The seed's rule: one source tries to open N distinct ports within a second. Simple and blunt (a busy NAT gateway can
// trip it), hence off unless set. Fed with new conversations by the monitor; a function of its input and the time given.
//
// Memory: at most kMaxSources sources of the last second, kMaxOpen open alerts of about 9 KiB each.
#ifndef KNP_DETECT_PORT_RATE_PORT_RATE_H_
#define KNP_DETECT_PORT_RATE_PORT_RATE_H_

#include <absl/container/flat_hash_map.h>
#include <knp/types.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "src/base/flow_delta.h"

namespace knp::detect {

class PortRate {
 public:
  static constexpr std::size_t kMaxSources = 8192, kMaxOpen = 256;
  static constexpr std::uint64_t kWindowNs = 1'000'000'000, kQuietNs = 10'000'000'000, kUpdateNs = 5'000'000'000;

  using Raise = std::function<void(const Alert&)>;
  // `packets_seen`: handled by the monitor so far; asked when an alert opens.
  PortRate(Raise raise, std::function<std::uint64_t()> packets_seen)
      : raise_(std::move(raise)), packets_seen_(std::move(packets_seen)) {}

  // 0 switches the rule off and closes what is open.
  void SetThreshold(std::uint16_t ports, std::uint64_t mono_ns, std::uint64_t unix_ns);

  // A source's first packet of a conversation that it opened.
  void OnContact(const FlowTuple& tuple, std::uint64_t mono_ns, std::uint64_t unix_ns);
  // Updates and closes alerts; about once a second.
  void Advance(std::uint64_t mono_ns, std::uint64_t unix_ns);
  void CloseAll(std::uint64_t unix_ns);

 private:
  struct Key {
    std::array<std::uint8_t, 16> address;
    std::uint8_t version;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.address, key.version);
    }
  };
  struct Attempt {
    std::uint64_t mono_ns;
    std::uint16_t port;
    std::array<std::uint8_t, 16> target;
  };
  struct Open {
    Alert alert;
    std::bitset<65536> ports;
    std::uint64_t last_contact_ns = 0, last_raised_ns = 0;
    bool changed = false;
  };
  struct Source {
    std::vector<Attempt> recent;  // distinct ports of the last second
    std::unique_ptr<Open> open;
  };

  void Prune(std::uint64_t mono_ns);
  void OpenAlert(const Key& key, Source* source, std::uint64_t unix_ns);
  void AddEvidence(Open* open, const Attempt& attempt, std::uint64_t unix_ns);
  void Close(Source* source, std::uint64_t unix_ns);

  Raise raise_;
  std::function<std::uint64_t()> packets_seen_;
  std::uint64_t last_prune_ns_ = 0;
  std::uint16_t threshold_ = 0;
  std::size_t open_ = 0;
  absl::flat_hash_map<Key, Source> sources_;
  std::random_device random_;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_PORT_RATE_PORT_RATE_H_
