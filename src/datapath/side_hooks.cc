// See side_hooks.h.
#include "src/datapath/side_hooks.h"

#include <fmt/format.h>
#include <net/if_arp.h>

#include <algorithm>
#include <utility>

#include "src/datapath/datapath.h"
#include "src/datapath/netlink.h"

namespace knp::datapath {
namespace {

// Of several monitors on one interface each counts before any of them drops; and what copies comes before what drops.
std::uint32_t LastProgramBefore(const HookPlace& place, bool behind_captures) {
  const char* const name = place.direction == Direction::kIngress ? "knp_ingress" : "knp_egress";
  std::uint32_t last = place.program_id;
  const auto chain = ReadChain(place.ifindex, place.direction);
  if (!chain.ok()) return last;
  for (const ChainLink& link : *chain)
    if (link.tcx == (place.mechanism == Mechanism::kTcx) &&
        (link.program_name.starts_with(name) || link.program_id == place.program_id ||
         (behind_captures && link.program_name.starts_with("knp_capture_"))))
      last = link.program_id;
  return last;
}

}  // namespace

std::vector<HookPlace> CountingPlaces(const Datapath& datapath) {
  std::vector<HookPlace> places;
  for (const auto& interface : datapath.interfaces()) {
    if (!interface->attached()) continue;
    for (const ProgramInfo& program : interface->Programs())
      places.push_back({.ifindex = interface->ifindex(),
                        .interface = interface->name(),
                        .direction = program.direction,
                        .program_id = program.id,
                        .mechanism = program.mechanism == "tcx" ? Mechanism::kTcx : Mechanism::kClsact});
  }
  return places;
}

absl::StatusOr<Watchdog*> SideHooks::GetWatchdog() {
  if (!watchdog_) {
    auto watchdog = Watchdog::Start();
    if (!watchdog.ok()) return watchdog.status();
    watchdog_ = *std::move(watchdog);
  }
  return watchdog_.get();
}

absl::Status SideHooks::Sync(std::span<const HookPlace> places, std::uint64_t now_mono_ns) {
  std::erase_if(hooks_, [&](const Hook& hook) {
    return std::none_of(places.begin(), places.end(), [&](const HookPlace& place) { return place == hook.place; });
  });
  absl::Status first;
  for (const HookPlace& place : places) {
    const auto programs = std::find_if(programs_.begin(), programs_.end(),
                                       [&](const Programs& each) { return each.direction == place.direction; });
    if (programs == programs_.end()) continue;
    auto hook = std::find_if(hooks_.begin(), hooks_.end(), [&](const Hook& each) { return each.place == place; });
    if (hook == hooks_.end()) {
      hooks_.emplace_back().place = place;
      hook = hooks_.end() - 1;
    }
    absl::Status status = Keep(&*hook, *programs, now_mono_ns);
    if (first.ok()) first = std::move(status);
  }
  return first;
}

absl::Status SideHooks::Keep(Hook* hook, const Programs& programs, std::uint64_t now_mono_ns) {
  if (hook->attachment && hook->attachment->Stands()) return absl::OkStatus();
  hook->attachment.reset();
  if (!hook->attempts.Take(now_mono_ns)) return absl::OkStatus();  // told before; the next turn that may, tries again
  const HookPlace& place = hook->place;
  const auto link = GetLink(place.ifindex);
  if (!link.ok()) return link.status();
  const bool ethernet = link->arp_type == ARPHRD_ETHER || link->arp_type == ARPHRD_LOOPBACK;
  Watchdog* watchdog = nullptr;
  if (place.mechanism == Mechanism::kClsact) {
    const auto made = GetWatchdog();
    if (!made.ok()) return made.status();
    watchdog = *made;
  }
  const Attachment::Target target{.ifindex = place.ifindex,
                                  .interface = place.interface,
                                  .direction = place.direction,
                                  .after_program_id = LastProgramBefore(place, programs.behind_captures)};
  auto attachment =
      Attachment::Attach(target, ethernet ? programs.ethernet_fd : programs.ip_fd, place.mechanism, watchdog);
  if (!attachment.ok()) return attachment.status();
  hook->attachment = *std::move(attachment);
  return absl::OkStatus();
}

void SideHooks::Clear() { hooks_.clear(); }

std::vector<ProgramInfo> SideHooks::Describe() const {
  std::vector<ProgramInfo> all;
  for (const Hook& hook : hooks_) {
    if (!hook.attachment) continue;
    all.push_back({.name = "",
                   .id = hook.attachment->program_id(),
                   .interface = hook.place.interface,
                   .direction = hook.place.direction,
                   .mechanism = hook.place.mechanism == Mechanism::kTcx ? "tcx" : "clsact"});
  }
  return all;
}

}  // namespace knp::datapath
