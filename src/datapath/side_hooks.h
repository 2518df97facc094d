// A program of ours that stands behind the counting one, on the interfaces where that stands and only while it is wanted:
// what it drops or copies has been counted before. Used by Mitigation and PacketCapture, which load the programs.
//
// Not thread-safe. Sync wants a thread in the interfaces' network namespace.
#ifndef KNP_DATAPATH_SIDE_HOOKS_H_
#define KNP_DATAPATH_SIDE_HOOKS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/datapath/attachment.h"
#include "src/datapath/attempts.h"
#include "src/datapath/watchdog.h"

namespace knp::datapath {

class Datapath;

// Where a counting program stands.
struct HookPlace {
  std::uint32_t ifindex = 0;
  std::string interface;
  Direction direction = Direction::kIngress;
  std::uint32_t program_id = 0;
  Mechanism mechanism = Mechanism::kTcx;
  friend bool operator==(const HookPlace&, const HookPlace&) = default;
};

std::vector<HookPlace> CountingPlaces(const Datapath& datapath);

class SideHooks {
 public:
  // Descriptors stay the caller's, and must live as long. `ip_fd`: of the program for devices without a link header.
  struct Programs {
    Direction direction = Direction::kIngress;
    int ethernet_fd = -1;
    int ip_fd = -1;
    bool behind_captures = false;  // of ours: what is dropped can be copied before
  };
  explicit SideHooks(std::vector<Programs> programs) : programs_(std::move(programs)) {}
  ~SideHooks() { Clear(); }
  SideHooks(const SideHooks&) = delete;
  SideHooks& operator=(const SideHooks&) = delete;

  // Afterwards the programs stand at those of the places whose direction they are for, and nowhere else: attaches what is
  // missing or was removed by somebody (ten times a minute for each place, then not until that is over), detaches what
  // is too much. The first failure is returned; the other places are seen to all the same.
  absl::Status Sync(std::span<const HookPlace> places, std::uint64_t now_mono_ns);
  void Clear();

  std::vector<ProgramInfo> Describe() const;
  bool empty() const { return hooks_.empty(); }

 private:
  struct Hook {
    HookPlace place;
    std::unique_ptr<Attachment> attachment;  // null: could not be attached
    Attempts attempts{10, 60'000'000'000};
  };
  absl::Status Keep(Hook* hook, const Programs& programs, std::uint64_t now_mono_ns);
  absl::StatusOr<Watchdog*> GetWatchdog();

  std::vector<Programs> programs_;
  std::unique_ptr<Watchdog> watchdog_;  // outlives the attachments
  std::vector<Hook> hooks_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SIDE_HOOKS_H_
