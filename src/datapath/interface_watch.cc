// Interface's watch over its hooks: do they stand, do they see what the interface counts, is it still there. What is not
// as it should be is put right where that can be, and told. Called by Datapath; see interface.h.
#include <fmt/format.h>

#include <utility>

#include "src/datapath/interface.h"

namespace knp::datapath {
namespace {

std::string NameOf(const ChainLink& link) {
  if (link.program_id == 0)
    return fmt::format("filter '{}' (clsact, preference {})", link.program_name, link.preference);
  if (link.tcx) return fmt::format("program '{}' (id {}, tcx)", link.program_name, link.program_id);
  return fmt::format("program '{}' (id {}, clsact, preference {})", link.program_name, link.program_id,
                     link.preference);
}

// Programs before us that may end the chain; another instance of ours never does.
std::optional<std::vector<std::string>> NamesAhead(const Attachment& attachment) {
  const auto chain = attachment.Chain();
  if (!chain.ok()) return std::nullopt;
  std::vector<std::string> names;
  for (const ChainLink& link : *chain) {
    if (link.ours) return names;
    if (!link.program_name.starts_with("knp_")) names.push_back(NameOf(link));
  }
  return std::nullopt;  // we are not in it: that is another's business
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Of packets longer than frames may be; any size of a range that holds such lengths.
std::uint64_t LongerThan(std::uint32_t mtu, const std::array<std::uint64_t, KNP_SIZE_BUCKETS>& sizes) {
  constexpr std::uint32_t kLinkHeaders = 18;  // Ethernet and one VLAN tag
  std::uint64_t packets = 0;
  for (unsigned i = 0; i < KNP_SIZE_BUCKETS; i++)
    if (kSizeBounds[i] == 0 || kSizeBounds[i] > mtu + kLinkHeaders) packets += sizes[i];
  return packets;
}

}  // namespace

// ---- the counters ------------------------------------------------------------------------------------------------

std::optional<Offloads> Interface::OffloadsNow() const {
  return link_.kind == "veth" ? ReadOffloads(link_.name) : std::nullopt;
}

// A veth counts skbs as the hook sees them, unless they are merged or cut between the two. Hardware counts packets, or
// skbs where it merges them itself; what other devices count is not known. lo counts skbs.
UnseenMeter::Reading Interface::ReadingOf(const Hook& hook, const LinkInfo& link, const KernelCounters& counters,
                                          const std::optional<Offloads>& offloads) const {
  const bool countable = shared_.counts_segments || link_.loopback;
  if (hook.direction == Direction::kIngress)
    return {.link = link.rx_packets,
            .skbs = counters.rx.skbs,
            .packets = counters.rx.packets,
            .same_unit = offloads && !offloads->gro,
            .uncountable = countable ? 0 : LongerThan(link.mtu, counters.rx_sizes)};
  return {.link = link.tx_packets,
          .skbs = counters.tx.skbs,
          .packets = counters.tx.packets,
          .same_unit = offloads && offloads->tso,
          .uncountable = countable ? 0 : LongerThan(link.mtu, counters.tx_sizes)};
}

// Ours first, so that packets that pass meanwhile make the interface's base too large and are never taken for unseen.
void Interface::StartMeters() {
  const KernelCounters counters = Read();
  const auto offloads = OffloadsNow();
  const auto counted = GetLink(link_.ifindex);
  if (counted.ok()) link_ = *counted;
  for (Hook& hook : hooks_) hook.meter.Start(ReadingOf(hook, link_, counters, offloads), shared_.cpus);
}

// `now` was read before our counters are: see StartMeters.
std::array<UnseenMeter::Step, 2> Interface::UpdateUnseen(const LinkInfo& now) {
  const KernelCounters counters = Read();
  const auto offloads = OffloadsNow();
  std::array<UnseenMeter::Step, 2> steps{};
  for (Hook& hook : hooks_) {
    const bool rx = hook.direction == Direction::kIngress;
    steps[rx ? 0 : 1] = hook.meter.Update(ReadingOf(hook, now, counters, offloads));
    (rx ? unseen_.rx_known : unseen_.tx_known) = hook.meter.known();
    (rx ? unseen_.rx_packets : unseen_.tx_packets) = hook.meter.unseen();
  }
  if (now.xdp_program_id != 0 && unseen_.rx_packets != 0 && unseen_.cause.empty())
    unseen_.cause = fmt::format("XDP program id {}", now.xdp_program_id);
  if (unseen_.rx_packets + unseen_.tx_packets == 0) unseen_.cause.clear();
  link_.xdp_program_id = now.xdp_program_id;
  return steps;
}

void Interface::CountUnseen() {
  if (!attached_) return;
  if (const auto now = GetLink(link_.ifindex); now.ok()) UpdateUnseen(*now);
}

// ---- the interface -----------------------------------------------------------------------------------------------

std::vector<HookEvent> Interface::Check(std::uint64_t now_mono_ns) {
  std::vector<HookEvent> events;
  if (!attached_) return events;
  const auto now = GetLink(link_.ifindex);
  if (absl::IsNotFound(now.status())) {
    if (!std::exchange(missing_, true)) return events;  // the announcement says more
    // A tcx program goes along when its interface moves; so it can tell.
    const bool moved = !hooks_.empty() && hooks_.front().attachment && hooks_.front().attachment->RunsAt() != 0;
    return Leave(moved, "");
  }
  if (!now.ok()) return events;  // no answer this time; the next check is a second away
  Rename(now->name, &events);
  const std::array<UnseenMeter::Step, 2> steps = UpdateUnseen(*now);
  for (Hook& hook : hooks_) {
    const std::uint64_t repairs = hook_repairs_;
    CheckStanding(&hook, now_mono_ns, &events);
    if (hook.attachment && repairs == hook_repairs_)
      CheckShadow(&hook, steps[hook.direction == Direction::kIngress ? 0 : 1], now_mono_ns, &events);
  }
  return events;
}

std::vector<HookEvent> Interface::Look(std::uint64_t now_mono_ns) {
  std::vector<HookEvent> events;
  if (!attached_) return events;
  const auto now = GetLink(link_.ifindex);
  if (!now.ok()) return events;  // if it is gone, that is announced on its own
  Rename(now->name, &events);
  for (Hook& hook : hooks_)
    if (hook.attachment) CheckStanding(&hook, now_mono_ns, &events);
  return events;
}

std::vector<HookEvent> Interface::Glance(std::uint64_t now_mono_ns) {
  std::vector<HookEvent> events;
  if (!attached_) return events;
  for (Hook& hook : hooks_) {
    if (!hook.attachment || hook.attachment->mechanism() != Mechanism::kTcx || hook.attachment->Stands()) continue;
    return Look(now_mono_ns);  // or it is the interface that has gone
  }
  return events;
}

std::vector<HookEvent> Interface::Leave(bool moved, const std::string& where) {
  if (!attached_) return {};
  gone_ = true;
  const absl::Status status = Detach();
  const std::string trouble = status.ok() ? "" : "; " + std::string(status.message());
  if (moved)
    return {{EventType::kInterfaceMoved,
             fmt::format("interface {} was moved to another network namespace{}: its counters stand, our hooks are no "
                         "longer on it; a monitor there can watch it{}",
                         link_.name, where, trouble)}};
  return {{EventType::kInterfaceGone, fmt::format("interface {} is gone: its counters stand{}", link_.name, trouble)}};
}

void Interface::Rename(const std::string& name, std::vector<HookEvent>* events) {
  if (name == link_.name) return;
  events->push_back({EventType::kInterfaceRenamed, fmt::format("interface {} is called {} now", link_.name, name)});
  link_.name = name;
  for (Hook& hook : hooks_)
    if (hook.attachment) hook.attachment->InterfaceRenamed(name);
}

// ---- the hooks ---------------------------------------------------------------------------------------------------

void Interface::CheckStanding(Hook* hook, std::uint64_t now_mono_ns, std::vector<HookEvent>* events) {
  if (hook->attachment && hook->attachment->Stands()) return;
  hook->attachment.reset();
  hook->shadow.Forget();
  const char* const direction = DirectionName(hook->direction);
  unseen_.cause = fmt::format("our {} hook was removed by somebody", direction);
  absl::Status status = absl::ResourceExhaustedError(
      fmt::format("that happened {} times within a minute, we try again when that is over", hook->repairs.most()));
  if (hook->repairs.Take(now_mono_ns)) status = AttachHook(hook);
  CountUnseen();  // what passed meanwhile is nobody else's doing
  if (status.ok()) {
    hook_repairs_++;
    hook->told_lost = false;
    events->push_back({EventType::kHookRepaired,
                       fmt::format("our {} hook on {} had been removed; it stands again", direction, link_.name)});
    return;
  }
  if (hook->told_lost) return;
  hook->told_lost = true;
  events->push_back({EventType::kHookLost,
                     fmt::format("our {} hook on {} was removed and is not put back: {}; what passes there is unseen",
                                 direction, link_.name, std::string(status.message()))});
}

void Interface::CheckShadow(Hook* hook, const UnseenMeter::Step& step, std::uint64_t now_mono_ns,
                            std::vector<HookEvent>* events) {
  using Finding = ShadowWatch::Finding;
  const bool xdp = hook->direction == Direction::kIngress && link_.xdp_program_id != 0;
  const auto finding = hook->shadow.Check(step, now_mono_ns, xdp, [hook] { return NamesAhead(*hook->attachment); });
  switch (finding) {
    case Finding::kNothing: return;
    case Finding::kGoFirst:
    case Finding::kTry: return GoFirst(hook, finding == Finding::kGoFirst, now_mono_ns, events);
    case Finding::kProved: return TellShadow(hook, "we stand first again", now_mono_ns, events);
    case Finding::kStillShadowed: hook->shadowed_at_ns = now_mono_ns; return;
    case Finding::kGivenUp:
      return TellShadow(hook,
                        fmt::format("it came back after we went first {} times, so we leave it: what it takes stays "
                                    "unseen",
                                    hook->shadow.most_moves()),
                        now_mono_ns, events);
    case Finding::kAcquitted:
      if (std::exchange(hook->shadowed_at_ns, 0) != 0) unseen_.cause.clear();
      return;
  }
}

void Interface::GoFirst(Hook* hook, bool tell, std::uint64_t now_mono_ns, std::vector<HookEvent>* events) {
  const absl::Status status = hook->attachment->MoveToHead();
  const auto ahead = NamesAhead(*hook->attachment);
  if (status.ok() && ahead && ahead->empty()) {
    if (tell) TellShadow(hook, "we stand first again", now_mono_ns, events);
  } else if (hook->shadow.CannotLead()) {
    TellShadow(hook,
               status.ok() ? "we cannot be put before it: what it takes stays unseen"
                           : "moving to the head failed: " + std::string(status.message()),
               now_mono_ns, events);
  }
}

void Interface::TellShadow(Hook* hook, const std::string& outcome, std::uint64_t now_mono_ns,
                           std::vector<HookEvent>* events) {
  hook->shadowed_at_ns = now_mono_ns;
  const std::string names = Join(hook->shadow.suspects());
  unseen_.cause = names + " ends the chain before us";
  events->push_back(
      {EventType::kHookShadowed,
       fmt::format("{} on {} {} ended the chain before us: {} of {} packets did not reach us; {}", names, link_.name,
                   DirectionName(hook->direction), hook->shadow.missing(), hook->shadow.of(), outcome)});
}

}  // namespace knp::datapath
