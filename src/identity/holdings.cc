// See holdings.h.
#include "src/identity/holdings.h"

#include <algorithm>
#include <tuple>

namespace knp::identity {
namespace {

// Of several the same one is named each time.
bool Before(const Holder* a, const Holder* b) {
  if (!b) return true;
  return std::tie(a->identity->namespace_name, a->identity->service, a->identity->pod) <
         std::tie(b->identity->namespace_name, b->identity->service, b->identity->pod);
}

}  // namespace

void HoldingTable::Add(Holdings* holdings, const Holding& holding) {
  holdings->push_back(holding);
  const auto closed = [](const Holding& h) { return h.until_ns != kOpen; };
  auto excess = static_cast<std::size_t>(std::count_if(holdings->begin(), holdings->end(), closed));
  for (; excess > past_; --excess) holdings->erase(std::find_if(holdings->begin(), holdings->end(), closed));
}

void HoldingTable::Take(const Place& place, Holder* holder, std::uint64_t from_ns, std::uint64_t now_ns, bool yields) {
  Holdings& holdings = places_[place];
  Holding mine = {from_ns, kOpen, holder};
  for (Holding& other : holdings) {
    if (other.holder == holder && other.until_ns == kOpen) return;
    if (other.until_ns != kOpen) continue;
    if (other.from_ns <= from_ns)
      other.until_ns = std::min(from_ns, now_ns);
    else if (yields)
      mine.until_ns = std::min(mine.until_ns, other.from_ns);
    else
      other.until_ns = std::max(now_ns, other.from_ns);
  }
  for (const Holding& other : holdings)
    if (other.until_ns != kOpen) mine.from_ns = std::max(mine.from_ns, std::min(other.until_ns, now_ns));
  if (mine.from_ns < mine.until_ns) Add(&holdings, mine);
}

void HoldingTable::Share(const Place& place, Holder* holder, std::uint64_t from_ns) {
  Holdings& holdings = places_[place];
  for (const Holding& other : holdings) {
    if (other.holder != holder) continue;
    if (other.until_ns == kOpen) return;
    from_ns = std::max(from_ns, other.until_ns);
  }
  Add(&holdings, {from_ns, kOpen, holder});
}

void HoldingTable::Leave(const Place& place, const Holder* holder, std::uint64_t now_ns) {
  const auto found = places_.find(place);
  if (found == places_.end()) return;
  for (Holding& holding : found->second)
    if (holding.holder == holder && holding.until_ns == kOpen) holding.until_ns = std::max(now_ns, holding.from_ns);
}

void HoldingTable::Forget(const Place& place, const Holder* holder, std::uint64_t until_ns) {
  const auto found = places_.find(place);
  if (found == places_.end()) return;
  Holdings& holdings = found->second;
  holdings.erase(std::remove_if(holdings.begin(), holdings.end(),
                                [&](const Holding& holding) {
                                  return holding.holder == holder && holding.until_ns != kOpen &&
                                         holding.until_ns <= until_ns;
                                }),
                 holdings.end());
  if (holdings.empty()) places_.erase(found);
}

Holder* HoldingTable::Find(const Place& place, std::uint64_t at_ns, std::string_view namespace_name) const {
  const auto found = places_.find(place);
  if (found == places_.end()) return nullptr;
  Holder* then = nullptr;
  const Holding* soon = nullptr;
  for (const Holding& holding : found->second) {
    if (!namespace_name.empty() && holding.holder->identity->namespace_name != namespace_name) continue;
    if (Held(holding, at_ns)) {
      if (Before(holding.holder, then)) then = holding.holder;
    } else if (holding.from_ns > at_ns && holding.from_ns - at_ns <= lag_ns_) {
      if (!soon || holding.from_ns < soon->from_ns) soon = &holding;
    }
  }
  if (then) return then;
  return soon ? soon->holder : nullptr;
}

Holder* HoldingTable::FindOnly(const Place& place, std::uint64_t at_ns) const {
  const auto found = places_.find(place);
  if (found == places_.end()) return nullptr;
  Holder* only = nullptr;
  for (const Holding& holding : found->second) {
    if (!Held(holding, at_ns)) continue;
    if (only) return nullptr;
    only = holding.holder;
  }
  return only;
}

bool HoldingTable::Has(const Place& place, const Holder* holder) const {
  const auto found = places_.find(place);
  return found != places_.end() &&
         std::any_of(found->second.begin(), found->second.end(), [holder](const Holding& holding) {
           return holding.holder == holder && holding.until_ns == kOpen;
         });
}

}  // namespace knp::identity
