// One of our programs at one hook of one interface: attached first in the chain, or right behind another of ours, kept
// there, taken away without a trace.
//
// tcx (Linux 6.6) where it is allowed and works, else a clsact filter at preference 1. Never removes or replaces what
// others attached. Fed by Interface (src/datapath/interface.cc), which decides when to check and to repair.
//
// One call at a time. Attach, Replace, MoveToHead and Chain want a thread in the interface's network namespace; the rest
// works from anywhere.
#ifndef KNP_DATAPATH_ATTACHMENT_H_
#define KNP_DATAPATH_ATTACHMENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"

namespace knp::datapath {

class Watchdog;

// What stands at a hook, ours included, in the order in which the kernel runs it (tcx before clsact).
struct ChainLink {
  std::uint32_t program_id = 0;  // 0: a classifier that is no BPF program
  std::string program_name;      // "" if it may not be read; the kind ("u32", "flower", …) of what is no BPF program
  std::uint32_t preference = 0;  // of a clsact filter
  bool tcx = false;
  bool ours = false;  // this Attachment
};

// The whole chain at a hook, whoever asks: no link is marked as ours.
absl::StatusOr<std::vector<ChainLink>> ReadChain(std::uint32_t ifindex, Direction direction);

enum class Mechanism { kTcx, kClsact };

// A loaded program, held by a descriptor of our own.
struct ProgramHandle {
  UniqueFd fd;
  std::uint32_t id = 0;
  std::string name;

  static absl::StatusOr<ProgramHandle> Duplicate(int program_fd);
};

class Attachment {
 public:
  struct Target {
    std::uint32_t ifindex = 0;
    std::string interface;
    Direction direction = Direction::kIngress;
    // 0: at the head. Else right behind this program, which must stand at this hook by the same mechanism: what it has
    // to see, it sees before us.
    std::uint32_t after_program_id = 0;
    // Empty: the program goes with this object and, whatever happens, with this process. Else it stays until Detach: a tcx
    // link is pinned to `pin`, a clsact filter is called `filter_name` (which does not begin with "knp_": no leftover).
    std::string pin{}, filter_name{};

    bool stays() const { return !pin.empty(); }
  };

  // Attaches `program_fd` (which stays the caller's) at the target's place. `watchdog` may be null only for kTcx, or if it
  // stays: it removes a clsact filter if this process dies, and must outlive the attachment. Half-done work is undone on failure.
  // NotFound: the interface is gone, or after_program_id is not there. AlreadyExists: this program is at this hook already.
  static absl::StatusOr<std::unique_ptr<Attachment>> Attach(const Target& target, int program_fd, Mechanism mechanism,
                                                            Watchdog* watchdog);
  // Takes over what an earlier process has left at a target that stays, and puts `program_fd` in its place in one step.
  // `owns_qdisc`: the earlier one's. NotFound: nothing of that stands there.
  static absl::StatusOr<std::unique_ptr<Attachment>> TakeOver(const Target& target, int program_fd, bool owns_qdisc);
  // Whether there is such a thing, as far as can be told without touching it.
  static bool IsThere(const Target& target);
  virtual ~Attachment() = default;  // detaches, unless it stays
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  // Takes our program away, and the clsact qdisc if we made it and nobody uses it. Idempotent; OK if the interface is
  // gone.
  virtual absl::Status Detach() = 0;
  // Another program in the same place in one step: no packet passes without one of the two. FailedPrecondition: somebody
  // removed ours; MoveToHead puts it back.
  virtual absl::Status Replace(int program_fd) = 0;
  // Detaches and attaches again at the head of the chain, or behind after_program_id: for when somebody ends it before us or took us away. A packet
  // is never counted twice; those of the moment between are `unseen`. The head may stay another's (clsact: a classifier
  // of another kind holds preference 1): Chain() tells. After an error nothing of ours stands; may be called again.
  virtual absl::Status MoveToHead() = 0;
  // False: somebody removed it or put another program in its place (or the interface is gone).
  virtual bool Stands() const = 0;
  // The index of the interface at which our program still runs, though it may have left this network namespace; 0: at
  // none, or not known.
  virtual std::uint32_t RunsAt() const { return 0; }
  virtual Mechanism mechanism() const = 0;
  // The clsact qdisc in which our filter stands was made by one of us.
  virtual bool owns_qdisc() const { return false; }
  const Target& target() const { return target_; }
  // For messages.
  void InterfaceRenamed(const std::string& name) { target_.interface = name; }
  // The kernel's id of the program that we attached last.
  std::uint32_t program_id() const { return program_.id; }

  // The whole chain at this hook.
  absl::StatusOr<std::vector<ChainLink>> Chain() const;

 protected:
  Attachment(Target target, ProgramHandle program) : target_(std::move(target)), program_(std::move(program)) {}
  // "clsact ingress of eth0", for messages.
  std::string Place() const;

  Target target_;
  ProgramHandle program_;
};

// The name of a clsact filter that stays, by the token of its pin directory (pin_directory.h). No leftover's.
std::string KeptFilterName(Direction direction, const std::string& token);

// Removes clsact filters whose program is one of ours (its name starts with "knp_") and whose owner is dead: leftovers
// of a process that was killed together with its watchdog; and the qdisc, if nothing but such filters was in it.
// Returns how many filters. `live_program_ids`: programs that stay whatever is known of them. A filter is a leftover only
// if nobody holds its live mark (src/datapath/live_mark.h).
absl::StatusOr<int> RemoveLeftovers(std::uint32_t ifindex, const std::vector<std::uint32_t>& live_program_ids);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_ATTACHMENT_H_
