// See growth.h.
#include "src/host/interfaces/growth.h"

#include <fmt/format.h>

#include <iterator>

namespace knp::host {
namespace {

constexpr std::size_t kMostNamed = 8;  // qdiscs in a detail

}  // namespace

void Growth::Start(const LinkCounters& first) {
  for (std::size_t i = 0; i < kTroubleCounters; i++) counters_[i].Start(first.counters[i]);
  for (const auto& [handle, qdisc] : first.qdiscs) {
    Qdisc& ours = qdiscs_[handle];
    ours.kind = qdisc.kind;
    ours.drops.Start(qdisc.drops);
  }
}

void Growth::Update(const LinkCounters& now) {
  for (std::size_t i = 0; i < kTroubleCounters; i++) counters_[i].Update(now.counters[i]);
  KeepQdiscs(now);
}

// One of another kind at the same handle is another, and so is one that was not there: all that it dropped is news.
void Growth::KeepQdiscs(const LinkCounters& now) {
  for (auto ours = qdiscs_.begin(); ours != qdiscs_.end();) {
    const auto there = now.qdiscs.find(ours->first);
    if (there != now.qdiscs.end() && there->second.kind == ours->second.kind) {
      ++ours;
      continue;
    }
    dropped_earlier_ += ours->second.drops.total();
    ours = qdiscs_.erase(ours);
  }
  for (const auto& [handle, qdisc] : now.qdiscs) {
    Qdisc& ours = qdiscs_[handle];
    ours.kind = qdisc.kind;
    ours.drops.Update(qdisc.drops);
  }
}

void Growth::Describe(std::vector<InterfaceTrouble>* troubles) const {
  std::uint64_t dropped = dropped_earlier_;
  std::string detail;
  std::size_t named = 0;
  for (const auto& [handle, qdisc] : qdiscs_) {
    const std::uint64_t drops = qdisc.drops.total();
    dropped += drops;
    if (drops == 0 || named++ >= kMostNamed) continue;
    // As `tc qdisc` writes a handle.
    detail += fmt::format("{}{} {:x}: dropped {}", detail.empty() ? "" : ", ", qdisc.kind, handle >> 16, drops);
  }
  if (dropped_earlier_ != 0)
    detail += fmt::format("{}qdiscs that are gone dropped {}", detail.empty() ? "" : ", ", dropped_earlier_);
  if (dropped != 0) troubles->push_back({"qdisc_drops", dropped, std::move(detail)});
  for (std::size_t i = 0; i < kTroubleCounters; i++)
    if (const std::uint64_t count = counters_[i].total(); count != 0)
      troubles->push_back({kTroubles[i].cause, count, kTroubles[i].detail});
}

}  // namespace knp::host
