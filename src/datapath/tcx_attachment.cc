// See tcx_attachment.h. Debian 12's libbpf and <linux/bpf.h> (6.1) do not know tcx, so the arguments of bpf(2) are
// declared here as include/uapi/linux/bpf.h of Linux 6.6 lays them out.
#include "src/datapath/tcx_attachment.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr std::uint32_t kAttachTcxIngress = 46;  // BPF_TCX_INGRESS
constexpr std::uint32_t kAttachTcxEgress = 47;   // BPF_TCX_EGRESS
constexpr std::uint32_t kBefore = 1u << 3;       // BPF_F_BEFORE; with no program to be before: at the head
constexpr std::uint32_t kAfter = 1u << 4;        // BPF_F_AFTER
constexpr std::uint32_t kById = 1u << 5;         // BPF_F_ID: the other program is named by its id
constexpr std::size_t kMaxPrograms = 64;         // BPF_MPROG_MAX

// union bpf_attr, link_create with its tcx part.
struct LinkCreateArguments {
  std::uint32_t prog_fd, target_ifindex, attach_type, flags;
  std::uint32_t relative, pad;  // a descriptor or, with BPF_F_ID, an id
  std::uint64_t expected_revision;
};
static_assert(sizeof(LinkCreateArguments) == 32);

// union bpf_attr, query.
struct QueryArguments {
  std::uint32_t target_ifindex, attach_type, query_flags, attach_flags;
  std::uint64_t prog_ids;
  std::uint32_t count, pad;
  std::uint64_t prog_attach_flags, link_ids, link_attach_flags, revision;
};
static_assert(sizeof(QueryArguments) == 64 && offsetof(QueryArguments, prog_ids) == 16 &&
              offsetof(QueryArguments, revision) == 56);

// struct bpf_link_info with its tcx part.
struct TcxLinkInfo {
  std::uint32_t type, id, prog_id, pad;
  std::uint32_t ifindex, attach_type;
};
static_assert(offsetof(TcxLinkInfo, ifindex) == offsetof(bpf_link_info, xdp));

template <typename Arguments>
int Bpf(int command, Arguments* arguments) {
  return static_cast<int>(syscall(SYS_bpf, command, arguments, sizeof(*arguments)));
}

std::uint32_t AttachType(Direction direction) {
  return direction == Direction::kIngress ? kAttachTcxIngress : kAttachTcxEgress;
}

std::optional<TcxLinkInfo> Read(int link) {
  TcxLinkInfo info{};
  __u32 size = sizeof(info);
  if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size) != 0) return std::nullopt;
  return info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Attachment>> TcxAttachment::Attach(const Target& target, ProgramHandle program) {
  std::unique_ptr<TcxAttachment> attachment(new TcxAttachment(target, std::move(program)));
  if (absl::Status status = attachment->Link(); !status.ok()) return status;
  return attachment;
}

absl::StatusOr<std::unique_ptr<Attachment>> TcxAttachment::TakeOver(const Target& target, int program_fd) {
  UniqueFd link(bpf_obj_get(target.pin.c_str()));
  const std::optional<TcxLinkInfo> info = Read(link.get());
  const auto not_found = [&target] {
    return absl::NotFoundError(
        fmt::format("no link of ours is at {} of {}", DirectionName(target.direction), target.interface));
  };
  if (!info || info->ifindex != target.ifindex || info->attach_type != AttachType(target.direction)) return not_found();
  // An interface that was moved has taken its link along, and may have the same index there.
  const auto here = ListTcxPrograms(target.ifindex, target.direction);
  if (!here.ok()) return here.status();
  if (std::find(here->begin(), here->end(), info->prog_id) == here->end()) return not_found();
  ProgramHandle current;  // held by the link
  current.id = info->prog_id;
  std::unique_ptr<TcxAttachment> attachment(new TcxAttachment(target, std::move(current)));
  attachment->link_ = std::move(link);
  if (absl::Status status = attachment->Replace(program_fd); !status.ok()) return status;
  return attachment;
}

TcxAttachment::~TcxAttachment() {
  if (!target_.stays()) TcxAttachment::Detach().IgnoreError();
}

// The place may still be taken by a link that stands nowhere.
absl::Status TcxAttachment::Pin() const {
  unlink(target_.pin.c_str());
  const int error = bpf_obj_pin(link_.get(), target_.pin.c_str());
  return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, fmt::format("cannot pin our link to {}", target_.pin));
}

absl::Status TcxAttachment::Link() {
  LinkCreateArguments arguments{};
  arguments.prog_fd = static_cast<std::uint32_t>(program_.fd.get());
  arguments.target_ifindex = target_.ifindex;
  arguments.attach_type = AttachType(target_.direction);
  arguments.flags = target_.after_program_id == 0 ? kBefore : kAfter | kById;
  arguments.relative = target_.after_program_id;
  link_ = UniqueFd(Bpf(BPF_LINK_CREATE, &arguments));
  if (link_.valid()) {
    absl::Status status = target_.stays() ? Pin() : absl::OkStatus();
    if (!status.ok()) Detach().IgnoreError();
    return status;
  }
  const int error = errno;
  const std::string what = fmt::format("cannot attach program '{}' to {}", program_.name, Place());
  if (error == EINVAL) {
    return absl::UnimplementedError(
        fmt::format("{}: this kernel has no tcx (Linux 6.6), or the program is no tc program", what));
  }
  if (error == ENOENT && target_.after_program_id != 0) {
    return absl::NotFoundError(
        fmt::format("{}: program id {}, behind which it is to stand, is not there", what, target_.after_program_id));
  }
  if (error == ERANGE) {
    return absl::ResourceExhaustedError(
        fmt::format("{}: {} programs stand there already; `bpftool net` shows them", what, kMaxPrograms));
  }
  return ErrnoStatus(error, what);
}

absl::Status TcxAttachment::Detach() {
  if (!link_.valid()) return absl::OkStatus();
  // Closing is not enough if a child process has inherited the descriptor or somebody pinned the link. A link that has
  // lost its interface says ENOLINK or nothing.
  const int error = bpf_link_detach(link_.get());
  link_.Reset();
  if (target_.stays()) unlink(target_.pin.c_str());
  if (error == 0 || error == -ENOLINK) return absl::OkStatus();
  return ErrnoStatus(-error, "cannot detach from " + Place());
}

absl::Status TcxAttachment::Replace(int program_fd) {
  absl::StatusOr<ProgramHandle> program = ProgramHandle::Duplicate(program_fd);
  if (!program.ok()) return program.status();
  const int error = link_.valid() ? bpf_link_update(link_.get(), program->fd.get(), nullptr) : -ENOLINK;
  const std::string what = fmt::format("cannot replace program '{}' at {}", program_.name, Place());
  if (error == -ENOLINK) return absl::FailedPreconditionError(what + ": it has been detached");
  if (error != 0) return ErrnoStatus(-error, what);
  program_ = *std::move(program);
  return absl::OkStatus();
}

absl::Status TcxAttachment::MoveToHead() {
  if (absl::Status status = Detach(); !status.ok()) return status;
  return Link();
}

bool TcxAttachment::Stands() const {
  const std::optional<TcxLinkInfo> info = Read(link_.get());
  return info && info->ifindex == target_.ifindex && info->prog_id == program_.id;
}

std::uint32_t TcxAttachment::RunsAt() const {
  const std::optional<TcxLinkInfo> info = Read(link_.get());
  return info ? info->ifindex : 0;
}

absl::StatusOr<std::vector<std::uint32_t>> ListTcxPrograms(std::uint32_t ifindex, Direction direction) {
  std::array<std::uint32_t, kMaxPrograms> ids{};
  QueryArguments arguments{};
  arguments.target_ifindex = ifindex;
  arguments.attach_type = AttachType(direction);
  arguments.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  arguments.count = ids.size();
  if (Bpf(BPF_PROG_QUERY, &arguments) == 0) {
    return std::vector<std::uint32_t>(ids.begin(), ids.begin() + std::min<std::size_t>(arguments.count, ids.size()));
  }
  const int error = errno;
  // ENOENT: nothing was ever attached. EINVAL: a kernel without tcx does not know the attach type.
  if (error == ENOENT || error == EINVAL) return std::vector<std::uint32_t>();
  return ErrnoStatus(error, fmt::format("cannot list the tcx programs of interface {}", ifindex));
}

}  // namespace knp::datapath
