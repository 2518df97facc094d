// One client's way through the ring: where it begins, what is wanted, when it is over. Knows nothing of gRPC: FlowStream sends what it
// finds. For one thread at a time.
//
// `number` newest flows, or all that are there; with `first` the oldest ones; `since` and `until` bound the time of a flow, and `since`
// then decides where to begin; `follow` goes on with what comes.
#ifndef KNP_EXPORT_HUBBLE_FLOW_QUERY_H_
#define KNP_EXPORT_HUBBLE_FLOW_QUERY_H_

#include <absl/status/statusor.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "proto/hubble/observer.pb.h"
#include "src/export/hubble/field_mask.h"
#include "src/export/hubble/flow_filter.h"
#include "src/export/hubble/flow_log.h"

namespace knp::hubble {

class FlowQuery {
 public:
  enum class Step {
    kFlow,  // entry() is the next one
    kLost,  // TakeLost() tells how many went before they were read
    kMore,  // there is more to look at: call again, others may have a turn before
    kWait,  // all has been read: call again when something was written, or a second later
    kEnd,
  };
  // What a call looks at, at most.
  static constexpr std::size_t kFlowsPerStep = 256;
  // Losses are told of once in this time.
  static constexpr std::uint64_t kLostEveryNs = 1'000'000'000;

  // InvalidArgument: names the field. `log` must outlive the query.
  static absl::StatusOr<FlowQuery> Create(const observer::GetFlowsRequest& request, const FlowLog& log);

  Step Next(std::uint64_t now_unix_ns);

  const FlowRing::Entry& entry() const { return entry_; }
  const FlowFieldMask& mask() const { return mask_; }
  struct Lost {
    std::uint64_t flows = 0;
    std::uint64_t first_unix_ns = 0, last_unix_ns = 0;  // when it was noticed
  };
  Lost TakeLost(std::uint64_t now_unix_ns);

 private:
  FlowQuery(const FlowLog& log, FlowFilterSet filters, FlowFieldMask mask)
      : log_(&log), filters_(std::move(filters)), mask_(std::move(mask)) {}
  void Begin();
  Step Rewind();
  bool LostIsDue(std::uint64_t now_unix_ns) const;
  bool Wanted(const FlowEntry& entry) const;
  bool InTime(const FlowEntry& entry) const;
  Step Ended() const;

  const FlowLog* log_;
  FlowFilterSet filters_;
  FlowFieldMask mask_;
  bool first_ = false, follow_ = false;
  std::uint64_t number_ = 0;  // 0: no bound
  std::optional<std::uint64_t> since_ns_, until_ns_;

  bool begun_ = false;
  std::uint64_t rewind_ = 0;  // so many are still to be found on the way back
  std::uint64_t position_ = 0;
  std::uint64_t end_ = ~std::uint64_t{0};  // when not following: what was there at the beginning
  std::uint64_t sent_ = 0;
  std::vector<FlowRing::Entry> batch_;
  std::size_t at_ = 0;  // in batch_
  FlowRing::Entry entry_;
  Lost lost_;
  std::uint64_t lost_told_ns_ = 0;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_QUERY_H_
