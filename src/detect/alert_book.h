// The lives of alerts: one attack is one alert, opened, updated while it lasts, closed when it is over. Fed by detectors with
// findings, as often as they like; read by sinks through what it raises. Here, and nowhere else, is decided what is
// suppressed, what is the same attack again (cool-down), and what is folded because too many are open.
//
// Bounded: open alerts by DetectionOptions::max_open_alerts and one a type for what is folded, closed ones by kMostClosed.
#ifndef KNP_DETECT_ALERT_BOOK_H_
#define KNP_DETECT_ALERT_BOOK_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <knp/detection.h>
#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <string_view>

namespace knp::detect {

// What a detector knows of an attack now. Of `alert` it fills type, severity, source, target, rule, evidence and summary;
// times, id and state are the book's.
struct Finding {
  Alert alert;
  // What makes it the same attack as before, besides the type: mostly the source's or the target's address.
  std::string key;
  // Who found it, where several may find the same: the first one's words stand.
  std::string origin{};
  std::uint64_t first_mono_ns = 0;
  std::uint64_t last_mono_ns = 0;           // when the attack was seen last
  std::uint64_t quiet_ns = 60'000'000'000;  // it is over after so long without
};

class AlertBook {
 public:
  struct Context {
    std::function<void(const Alert&)> raise;
    std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
    std::function<std::uint64_t()> packets_seen;
  };
  static constexpr std::size_t kMostClosed = 1024;

  // `options` must outlive the book.
  AlertBook(const DetectionOptions& options, Context context);

  // Opens an alert for it, or brings an open one up to date.
  void Tell(const Finding& finding, std::uint64_t mono_ns);
  // Whether one is open (not only folded): its detector may then tell less often.
  bool IsOpen(std::string_view type, std::string_view key) const;
  // Whether an open alert of a scan or a flood names the address, as source or as target.
  bool NamesInAttack(const IpAddress& address) const;
  // The attack is over, whatever the quiet time says.
  void Close(std::string_view type, std::string_view key, std::uint64_t mono_ns);

  // Tells again of what has changed, closes what is over.
  void Advance(std::uint64_t mono_ns);
  void CloseAll(std::uint64_t mono_ns);

  std::size_t open() const { return open_.size(); }
  std::uint64_t suppressed() const { return suppressed_; }  // findings, each attack once as a rule
  std::uint64_t folded() const { return folded_; }

 private:
  struct Entry {
    Alert alert;
    std::uint64_t last_mono_ns = 0, told_mono_ns = 0, quiet_ns = 0;
    bool changed = false;
    std::string origin;
    absl::flat_hash_set<std::string> folded;  // keys, at most kMostFolded
  };
  struct Closed {
    std::string id;
    std::uint64_t first_seen_unix_ns = 0, packets_seen = 0, mono_ns = 0;
  };
  using Map = absl::flat_hash_map<std::string, Entry>;

  static std::string MapKey(std::string_view type, std::string_view key);
  bool IsSuppressed(const Alert& alert) const;
  bool HasRoomFor(const Alert& alert) const;
  void Open(const std::string& map_key, const Finding& finding, std::uint64_t mono_ns);
  void Fold(const Finding& finding, std::uint64_t mono_ns);
  void Refresh(Entry* entry, const Finding& finding);
  void Raise(Entry* entry, AlertState state, std::uint64_t mono_ns);
  void Remember(const std::string& map_key, const Entry& entry, std::uint64_t mono_ns);

  const DetectionOptions& options_;
  Context context_;
  Map open_;
  absl::flat_hash_map<std::string, Closed> closed_;
  std::deque<std::string> closed_order_;
  absl::flat_hash_set<std::string> suppressed_keys_;
  std::uint64_t suppressed_ = 0, folded_ = 0;
  std::random_device random_;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_ALERT_BOOK_H_
