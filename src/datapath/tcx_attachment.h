// An Attachment as a tcx link (Linux 6.6): the kernel frees it when this process dies, unless it is pinned. Made by
// attachment.cc alone.
#ifndef KNP_DATAPATH_TCX_ATTACHMENT_H_
#define KNP_DATAPATH_TCX_ATTACHMENT_H_

#include <memory>
#include <vector>

#include "src/datapath/attachment.h"

namespace knp::datapath {

class TcxAttachment : public Attachment {
 public:
  static absl::StatusOr<std::unique_ptr<Attachment>> Attach(const Target& target, ProgramHandle program);
  // NotFound: none is pinned there, or it is not (any longer) at the target.
  static absl::StatusOr<std::unique_ptr<Attachment>> TakeOver(const Target& target, int program_fd);
  ~TcxAttachment() override;

  absl::Status Detach() override;
  absl::Status Replace(int program_fd) override;
  absl::Status MoveToHead() override;
  bool Stands() const override;
  std::uint32_t RunsAt() const override;
  Mechanism mechanism() const override { return Mechanism::kTcx; }

 private:
  using Attachment::Attachment;
  absl::Status Link();
  absl::Status Pin() const;

  UniqueFd link_;  // none: detached
};

// Ids of the programs at the hook, in run order. Empty on kernels without tcx. NotFound: no such interface.
absl::StatusOr<std::vector<std::uint32_t>> ListTcxPrograms(std::uint32_t ifindex, Direction direction);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_TCX_ATTACHMENT_H_
