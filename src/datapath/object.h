// Our BPF object, from the library itself or from disk, in the variant that this kernel takes: opened, checked against the
// ABI, sized, loaded. The only place that knows the names of its maps and programs.
#ifndef KNP_DATAPATH_OBJECT_H_
#define KNP_DATAPATH_OBJECT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/options.h>
#include <knp/user_map.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "abi/knp_abi.h"
#include "src/base/unique_fd.h"
#include "src/datapath/features.h"
#include "src/datapath/pin_directory.h"
#include "src/datapath/pinned_state.h"

struct bpf_object;

namespace knp::datapath {

// Of the table's hash in a replay. Fixed, so that the same capture gives the same records; who makes flows collide by it
// causes evictions, which lose nothing.
inline constexpr std::uint64_t kReplaySeed = 0x6b6e705f7265706cull;

// How the budget is spent; see Plan().
struct Sizes {
  std::uint32_t cpus = 0;      // possible ones
  std::uint32_t buckets4 = 0;  // per CPU
  std::uint32_t buckets6 = 0;
  std::uint32_t buckets_inner = 0;  // of flows inside tunnels
  std::uint32_t max_ifaces = 0;     // slot 0 included
  std::uint32_t ring_bytes = 0;     // of the ring, or of all CPUs' perf buffers together
  bool samples = true;              // of payload, wanted
};

// Three quarters of the table's budget for IPv4, one for IPv6, and an eighth on top for what is inside tunnels, divided by the possible CPUs: fixed in total, however
// many there are. InvalidArgument if not even one bucket a CPU fits.
absl::StatusOr<Sizes> Plan(const MonitorOptions& options, std::uint32_t possible_cpus, std::size_t page_size);

// Where an object's maps are to be found, or left, beyond this process.
struct Pins {
  PinDirectory* directory = nullptr;
  std::unique_ptr<PinnedState> latest;  // null: none, or none that can be read
  std::uint32_t latest_number = 0;      // 0: none
  PinnedState::Origin origin;           // of a state that has to be made
};

class Object {
 public:
  // All are built from the same sources (bpf/lib/variant.h).
  enum class Variant { kCurrent, k418, kReplay };
  // How its arrays are read: in place, copied many values a call, or value by value.
  enum class Reading { kMapped, kBatched, kSingle };

  // `path` empty: the embedded object. Otherwise a file, beside which the 4.18 variant of X.o stands as .o. Loaded
  // into the kernel on return, attached to nothing. If the verifier refuses the current variant, the other one is tried,
  // and `features` told. `pins`, if not null: the latest state's maps are used if they fit; else those that are made are
  // pinned as the next one.
  static absl::StatusOr<std::unique_ptr<Object>> Load(const std::string& path, const MonitorOptions& options,
                                                      Features* features, Pins* pins = nullptr);
  // The embedded object that frames of a capture are run through (bpf/replay.bpf.c): one part of the tables, as of one CPU.
  // Unimplemented: this kernel cannot.
  static absl::StatusOr<std::unique_ptr<Object>> LoadReplay(const Sizes& sizes, const Features& features);
  ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  int ProgramFd(const char* name) const;  // of a program that Load has checked
  int MapFd(const char* name) const;      // likewise
  const Sizes& sizes() const { return sizes_; }
  // Packets inside tunnels are looked at, and knp_flows_inner is there.
  bool tells_tunnels() const { return variant_ != Variant::k418; }
  bool uses_ringbuf() const { return uses_ringbuf_; }
  std::size_t perf_bytes_a_cpu() const;  // of the perf buffers, where these are used
  Variant variant() const { return variant_; }
  Reading reading() const { return reading_; }

  // The state that its maps belong to, and its number. Null: they are not pinned; this variant's cannot be, or need not.
  PinnedState* state() const { return state_.get(); }
  std::uint32_t state_number() const { return state_number_; }

  struct MapInfo {
    int fd = -1;
    std::uint32_t max_entries = 0, value_size = 0;
  };
  MapInfo DescribeMap(const char* name) const;  // likewise

  // Any map of the object, a user's included.
  absl::StatusOr<RawMap> OpenMap(const std::string& name, std::size_t key_size, std::size_t value_size) const;

 private:
  Object() = default;
  // A refusal by the verifier is FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<Object>> LoadVariant(const std::string& path, Variant variant,
                                                             const Sizes& sizes, const Features& features,
                                                             Pins* pins = nullptr);
  absl::Status ReuseMaps(Pins* pins);
  void ReusePrograms();
  absl::Status PinMaps(Pins* pins);
  absl::Status PinPrograms();
  absl::Status Check(const std::string& origin) const;
  absl::Status CheckVersion(const std::string& origin) const;
  absl::Status Configure(const Features& features);
  absl::Status StoreSettings() const;

  bpf_object* object_ = nullptr;
  Sizes sizes_;
  knp_config config_{};
  Variant variant_ = Variant::kCurrent;
  Reading reading_ = Reading::kMapped;
  bool uses_ringbuf_ = false;
  std::unique_ptr<PinnedState> state_;
  std::uint32_t state_number_ = 0;
  std::uint64_t image_ = 0;                   // its digest; 0: a user's
  std::map<std::string, UniqueFd> programs_;  // an earlier process's, if they are the same; then nothing is loaded
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_OBJECT_H_
