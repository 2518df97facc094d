// anomaly.long_connection: conversations that last longer than the user allows; off unless a limit is set. One alert each; a
// crowd of them is folded by the alert book.
//
// Bounded: kMostOpen conversations that are told of.
#ifndef KNP_DETECT_LONG_CONNECTION_LONG_CONNECTION_H_
#define KNP_DETECT_LONG_CONNECTION_LONG_CONNECTION_H_

#include <absl/container/flat_hash_set.h>

#include <memory>

#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class LongConnection : public Detector {
 public:
  static constexpr std::size_t kMostOpen = 1024;

  explicit LongConnection(const Surroundings& surroundings);

  void OnRecord(const FlowRecord& record, std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override;

 private:
  void Tell(const FlowRecord& record, std::uint64_t age_ns, std::uint64_t mono_ns);

  const std::uint64_t limit_ns_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  absl::flat_hash_set<std::uint64_t> told_;  // flow ids
  bool finished_ = false;
};

std::unique_ptr<Detector> MakeLongConnection(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_LONG_CONNECTION_LONG_CONNECTION_H_
