// What the kernel drops, counted by the kernel (bpf/drops.bpf.c) from the moment of creation on, in all network namespaces:
// exact totals by reason and place, and by conversation as far as there is room. Used by host::DropWatch.
//
// Needs BTF and Linux 5.8. One thread at a time. Times are CLOCK_MONOTONIC.
#ifndef KNP_DATAPATH_DROP_COUNTER_H_
#define KNP_DATAPATH_DROP_COUNTER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "src/datapath/kernel_drops.h"
#include "src/datapath/netns_scope.h"
#include "src/datapath/side_object.h"

namespace knp::datapath {

// Why and where, as the kernel has it.
struct DropSite {
  std::uint64_t location = 0;
  std::uint32_t reason = 0;
  friend auto operator<=>(const DropSite&, const DropSite&) = default;
};

struct DropRow {
  DropSite site;
  std::uint32_t ifindex = 0;  // 0: none
  bool here = false;          // the interface is one of the namespace in which the counter was created
  bool local = false;         // made on this host, and came in nowhere
  bool received = false;      // came in through an interface
  Count count;
};

// Since it was last taken.
struct DroppedFlow {
  IpAddress source, destination;
  std::uint16_t sport = 0, dport = 0;
  std::uint8_t protocol = 0;
  DropSite site;
  Count count;
  std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
};

class DropCounter {
 public:
  struct Rest {
    std::uint64_t drops = 0;     // skbs, all that were dropped
    Count other;                 // in no row: there were too many
    std::uint64_t unflowed = 0;  // skbs: in the rows, but their conversation found no room
    std::uint64_t missed = 0;    // skbs in nothing: a drop within an interrupt of the counting of another one
  };

  // `flows`: conversations kept until they are taken, at least 1. In the namespace whose interfaces are to be named.
  // Unimplemented: not on this kernel; PermissionDenied names the capability.
  static absl::StatusOr<std::unique_ptr<DropCounter>> Create(std::uint32_t flows,
                                                             const std::string& disabled_features = "");

  absl::StatusOr<Rest> ReadRest() const;
  absl::StatusOr<std::vector<DropRow>> ReadRows() const;
  absl::Status TakeFlows(const std::function<void(const DroppedFlow&)>& take);

  const DropVocabulary& vocabulary() const { return vocabulary_; }
  // By /proc/kallsyms, see kernel_drops.h.
  static std::map<std::uint64_t, std::string> ReadFunctions(const std::set<std::uint64_t>& addresses);
  // Empty: there is none any longer, or the namespace may not be entered.
  std::string InterfaceName(std::uint32_t ifindex) const;

 private:
  DropCounter(SideObject object, Netns netns, DropVocabulary vocabulary)
      : object_(std::move(object)), netns_(std::move(netns)), vocabulary_(std::move(vocabulary)) {}
  bool TakeBatches(const std::function<void(const DroppedFlow&)>& take, absl::Status* status);

  SideObject object_;
  Netns netns_;
  DropVocabulary vocabulary_;
  UniqueFd attached_;
  bool batches_ = true;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_DROP_COUNTER_H_
