// See clsact_attachment.h. cls_bpf runs the newest filter of a preference first, so a filter that is added at the lowest
// preference is at the head, and one at the next preference is behind it.
#include "src/datapath/clsact_attachment.h"

#include <fmt/format.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <cerrno>

#include "src/datapath/live_mark.h"
#include "src/datapath/netlink.h"

namespace knp::datapath {
namespace {

constexpr int kAttempts = 5;
constexpr std::uint32_t kMaxPreference = 0xffff;

}  // namespace

absl::StatusOr<std::unique_ptr<Attachment>> ClsactAttachment::Attach(const Target& target, ProgramHandle program,
                                                                     Watchdog* watchdog) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  std::unique_ptr<ClsactAttachment> attachment(
      new ClsactAttachment(target, std::move(program), target.stays() ? nullptr : watchdog, *std::move(socket)));
  absl::StatusOr<std::vector<FilterInfo>> filters =
      ListFilters(attachment->socket_, target.ifindex, attachment->parent_);
  if (!filters.ok()) return filters.status();
  for (const FilterInfo& filter : *filters) {
    if (filter.program_id == attachment->program_.id) {
      return absl::AlreadyExistsError(
          fmt::format("program '{}' is attached to {} already", attachment->program_.name, attachment->Place()));
    }
  }
  // From here on the destructor undoes what was done.
  if (absl::Status status = attachment->Register(); !status.ok()) return status;
  if (absl::Status status = attachment->EnsureQdisc(); !status.ok()) return status;
  if (absl::Status status = attachment->AddFilter(); !status.ok()) return status;
  return attachment;
}

ClsactAttachment::ClsactAttachment(const Target& target, ProgramHandle program, Watchdog* watchdog,
                                   NetlinkSocket socket)
    : Attachment(target, std::move(program)),
      watchdog_(watchdog),
      socket_(std::move(socket)),
      parent_(ClsactParent(target.direction)) {}

absl::StatusOr<std::unique_ptr<Attachment>> ClsactAttachment::TakeOver(const Target& target, ProgramHandle program,
                                                                       bool owns_qdisc) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  absl::StatusOr<std::vector<FilterInfo>> filters =
      ListFilters(*socket, target.ifindex, ClsactParent(target.direction));
  if (!filters.ok()) return filters.status();
  const auto found = std::find_if(filters->begin(), filters->end(), [&target](const FilterInfo& filter) {
    return filter.kind == "bpf" && filter.chain == 0 && filter.handle != 0 && filter.program_name == target.filter_name;
  });
  if (found == filters->end())
    return absl::NotFoundError(
        fmt::format("no filter of ours is at {} of {}", DirectionName(target.direction), target.interface));
  ProgramHandle current;  // held by the filter
  current.id = found->program_id;
  std::unique_ptr<ClsactAttachment> attachment(
      new ClsactAttachment(target, std::move(current), nullptr, *std::move(socket)));
  attachment->place_ = attachment->Hook();
  attachment->place_.preference = found->preference;
  attachment->place_.handle = found->handle;
  attachment->registered_ = true;
  attachment->owns_qdisc_ = owns_qdisc;
  if (absl::Status status = attachment->Replace(program.fd.get()); !status.ok()) return status;
  return attachment;
}

ClsactAttachment::~ClsactAttachment() {
  if (!target_.stays()) ClsactAttachment::Detach().IgnoreError();
}

// Marks the filter as ours for RemoveLeftovers, and looks in tc(8) as if libbpf had attached it.
std::string ClsactAttachment::FilterName(const ProgramHandle& program) const {
  if (target_.stays()) return target_.filter_name;
  const bool prefixed = program.name.rfind("knp_", 0) == 0;
  return fmt::format("{}{}:[{}]", prefixed ? "" : "knp_", program.name, program.id);
}

FilterId ClsactAttachment::Id() const { return {target_.ifindex, parent_, program_.id, owns_qdisc_ ? 1u : 0u}; }

absl::Status ClsactAttachment::Register() {
  absl::StatusOr<UniqueFd> mark = HoldMark(Mark::kAlive, program_.id, target_.ifindex, parent_);
  if (!mark.ok()) return mark.status();
  if (absl::Status status = Watch(Id()); !status.ok()) return status;
  alive_mark_ = *std::move(mark);
  registered_ = true;
  return absl::OkStatus();
}

void ClsactAttachment::Unregister() {
  if (registered_) Unwatch(Id());
  registered_ = false;
  owns_qdisc_ = false;
  alive_mark_.Reset();
  owner_mark_.Reset();
}

absl::Status ClsactAttachment::EnsureQdisc() {
  const int error = AddClsact(socket_, target_.ifindex);
  if (error != 0 && error != -EEXIST) {
    return socket_.Explain(error, fmt::format("cannot create the clsact qdisc of {}", target_.interface));
  }
  absl::StatusOr<bool> owns = error == 0 || owns_qdisc_;
  if (!*owns) owns = MadeByOneOfUs();
  if (!owns.ok()) return owns.status();
  if (absl::Status status = SetOwnsQdisc(*owns); !status.ok()) return status;
  if (error == 0) return absl::OkStatus();
  absl::StatusOr<std::string> kind = ClsactPlaceHolder(socket_, target_.ifindex);
  if (!kind.ok()) return kind.status();
  // An `ingress` qdisc takes egress filters too, and runs them on ingress: every packet would count twice.
  if (*kind != "clsact" && target_.direction == Direction::kEgress) {
    return absl::FailedPreconditionError(
        fmt::format("{} has the qdisc '{}', which has no egress hook and keeps clsact out; replace it "
                    "(tc qdisc replace dev {} clsact) and try again",
                    target_.interface, *kind, target_.interface));
  }
  return absl::OkStatus();
}

// The filter of one that owns the qdisc stands in it, a witness that it is still the same qdisc. Whoever of us leaves
// last takes it along.
absl::StatusOr<bool> ClsactAttachment::MadeByOneOfUs() const {
  for (Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const std::uint32_t parent = ClsactParent(direction);
    absl::StatusOr<std::vector<FilterInfo>> filters = ListFilters(socket_, target_.ifindex, parent);
    if (!filters.ok()) return filters.status();
    for (const FilterInfo& filter : *filters) {
      const std::uint32_t id = filter.program_id;
      if (id != 0 && HasMark(Mark::kOwnsQdisc, id, target_.ifindex, parent, false)) return true;
    }
  }
  return false;
}

absl::Status ClsactAttachment::SetOwnsQdisc(bool owns) {
  if (owns == owns_qdisc_) return absl::OkStatus();
  owns_qdisc_ = owns;
  owner_mark_.Reset();
  if (owns) {
    absl::StatusOr<UniqueFd> mark = HoldMark(Mark::kOwnsQdisc, program_.id, target_.ifindex, parent_);
    if (!mark.ok()) return mark.status();
    owner_mark_ = *std::move(mark);
  }
  return Watch(Id());
}

absl::StatusOr<std::uint32_t> ClsactAttachment::LowestFreePreference() const {
  absl::StatusOr<std::vector<FilterInfo>> filters = ListFilters(socket_, target_.ifindex, parent_);
  if (!filters.ok()) return filters.status();
  std::uint32_t preference = 1;
  if (target_.after_program_id != 0) {
    const auto before = std::find_if(filters->begin(), filters->end(), [this](const FilterInfo& filter) {
      return filter.chain == 0 && filter.program_id == target_.after_program_id;
    });
    if (before == filters->end()) {
      return absl::NotFoundError(
          fmt::format("program id {}, behind which we are to stand, is not at {}", target_.after_program_id, Place()));
    }
    preference = before->preference + 1;
  }
  for (const FilterInfo& filter : *filters) {  // ascending by preference
    if (filter.chain != 0 || filter.preference != preference) continue;
    if (filter.kind != "bpf" || filter.protocol != ETH_P_ALL) ++preference;
  }
  if (preference <= kMaxPreference) return preference;
  return absl::ResourceExhaustedError(fmt::format("every preference of {} is taken", Place()));
}

absl::Status ClsactAttachment::AddFilter() {
  int error = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<std::uint32_t> preference = LowestFreePreference();
    if (!preference.ok()) return preference.status();
    place_ = Hook();
    place_.preference = *preference;
    error = PutBpfFilter(socket_, &place_, program_.fd.get(), FilterName(program_).c_str(), false);
    if (error == 0) return absl::OkStatus();
    place_.handle = 0;
    // Another kind of classifier may have taken the preference meanwhile; look again.
    if (error != -EINVAL && error != -EEXIST) break;
  }
  return socket_.Explain(error, fmt::format("cannot attach program '{}' to {}", program_.name, Place()));
}

absl::Status ClsactAttachment::RemoveFilter() {
  const int deleted = DeleteFiltersOf(socket_, target_.ifindex, parent_, program_.id);
  if (deleted < 0) return socket_.Explain(deleted, "cannot delete our filter from " + Place());
  // It had stood and is not there: perhaps the whole qdisc went and what is there now is another's.
  const bool taken_away = deleted == 0 && place_.handle != 0;
  place_.handle = 0;
  return taken_away ? SetOwnsQdisc(false) : absl::OkStatus();
}

absl::Status ClsactAttachment::Detach() {
  if (!registered_) return absl::OkStatus();
  if (absl::Status status = RemoveFilter(); !status.ok()) return status;
  int error = 0;
  if (owns_qdisc_) error = DeleteClsactIfEmpty(socket_, target_.ifindex);
  Unregister();
  if (error == 0) return absl::OkStatus();
  return socket_.Explain(error, fmt::format("cannot delete our empty clsact qdisc of {}", target_.interface));
}

absl::Status ClsactAttachment::Replace(int program_fd) {
  absl::StatusOr<ProgramHandle> program = ProgramHandle::Duplicate(program_fd);
  if (!program.ok()) return program.status();
  const std::string what = fmt::format("cannot replace program '{}' at {}", program_.name, Place());
  absl::StatusOr<bool> stands = FilterStands();
  if (!stands.ok()) return stands.status();
  if (!*stands) return absl::FailedPreconditionError(what + ": it has been detached");
  if (program->id == program_.id) return absl::OkStatus();

  // The new one is marked and registered before it runs, the old one until it runs no more.
  absl::StatusOr<UniqueFd> alive = HoldMark(Mark::kAlive, program->id, target_.ifindex, parent_);
  absl::StatusOr<UniqueFd> owner = UniqueFd();
  if (owns_qdisc_) owner = HoldMark(Mark::kOwnsQdisc, program->id, target_.ifindex, parent_);
  if (!alive.ok()) return alive.status();
  if (!owner.ok()) return owner.status();
  const FilterId old_id = Id();
  FilterId new_id = old_id;
  new_id.program_id = program->id;
  if (absl::Status status = Watch(new_id); !status.ok()) return status;
  const int error = PutBpfFilter(socket_, &place_, program->fd.get(), FilterName(*program).c_str(), true);
  if (error != 0) {
    Unwatch(new_id);
    return socket_.Explain(error, what);
  }
  program_ = *std::move(program);
  alive_mark_ = *std::move(alive);
  owner_mark_ = *std::move(owner);
  Unwatch(old_id);
  return absl::OkStatus();
}

absl::Status ClsactAttachment::MoveToHead() {
  if (registered_) {
    if (absl::Status status = RemoveFilter(); !status.ok()) return status;
  } else if (absl::Status status = Register(); !status.ok()) {
    return status;
  }
  absl::Status status = EnsureQdisc();  // somebody may have deleted it, and our filter with it
  if (status.ok()) status = AddFilter();
  if (!status.ok()) Detach().IgnoreError();
  return status;
}

absl::StatusOr<bool> ClsactAttachment::FilterStands() const {
  if (!registered_ || place_.handle == 0) return false;
  absl::StatusOr<std::vector<FilterInfo>> filters = ListFilters(socket_, target_.ifindex, parent_);
  if (!filters.ok()) return filters.status();
  for (const FilterInfo& filter : *filters) {
    if (filter.chain == 0 && filter.preference == place_.preference && filter.handle == place_.handle &&
        filter.program_id == program_.id) {
      return true;
    }
  }
  return false;
}

bool ClsactAttachment::Stands() const {
  // If the kernel does not answer, nothing says that it was removed.
  return FilterStands().value_or(true);
}

}  // namespace knp::datapath
