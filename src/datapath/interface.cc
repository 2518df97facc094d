// See interface.h.
#include "src/datapath/interface.h"

#include <fmt/format.h>
#include <linux/if_arp.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "src/datapath/reasons.h"

namespace knp::datapath {
namespace {

constexpr std::uint64_t kShadowedForNs = 60'000'000'000;  // said for so long after it was so

// Length of the link header, or an error for a device whose frames we cannot read.
absl::StatusOr<std::uint8_t> LinkHeaderLength(const LinkInfo& link) {
  switch (link.arp_type) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK: return std::uint8_t{14};
    case ARPHRD_NONE:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
    case 519 /* ARPHRD_RAWIP */: return std::uint8_t{0};
    default:
      return absl::InvalidArgumentError(fmt::format(
          "interface {} has link type {} (ARPHRD_*): neither Ethernet nor plain IP, so its frames cannot be read",
          link.name, link.arp_type));
  }
}

}  // namespace

void WaitForRunningPrograms() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

absl::StatusOr<KernelCounters> SumSlot(const InterfaceContext& context, std::uint16_t slot) {
  KernelCounters sum;
  for (std::uint32_t cpu = 0; cpu < context.cpus; cpu++) {
    const std::size_t index = std::size_t{cpu} * context.max_ifaces + slot;
    knp_iface_counters parts, seen;
    if (absl::Status status = context.counters->Copy(index, 1, &parts); !status.ok()) return status;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (absl::Status status = context.counters->Copy(index, 1, &seen); !status.ok()) return status;
    sum.Add(parts, seen);
  }
  return sum;
}

namespace {

// Where the default route goes is the node's way out, whatever kind of device it is.
Vantage VantageOf(const LinkInfo& link) {
  const bool pair = link.kind == "veth" || link.kind == "netkit";
  if (pair) {
    const auto way_out = DefaultRouteInterface();
    return way_out.ok() && *way_out == link.name ? Vantage::kNode : Vantage::kWorkload;
  }
  const bool hardware = link.kind.empty() && !link.loopback;
  return hardware || link.kind == "bond" || link.kind == "team" ? Vantage::kNode : Vantage::kInner;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Interface>> Interface::Attach(const Shared& shared, const std::string& name,
                                                             InterfaceId id, std::uint16_t slot) {
  auto link = GetLink(name);
  if (!link.ok()) return link.status();
  if (!link->up)
    return absl::FailedPreconditionError(
        fmt::format("interface {0} is down: bring it up (ip link set {0} up) and try again", name));
  const auto l2_len = LinkHeaderLength(*link);
  if (!l2_len.ok()) return l2_len.status();

  std::unique_ptr<Interface> interface(new Interface(shared, *link, id, slot));
  auto base = SumSlot(shared, slot);
  if (!base.ok()) return base.status();
  interface->base_ = *base;
  interface->vantage_ = VantageOf(*link);
  if (shared.checkpoint) shared.checkpoint->Open(slot, id, link->name, link->ifindex, *l2_len, *base);
  interface->attached_ = true;  // from here on Detach undoes
  interface->AddHooks();
  absl::Status status = shared.table->Insert(link->ifindex, slot, *l2_len);
  for (Hook& hook : interface->hooks_)
    if (status.ok()) status = interface->AttachHook(&hook);
  if (!status.ok()) {
    interface->Detach().IgnoreError();
    return status;
  }
  interface->StartMeters();
  return interface;
}

void Interface::AddHooks() {
  hooks_.emplace_back().direction = Direction::kIngress;
  if (!link_.loopback)  // on lo every packet passes both hooks
    hooks_.emplace_back().direction = Direction::kEgress;
}

Attachment::Target Interface::TargetOf(const Shared& shared, const LinkInfo& link, Direction direction) {
  Attachment::Target target{.ifindex = link.ifindex, .interface = link.name, .direction = direction};
  if (!shared.pins) return target;
  target.pin = shared.pins->LinkPath(link.ifindex, direction);
  target.filter_name = KeptFilterName(direction, shared.pins->token());
  return target;
}

bool Interface::HasHooks(const Shared& shared, const LinkInfo& link) {
  return Attachment::IsThere(TargetOf(shared, link, Direction::kIngress)) ||
         Attachment::IsThere(TargetOf(shared, link, Direction::kEgress));
}

absl::StatusOr<std::unique_ptr<Interface>> Interface::TakeOver(const Shared& shared, LinkInfo link, InterfaceId id,
                                                               std::uint16_t slot) {
  InterfaceBook& book = shared.checkpoint->book(slot);
  std::unique_ptr<Interface> interface(new Interface(shared, std::move(link), id, slot));
  const LinkInfo& at = interface->link_;
  absl::Status status;
  if (book.state != BookState::kAttached) {
    const auto l2_len = LinkHeaderLength(at);
    const auto base = SumSlot(shared, slot);
    status = l2_len.ok() ? base.status() : l2_len.status();
    if (status.ok()) shared.checkpoint->Open(slot, id, at.name, at.ifindex, *l2_len, *base);
    if (status.ok()) status = shared.table->Insert(at.ifindex, slot, *l2_len);
  }
  interface->base_ = book.base;
  interface->vantage_ = VantageOf(at);
  interface->attached_ = true;
  interface->AddHooks();
  for (Hook& hook : interface->hooks_) {  // all of them, so that what stands is known to Detach
    const std::uint64_t bit = hook.direction == Direction::kIngress ? 1 : 2;
    auto attachment = Attachment::TakeOver(TargetOf(shared, at, hook.direction),
                                           hook.direction == Direction::kIngress ? shared.ingress_fd : shared.egress_fd,
                                           (book.owns_qdisc & bit) != 0);
    if (attachment.ok())
      hook.attachment = *std::move(attachment);
    else if (status.ok())
      status = attachment.status();
  }
  if (!status.ok()) {
    interface->Detach().IgnoreError();
    return status;
  }
  interface->NoteQdisc();
  interface->StartMeters();
  return interface;
}

std::unique_ptr<Interface> Interface::Recall(const Shared& shared, InterfaceId id, std::uint16_t slot) {
  const InterfaceBook& book = shared.checkpoint->book(slot);
  LinkInfo link;
  link.ifindex = book.ifindex;
  link.name = book.name;
  std::unique_ptr<Interface> interface(new Interface(shared, std::move(link), id, slot));
  interface->gone_ = book.gone != 0;
  interface->last_ = book.closed;
  return interface;
}

void Interface::ReadBook() { base_ = shared_.checkpoint->book(slot_).base; }

// Which of its hooks have to take the qdisc along.
void Interface::NoteQdisc() {
  if (!shared_.checkpoint) return;
  std::uint64_t owns = 0;
  for (const Hook& hook : hooks_)
    if (hook.attachment && hook.attachment->owns_qdisc()) owns |= hook.direction == Direction::kIngress ? 1 : 2;
  shared_.checkpoint->book(slot_).owns_qdisc = owns;
}

Interface::~Interface() {
  if (!shared_.pins) Detach().IgnoreError();
}

absl::Status Interface::AttachHook(Hook* hook) {
  const Attachment::Target target = TargetOf(shared_, link_, hook->direction);
  const int program = hook->direction == Direction::kIngress ? shared_.ingress_fd : shared_.egress_fd;
  absl::Status tcx_status = absl::UnimplementedError("tcx is not available");
  if (shared_.features->MayHave(Feature::kTcx)) {
    auto attachment = Attachment::Attach(target, program, Mechanism::kTcx, nullptr);
    if (attachment.ok()) {
      hook->attachment = *std::move(attachment);
      return absl::OkStatus();
    }
    tcx_status = attachment.status();
    if (shared_.features->Has(Feature::kTcx) || !shared_.features->MayHave(Feature::kClsact)) return tcx_status;
  }
  absl::StatusOr<Watchdog*> watchdog = nullptr;
  if (!target.stays()) watchdog = shared_.watchdog();
  if (!watchdog.ok()) return watchdog.status();
  auto attachment = Attachment::Attach(target, program, Mechanism::kClsact, *watchdog);
  if (!attachment.ok()) return attachment.status();
  hook->attachment = *std::move(attachment);
  NoteQdisc();
  return absl::OkStatus();
}

absl::Status Interface::Detach() {
  if (!attached_) return absl::OkStatus();
  attached_ = false;
  absl::Status first;
  for (Hook& hook : hooks_) {
    if (!hook.attachment) continue;
    absl::Status status = hook.attachment->Detach();
    if (first.ok()) first = status;
    hook.attachment.reset();
  }
  WaitForRunningPrograms();
  for (const absl::Status& status : {shared_.table->Remove(link_.ifindex), ReadLast()})
    if (first.ok()) first = status;
  if (shared_.checkpoint) shared_.checkpoint->Close(slot_, link_.name, gone_, last_);
  return first;
}

// Where the kernel does not answer (out of memory), what it said last stands.
absl::Status Interface::ReadLast() const {
  const auto sum = SumSlot(shared_, slot_);
  if (sum.ok()) last_ = *sum - base_;
  return sum.status();
}

KernelCounters Interface::Read() const {
  if (attached_) ReadLast().IgnoreError();
  return last_;
}

void Interface::Describe(InterfaceStats* stats, std::uint64_t now_mono_ns) const {
  Read().Describe(stats);
  stats->name = link_.name;
  stats->ifindex = link_.ifindex;
  stats->attached = attached_;
  stats->gone = gone_;
  stats->unseen = unseen_;
  stats->hook_repairs = hook_repairs_;
  for (const Hook& hook : hooks_)
    if (hook.shadowed_at_ns != 0 && now_mono_ns - hook.shadowed_at_ns < kShadowedForNs) stats->hook_shadowed = true;
}

std::vector<ProgramInfo> Interface::Programs() const {
  std::vector<ProgramInfo> programs;
  for (const Hook& hook : hooks_) {
    if (!hook.attachment) continue;
    const bool tcx = hook.attachment->mechanism() == Mechanism::kTcx;
    programs.push_back({.name = hook.direction == Direction::kIngress ? "knp_ingress" : "knp_egress",
                        .id = hook.attachment->program_id(),
                        .interface = link_.name,
                        .direction = hook.direction,
                        .mechanism = tcx ? "tcx" : "clsact"});
  }
  return programs;
}

}  // namespace knp::datapath
