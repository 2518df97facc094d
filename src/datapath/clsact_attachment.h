// An Attachment as a direct-action BPF filter of a clsact qdisc: for kernels before 6.6. The filter outlives this
// process, so a Watchdog knows of it before it exists; unless it is to stay. Made by attachment.cc alone.
//
// When a clsact qdisc is made or deleted, the kernel drops what the interface sends within about a millisecond (it
// halts the device's queues: qdisc_graft in net/sched/sch_api.c); replacing and moving a filter costs no packet.
#ifndef KNP_DATAPATH_CLSACT_ATTACHMENT_H_
#define KNP_DATAPATH_CLSACT_ATTACHMENT_H_

#include <memory>
#include <utility>

#include "src/datapath/attachment.h"
#include "src/datapath/clsact.h"
#include "src/datapath/netlink_socket.h"
#include "src/datapath/watchdog.h"

namespace knp::datapath {

class ClsactAttachment : public Attachment {
 public:
  static absl::StatusOr<std::unique_ptr<Attachment>> Attach(const Target& target, ProgramHandle program,
                                                            Watchdog* watchdog);
  // NotFound: no filter of the target's name is there.
  static absl::StatusOr<std::unique_ptr<Attachment>> TakeOver(const Target& target, ProgramHandle program,
                                                              bool owns_qdisc);
  ~ClsactAttachment() override;

  absl::Status Detach() override;
  absl::Status Replace(int program_fd) override;
  absl::Status MoveToHead() override;
  bool Stands() const override;
  Mechanism mechanism() const override { return Mechanism::kClsact; }
  bool owns_qdisc() const override { return owns_qdisc_; }

 private:
  ClsactAttachment(const Target& target, ProgramHandle program, Watchdog* watchdog, NetlinkSocket socket);
  absl::Status Register();
  absl::Status EnsureQdisc();
  absl::StatusOr<bool> MadeByOneOfUs() const;
  absl::Status SetOwnsQdisc(bool owns);
  absl::Status AddFilter();
  absl::StatusOr<std::uint32_t> LowestFreePreference() const;
  absl::StatusOr<bool> FilterStands() const;
  absl::Status RemoveFilter();  // clears owns_qdisc_ if somebody else had removed it
  void Unregister();
  std::string FilterName(const ProgramHandle& program) const;
  // The watchdog's part, if there is one.
  absl::Status Watch(const FilterId& filter) { return watchdog_ ? watchdog_->Add(filter) : absl::OkStatus(); }
  void Unwatch(const FilterId& filter) {
    if (watchdog_) watchdog_->Remove(filter).IgnoreError();  // a stale entry finds no filter
  }
  FilterId Id() const;
  FilterPlace Hook() const { return {target_.ifindex, parent_, 0, 0}; }

  Watchdog* watchdog_;  // null: the filter stays
  // Not const to its owner: every question goes through it.
  mutable NetlinkSocket socket_;
  std::uint32_t parent_;
  FilterPlace place_;  // of our filter; handle 0: it does not stand
  bool registered_ = false;
  bool owns_qdisc_ = false;  // we made it, or another attachment of this kind, in whatever process
  UniqueFd alive_mark_, owner_mark_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_CLSACT_ATTACHMENT_H_
