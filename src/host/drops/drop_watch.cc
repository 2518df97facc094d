// See drop_watch.h.
#include "src/host/drops/drop_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "src/base/clock.h"
#include "src/host/drops/drop_position.h"

namespace knp::host {
namespace {

constexpr std::size_t kMostTotals = 64;
constexpr std::size_t kMostDropped = 16;
constexpr std::uint32_t kFlowsInKernel = 16384;            // between two takings; about 100 bytes each
constexpr std::uint64_t kTakeEveryNs = 500'000'000;        // at most as seldom as that, while there are drops
constexpr std::uint64_t kRestPerWork = 100;                // taking costs at most a hundredth of a CPU
constexpr std::uint64_t kFunctionsEveryNs = 500'000'000;   // reading /proc/kallsyms takes some 50 ms …
constexpr std::uint64_t kFunctionsRest = 5;                // … and so at most a fifth of a CPU, while places are new
constexpr std::uint64_t kKeepNs = 15ull * 60'000'000'000;  // no record is told so long after its packets

}  // namespace

absl::StatusOr<std::unique_ptr<Piece>> DropWatch::Make(const Surroundings& surroundings) {
  auto counter = datapath::DropCounter::Create(kFlowsInKernel, surroundings.options.disable_features);
  if (!counter.ok()) return counter.status();
  return std::unique_ptr<Piece>(new DropWatch(*std::move(counter), surroundings));
}

DropWatch::DropWatch(std::unique_ptr<datapath::DropCounter> counter, const Surroundings& surroundings)
    : counter_(std::move(counter)),
      unix_ns_(surroundings.unix_ns),
      words_(counter_->vocabulary()),
      book_(surroundings.options.host.capacity) {}

void DropWatch::Poll(std::uint64_t now_mono_ns) {
  // From another thread than before: Host::Catch, which wants all there is.
  const bool all = std::exchange(poller_, std::this_thread::get_id()) != std::this_thread::get_id();
  const auto rest = counter_->ReadRest();
  if (!rest.ok() || (rest->drops != taken_drops_ && (all || now_mono_ns >= next_take_ns_))) {
    const std::uint64_t before = ThreadCpuNow();
    const absl::Status status = rest.ok() ? Take(now_mono_ns, *rest) : rest.status();
    next_take_ns_ = now_mono_ns + std::min(kTakeEveryNs, (ThreadCpuNow() - before) * kRestPerWork);
    const std::lock_guard lock(mutex_);
    trouble_ = status.ok() ? "" : std::string(status.message());
  }
  if (all || now_mono_ns >= next_functions_ns_) {
    const std::uint64_t before = ThreadCpuNow();
    FindFunctions();
    FindReasons();
    next_functions_ns_ = now_mono_ns + std::max(kFunctionsEveryNs, (ThreadCpuNow() - before) * kFunctionsRest);
  }
}

absl::Status DropWatch::Take(std::uint64_t now_mono_ns, const datapath::DropCounter::Rest& rest) {
  // Told in this order: rest, flows, rows. What comes in between is in the next rest and is taken then.
  std::vector<datapath::DroppedFlow> flows;
  const absl::Status taken = counter_->TakeFlows([&](const auto& flow) { flows.push_back(flow); });
  auto rows = counter_->ReadRows();
  if (rows.ok()) FindInterfaces(*rows);
  const std::uint64_t now_unix_ns = unix_ns_(now_mono_ns);
  const std::lock_guard lock(mutex_);
  // What was taken is not in the kernel any more.
  for (const datapath::DroppedFlow& flow : flows)
    book_.Add(flow, unix_ns_(flow.first_mono_ns), unix_ns_(flow.last_mono_ns));
  book_.Age(now_unix_ns - std::min(now_unix_ns, kKeepNs));
  if (!taken.ok() || !rows.ok()) return taken.ok() ? rows.status() : taken;
  taken_drops_ = rest.drops;
  rows_ = *std::move(rows);
  rest_ = rest;
  return absl::OkStatus();
}

void DropWatch::FindInterfaces(const std::vector<datapath::DropRow>& rows) {
  std::map<std::uint32_t, std::string> names;
  for (const datapath::DropRow& row : rows)
    if (row.here && row.ifindex != 0) names.try_emplace(row.ifindex);
  for (auto& [ifindex, name] : names) name = counter_->InterfaceName(ifindex);
  const std::lock_guard lock(mutex_);
  for (auto& [ifindex, name] : names)  // one that is gone keeps its name
    if (!name.empty()) interfaces_[ifindex] = std::move(name);
}

// Of each place that is new. A conversation's places are the rows', but for those in Rest::other.
void DropWatch::FindFunctions() {
  std::set<std::uint64_t> places;
  for (const datapath::DropRow& row : rows_)
    if (!functions_.contains(row.site.location)) places.insert(row.site.location);
  if (places.empty()) return;
  std::map<std::uint64_t, std::string> functions = datapath::DropCounter::ReadFunctions(places);
  const std::lock_guard lock(mutex_);
  functions_.merge(functions);
}

// Of modules, once for each reason that is new: its module is there, for it has just dropped something.
void DropWatch::FindReasons() {
  bool news = false;
  for (const datapath::DropRow& row : rows_)
    if (words_.LacksNameOf(row.site.reason)) news |= asked_reasons_.insert(row.site.reason).second;
  if (!news) return;
  std::map<std::uint32_t, std::string> reasons = datapath::ReadModuleReasons();
  const std::lock_guard lock(mutex_);
  words_.reasons.merge(reasons);
}

std::string DropWatch::FunctionAt(std::uint64_t location) const {
  const auto known = functions_.find(location);
  return known == functions_.end() ? "" : known->second;
}

void DropWatch::Complete(FlowRecord* record) {
  const std::lock_guard lock(mutex_);
  for (const DropBook::Sum& sum : book_.SumsOf(*record)) {
    FlowDrop drop{
        .reason = words_.NameOf(sum.site.reason), .location = FunctionAt(sum.site.location), .count = sum.count};
    if (IsOrdinaryEnd(drop.reason, drop.location)) continue;
    // Two calls within one function are one place.
    const auto same = std::find_if(record->drops.begin(), record->drops.end(), [&](const FlowDrop& other) {
      return other.reason == drop.reason && other.location == drop.location;
    });
    if (same == record->drops.end())
      record->drops.push_back(std::move(drop));
    else
      same->count += drop.count;
  }
}

std::vector<DropTotal> DropWatch::Totals() const {
  std::map<std::tuple<std::string, std::string, std::string, DropPosition>, Count> sums;
  for (const datapath::DropRow& row : rows_) {
    const std::string reason = words_.NameOf(row.site.reason);
    const std::string location = FunctionAt(row.site.location);
    if (IsOrdinaryEnd(reason, location)) continue;
    const auto interface = row.here ? interfaces_.find(row.ifindex) : interfaces_.end();
    const DropPosition position = PositionOf(
        {.reason = reason, .location = location, .here = row.here, .local = row.local, .received = row.received});
    sums[{reason, location, interface == interfaces_.end() ? "" : interface->second, position}] += row.count;
  }
  if (rest_.other.packets != 0) sums[{"", "", "", DropPosition::kUnknown}] += rest_.other;
  std::vector<DropTotal> totals;
  totals.reserve(sums.size());
  for (const auto& [what, count] : sums)
    totals.push_back({.reason = std::get<0>(what),
                      .location = std::get<1>(what),
                      .interface = std::get<2>(what),
                      .position = std::get<3>(what),
                      .count = count});
  std::stable_sort(totals.begin(), totals.end(),
                   [](const DropTotal& a, const DropTotal& b) { return a.count.packets > b.count.packets; });
  if (totals.size() > kMostTotals) totals.resize(kMostTotals);
  return totals;
}

std::vector<FlowRecord> DropWatch::Dropped() {
  const std::lock_guard lock(mutex_);
  return book_.Largest(kMostDropped);
}

void DropWatch::Describe(HostPiece* piece, PacketStats* stats) {
  const std::lock_guard lock(mutex_);
  piece->how = "tracepoint skb:kfree_skb (tp_btf)";
  piece->events = rest_.drops;
  piece->lost = rest_.unflowed + rest_.missed;
  piece->forgotten = book_.forgotten();
  piece->why = trouble_;
  const auto lack = [&](std::string_view what) {
    piece->why += fmt::format("{}{}", piece->why.empty() ? "" : "; ", what);
  };
  if (!words_.has_reason) lack("this kernel gives no reasons (Linux 5.17)");
  if (!functions_.empty() &&
      std::all_of(functions_.begin(), functions_.end(), [](const auto& function) { return function.second.empty(); }))
    lack("no places: /proc/kallsyms hides addresses (kernel.kptr_restrict)");
  stats->host->drops = Totals();
}

}  // namespace knp::host
