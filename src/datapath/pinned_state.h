// The maps of one layout, pinned in a directory of their own: those of the BPF object that carry state, and the checkpoint
// beside them, which user space alone writes. Found or made by Object as it is loaded; read by Datapath.
#ifndef KNP_DATAPATH_PINNED_STATE_H_
#define KNP_DATAPATH_PINNED_STATE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/unique_fd.h"
#include "src/datapath/checkpoint.h"

namespace knp::datapath {

// An array of our own that is mapped for as long as this lives, and pinned for longer.
class PinnedArray {
 public:
  PinnedArray() = default;
  PinnedArray(PinnedArray&& other) noexcept;
  PinnedArray& operator=(PinnedArray&& other) noexcept;
  ~PinnedArray();
  static absl::StatusOr<PinnedArray> Make(const std::string& path, const char* name, std::size_t value_size,
                                          std::size_t values);
  // FailedPrecondition: it is of another size.
  static absl::StatusOr<PinnedArray> Open(const std::string& path, std::size_t value_size);

  template <typename T>
  std::span<T> as() const {
    return {static_cast<T*>(memory_), values_};
  }

 private:
  static absl::StatusOr<PinnedArray> Map(const std::string& path, int fd, std::size_t value_size, std::size_t values);
  void* memory_ = nullptr;
  std::size_t bytes_ = 0, values_ = 0;
};

class PinnedState {
 public:
  // What does not hang on the layout, and is handed from state to state.
  struct Origin {
    std::uint64_t netns = 0;
    std::uint64_t since_unix_ns = 0;
  };
  // In a directory that is made. Complete() is due once the object's maps are pinned too.
  static absl::StatusOr<std::unique_ptr<PinnedState>> Make(const std::string& directory, const knp_config& config,
                                                           const Origin& origin);
  // FailedPrecondition: it is of another version of this library. DataLoss, NotFound: it was never completed.
  static absl::StatusOr<std::unique_ptr<PinnedState>> Open(const std::string& directory);
  void Complete();

  std::string PathOf(const std::string& map) const { return directory_ + "/" + map; }
  // Maps and programs of `config` (whose seed does not matter) go with this one's.
  bool Fits(const knp_config& config) const;
  Checkpoint& checkpoint() { return *checkpoint_; }
  const knp_config& config() const { return head_.as<CheckpointHead>()[0].config; }
  Origin origin() const;
  // What its programs have counted in a slot, all CPUs together; for a state that is not in use any more.
  absl::StatusOr<KernelCounters> SumSlot(std::uint32_t slot);

 private:
  explicit PinnedState(std::string directory) : directory_(std::move(directory)) {}
  void Connect();

  std::string directory_;
  PinnedArray head_, books_, shadows_[Checkpoint::kTables];
  std::optional<PinnedArray> counters_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_PINNED_STATE_H_
