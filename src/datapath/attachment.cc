// See attachment.h: what both mechanisms share.
#include "src/datapath/attachment.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/datapath/clsact_attachment.h"
#include "src/datapath/errors.h"
#include "src/datapath/netlink.h"
#include "src/datapath/tcx_attachment.h"

namespace knp::datapath {
namespace {

// "" without CAP_SYS_ADMIN, which opening a program by its id needs.
std::string NameOfProgram(std::uint32_t id) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return "";
  return info.name;
}

}  // namespace

absl::StatusOr<ProgramHandle> ProgramHandle::Duplicate(int program_fd) {
  ProgramHandle program;
  program.fd = UniqueFd(fcntl(program_fd, F_DUPFD_CLOEXEC, 0));
  if (!program.fd.valid()) return ErrnoStatus(errno, "cannot duplicate the program's descriptor");
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (const int error = bpf_obj_get_info_by_fd(program.fd.get(), &info, &size); error != 0) {
    return ErrnoStatus(-error, "cannot read the id of the program to attach");
  }
  program.id = info.id;
  program.name = info.name;
  return program;
}

absl::StatusOr<std::unique_ptr<Attachment>> Attachment::Attach(const Target& target, int program_fd,
                                                               Mechanism mechanism, Watchdog* watchdog) {
  absl::StatusOr<ProgramHandle> program = ProgramHandle::Duplicate(program_fd);
  if (!program.ok()) return program.status();
  if (mechanism == Mechanism::kTcx) return TcxAttachment::Attach(target, *std::move(program));
  if (watchdog == nullptr && !target.stays()) return absl::InvalidArgumentError("a clsact attachment needs a watchdog");
  return ClsactAttachment::Attach(target, *std::move(program), watchdog);
}

absl::StatusOr<std::unique_ptr<Attachment>> Attachment::TakeOver(const Target& target, int program_fd,
                                                                 bool owns_qdisc) {
  absl::StatusOr<ProgramHandle> program = ProgramHandle::Duplicate(program_fd);
  if (!program.ok()) return program.status();
  auto link = TcxAttachment::TakeOver(target, program_fd);
  if (!absl::IsNotFound(link.status())) return link;
  return ClsactAttachment::TakeOver(target, *std::move(program), owns_qdisc);
}

bool Attachment::IsThere(const Target& target) {
  if (access(target.pin.c_str(), F_OK) == 0) return true;
  const auto filters = ListFilters(target.ifindex, ClsactParent(target.direction));
  return filters.ok() && std::any_of(filters->begin(), filters->end(), [&target](const FilterInfo& filter) {
           return filter.program_name == target.filter_name;
         });
}

absl::StatusOr<std::vector<ChainLink>> ReadChain(std::uint32_t ifindex, Direction direction) {
  absl::StatusOr<std::vector<std::uint32_t>> tcx = ListTcxPrograms(ifindex, direction);
  if (!tcx.ok()) return tcx.status();
  absl::StatusOr<std::vector<FilterInfo>> filters = ListFilters(ifindex, ClsactParent(direction));
  if (!filters.ok()) return filters.status();

  std::vector<ChainLink> chain;
  for (std::uint32_t id : *tcx) {
    chain.push_back({id, NameOfProgram(id), 0, true, false});
  }
  std::uint32_t other_preference = 0;
  for (const FilterInfo& filter : *filters) {
    if (filter.chain != 0) continue;
    if (filter.kind != "bpf") {
      // u32 shows its hash tables as rows too: one link a preference.
      if (filter.preference != other_preference) chain.push_back({0, filter.kind, filter.preference, false, false});
      other_preference = filter.preference;
    } else if (filter.handle != 0) {
      std::string name = NameOfProgram(filter.program_id);
      if (name.empty()) name = filter.program_name;
      chain.push_back({filter.program_id, std::move(name), filter.preference, false, false});
    }
  }
  return chain;
}

absl::StatusOr<std::vector<ChainLink>> Attachment::Chain() const {
  absl::StatusOr<std::vector<ChainLink>> chain = ReadChain(target_.ifindex, target_.direction);
  if (!chain.ok()) return chain;
  for (ChainLink& link : *chain) {
    link.ours = link.program_id == program_.id && link.tcx == (mechanism() == Mechanism::kTcx);
  }
  return chain;
}

std::string KeptFilterName(Direction direction, const std::string& token) {
  return fmt::format("knp+{}:{}", DirectionName(direction), token);
}

std::string Attachment::Place() const {
  return fmt::format("{} {} of {}", mechanism() == Mechanism::kTcx ? "tcx" : "clsact", DirectionName(target_.direction),
                     target_.interface);
}

}  // namespace knp::datapath
