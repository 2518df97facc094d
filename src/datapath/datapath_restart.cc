// Datapath's part of a restart without a gap: finds what an earlier process has left in the pin directory, takes its hooks
// over one by one, carries over what maps of another layout had counted, clears away the rest. See datapath.h.
//
// Maps of another layout: each hook's program is replaced in one step, so each packet counts in the old maps or in the
// new. After a grace period the old ones stand still; what they have is written into the new books as absolute values, so
// that to do it again after a death is no harm, and one store says that it is done. What nobody has read of the old
// tables counts as lost by the restart.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "src/base/clock.h"
#include "src/datapath/datapath.h"
#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

// No other namespace ever has it, unlike the inode; that where the kernel does not tell (before 5.14).
std::uint64_t IdOf(const Netns& netns) {
  constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (fd.valid() && getsockopt(fd.get(), SOL_SOCKET, kNetnsCookie, &cookie, &size) == 0 && cookie != 0) return cookie;
  return netns.inode();
}

void Add(InterfaceBook* sum, const InterfaceBook& book, const KernelCounters& counters) {
  sum->base += counters;
  for (std::size_t i = 0; i < sum->taken.size(); i++) sum->taken[i] += book.taken[i];
  sum->skipped += counters.InFlows() - (book.Taken() - book.skipped);
  sum->delivered += book.delivered;
}

void RemoveLink(const std::string& path) {
  const UniqueFd link(bpf_obj_get(path.c_str()));
  if (link.valid()) bpf_link_detach(link.get());
  unlink(path.c_str());
}

}  // namespace

absl::Status Datapath::OpenPins(const MonitorOptions& options, Pins* pins) {
  if (!features_.Has(Feature::kRestart)) {
    restart_off_ =
        "restart: nothing outlives the process (pin_directory is not used), for this kernel, or what is "
        "switched off, leaves no mapped arrays or no ring buffer";
    return absl::OkStatus();
  }
  auto directory = PinDirectory::Open(options.pin_directory);
  if (!directory.ok()) return directory.status();
  pins_ = *std::move(directory);
  pins->directory = pins_.get();
  pins->origin = {.netns = IdOf(*netns_), .since_unix_ns = ReadClock(CLOCK_REALTIME)};
  std::vector<std::uint32_t> numbers = pins_->States();
  for (; !numbers.empty(); numbers.pop_back()) {
    auto state = PinnedState::Open(pins_->StatePath(numbers.back()));
    if (absl::IsNotFound(state.status()) || absl::IsDataLoss(state.status())) {  // nothing counts in it yet
      if (absl::Status status = pins_->RemoveState(numbers.back()); !status.ok()) return status;
      continue;
    }
    pins->latest_number = numbers.back();
    if (absl::IsFailedPrecondition(state.status())) return absl::OkStatus();  // another version's
    if (!state.ok()) return state.status();
    if ((*state)->origin().netns != pins->origin.netns)
      return absl::FailedPreconditionError(
          fmt::format("{} has the state of another network namespace: run there, use another directory, or remove it "
                      "from there (knp-agent --uninstall)",
                      options.pin_directory));
    pins->origin = (*state)->origin();
    pins->latest = *std::move(state);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Datapath::TakeOver() {
  checkpoint_ = &object_->state()->checkpoint();
  std::vector<knp_iface_entry> entries(iface_entries_.size());
  if (absl::Status status = iface_entries_.Copy(0, entries.size(), entries.data()); !status.ok()) return status;
  iface_table_->Load(std::move(entries));
  auto links = ListLinks();
  if (!links.ok()) return links.status();
  std::erase_if(*links, [this](const LinkInfo& link) { return !Interface::HasHooks(shared_, link); });
  const bool carried = checkpoint_->head().carried != 0;
  if (!carried)
    for (std::uint32_t slot = 0; slot <= checkpoint_->slots(); slot++) ForgetCarried(&checkpoint_->book(slot));
  TakeOverBooks(&*links);
  TakeOverRest(*links);
  if (!carried)
    if (absl::Status status = Carry(); !status.ok()) return status;
  for (const auto& interface : interfaces_) {
    if (interface->attached()) interface->ReadBook();
    checkpoint_->Continue(interface->slot(), interface->id());
  }
  checkpoint_->ContinueEarlier();
  ClearAway();
  return absl::OkStatus();
}

// What a death left half carried over.
void Datapath::ForgetCarried(InterfaceBook* book) {
  book->base = {};
  book->taken = {};
  book->skipped = book->delivered = {};
}

void Datapath::Keep(std::unique_ptr<Interface> interface) {
  by_slot_[interface->slot()] = interface.get();
  decoder_.SetInterface(interface->slot(), interface->id());
  if (interface->attached()) unclaimed_.insert(interface->id());
  interfaces_.push_back(std::move(interface));
  next_id_++;
}

// Those that this state's maps have a slot for. Takes their links out of the list.
void Datapath::TakeOverBooks(std::vector<LinkInfo>* links) {
  for (std::uint16_t slot = 1; slot < checkpoint_->slots(); slot++) {
    InterfaceBook& book = checkpoint_->book(slot);
    if (book.state == BookState::kFree) continue;
    const InterfaceId id = next_id_;
    if (book.state == BookState::kAttached) {
      const std::uint32_t ifindex = book.ifindex;
      const auto link =
          std::find_if(links->begin(), links->end(), [ifindex](const LinkInfo& one) { return one.ifindex == ifindex; });
      if (link != links->end()) {
        auto interface = Interface::TakeOver(shared_, *link, id, slot);
        links->erase(link);
        if (interface.ok()) {
          Keep(*std::move(interface));
          continue;
        }
      }
      CloseBook(slot);
    }
    Keep(Interface::Recall(shared_, id, slot));
  }
}

// Nothing of ours runs for it any more: its interface has gone, or somebody took our hooks away.
void Datapath::CloseBook(std::uint16_t slot) {
  InterfaceBook& book = checkpoint_->book(slot);
  if (book.state != BookState::kAttached) return;
  bool ran = false;  // elsewhere: the interface was moved
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const std::string path = pins_->LinkPath(book.ifindex, direction);
    if (access(path.c_str(), F_OK) != 0) continue;
    RemoveLink(path);
    ran = true;
  }
  if (ran) WaitForRunningPrograms();
  iface_table_->Remove(book.ifindex).IgnoreError();  // an entry that stays is never asked for
  const auto counters = SumSlot(shared_, slot);
  const std::string name(book.name, strnlen(book.name, sizeof book.name));
  const bool gone = !GetLink(book.ifindex).ok();
  checkpoint_->Close(slot, name, gone, counters.ok() ? *counters - book.base : KernelCounters());
}

// Those whose hooks count in earlier maps.
void Datapath::TakeOverRest(const std::vector<LinkInfo>& links) {
  for (const LinkInfo& link : links) {
    const auto slot = FreeSlot();
    if (!slot.ok()) return;  // fewer interfaces are allowed than there were: the rest is cleared away
    auto interface = Interface::TakeOver(shared_, link, next_id_, *slot);
    if (interface.ok()) Keep(*std::move(interface));
  }
}

absl::Status Datapath::Carry() {
  std::vector<std::uint32_t> earlier = pins_->States();
  std::erase(earlier, object_->state_number());
  std::vector<InterfaceBook> sums(checkpoint_->slots());
  if (!earlier.empty()) WaitForRunningPrograms();
  for (bool last = false; !last && !earlier.empty(); earlier.pop_back()) {
    auto state = PinnedState::Open(pins_->StatePath(earlier.back()));
    if (!state.ok()) break;                             // another version's: its ledger ends with it, ours begins now
    last = (*state)->checkpoint().head().carried != 0;  // it has what was before it
    Checkpoint& old = (*state)->checkpoint();
    for (std::uint32_t slot = 1; slot < old.slots(); slot++) {
      const InterfaceBook& book = old.book(slot);
      if (book.state == BookState::kFree) continue;
      KernelCounters counters = book.closed;
      std::size_t heir = 0;
      if (book.state == BookState::kAttached) {
        const auto sum = (*state)->SumSlot(slot);
        if (!sum.ok()) return sum.status();
        counters = *sum - book.base;
        if (const Interface* now = FindAttached(book.ifindex)) heir = now->slot();
      }
      Add(&sums[heir], book, counters);
    }
    const auto stray = (*state)->SumSlot(0);
    if (!stray.ok()) return stray.status();
    sums[0].base += *stray;
    Add(&sums[0], old.earlier(), old.earlier().closed);
  }
  for (std::uint32_t slot = 1; slot < sums.size(); slot++) {
    if (checkpoint_->book(slot).state != BookState::kAttached) continue;
    checkpoint_->book(slot).base = KernelCounters() - sums[slot].base;
    checkpoint_->book(slot).taken = sums[slot].taken;
    checkpoint_->book(slot).skipped = sums[slot].skipped;
    checkpoint_->book(slot).delivered = sums[slot].delivered;
  }
  std::swap(sums[0].closed, sums[0].base);
  checkpoint_->earlier() = sums[0];
  KeepOrder();
  checkpoint_->head().carried = 1;
  KeepOrder();
  return absl::OkStatus();
}

// Links that stand at no interface of ours, and maps that nothing counts in any more.
void Datapath::ClearAway() {
  std::set<std::string> ours;
  for (const auto& interface : interfaces_)
    if (interface->attached())
      for (const Direction direction : {Direction::kIngress, Direction::kEgress})
        ours.insert(pins_->LinkPath(interface->ifindex(), direction));
  for (const std::string& path : pins_->Links())
    if (!ours.contains(path)) RemoveLink(path);
  for (const std::uint32_t number : pins_->States())
    if (number != object_->state_number()) pins_->RemoveState(number).IgnoreError();  // the next start tries again
}

void Datapath::DescribeEarlier(InterfaceId id, InterfaceStats* stats) const {
  if (!checkpoint_) return;
  const Checkpoint::Carried& carried = checkpoint_->carried(id);
  stats->ledger.in_flows += carried.delivered;
  if (!(carried.lost == Count{})) stats->ledger.lost["restart"] += carried.lost;
  for (std::size_t protocol = 0; protocol < carried.protocols.size(); protocol++)
    if (!(carried.protocols[protocol] == Count{}))
      stats->protocols[ProtocolName(static_cast<std::uint8_t>(protocol))] += carried.protocols[protocol];
}

std::optional<Ledger> Datapath::EarlierInterfaces() const {
  if (!checkpoint_) return std::nullopt;
  InterfaceStats sum;
  checkpoint_->counters_earlier().Describe(&sum);
  const Checkpoint::Carried& carried = checkpoint_->carried_earlier();
  sum.ledger.in_flows = carried.delivered;
  if (!(carried.lost == Count{})) sum.ledger.lost["restart"] = carried.lost;
  if (sum.ledger.seen == Count{}) return std::nullopt;
  return sum.ledger;
}

std::optional<std::uint64_t> Datapath::since_unix_ns() const {
  if (!checkpoint_) return std::nullopt;
  return checkpoint_->head().since_unix_ns;
}

}  // namespace knp::datapath
