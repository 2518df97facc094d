// What a kernel that lacks something costs: our program with features forced off, each way beside the best one and the
// empty program, by BPF_PROG_TEST_RUN, interleaved round by round.
#include "bench/fallbacks.h"

#include <knp/network_monitor.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr std::uint32_t kRuns = 200'000, kBurst = 20'000;
constexpr std::uint64_t kManyFlows = std::uint64_t{1} << 30;  // never comes round within a round

// No thread of its own: it is read between the bursts, so that only the program's time is taken.
struct Way {
  Fallback result;
  std::unique_ptr<NetworkMonitor> monitor;
  int program = -1;
  std::uint64_t base = kManyFlows;
  std::vector<double> hot, thousand, fresh, scan;
};

double ReadMilliseconds(NetworkMonitor& monitor) {
  const auto before = std::chrono::steady_clock::now();
  if (!monitor.GetPacketStats().ok()) Die("GetPacketStats failed");
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count();
}

// ns a packet of `program` over `flows` flows, from `base` on; `between` after each burst.
template <typename Between>
double Measure(Floors& floors, int program, std::uint64_t flows, std::uint64_t base, const Between& between) {
  floors.Aim(program, flows, base);
  floors.RunDriven(kBurst);  // warms up
  between();
  double ns = 0;
  std::uint32_t bursts = 0;
  for (std::uint32_t done = 0; done < kRuns; done += kBurst, bursts++) {
    ns += floors.RunDriven(kBurst);
    between();
  }
  return ns / bursts;
}

std::vector<Way> OpenWays() {
  const std::pair<const char*, const char*> kinds[] = {
      {"best (6.6 and newer)", ""},         {"no ring buffer", "ringbuf"},
      {"no mapping: batches", "mmap"},      {"no mapping, no batches", "mmap,batch"},
      {"4.18 variant, mapped", "programs"}, {"4.18 variant, nothing younger than 4.18", "programs,mmap,batch"},
  };
  std::vector<Way> ways;
  for (const auto& [name, disabled] : kinds) {
    Way& way = ways.emplace_back();
    way.result.name = name;
    way.result.disabled = disabled;
    MonitorOptions options;
    options.disable_features = disabled;
    options.new_flows_per_second = 0;
    auto monitor = NetworkMonitor::Create(options);
    if (!monitor.ok()) Die(std::string(monitor.status().message()));
    way.monitor = *std::move(monitor);
    if (absl::Status status = way.monitor->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
    way.program = ProgramById(way.monitor->ListPrograms().at(0).id);
  }
  return ways;
}

}  // namespace

std::vector<Fallback> MeasureFallbacks(const std::string& floors_path, unsigned rounds) {
  Floors floors(floors_path);
  std::vector<Way> ways = OpenWays();
  const OnOneCpu here;
  const int empty = floors.Program("floor_empty");
  const auto nothing = [] {};
  for (unsigned round = 0; round <= rounds; round++) {
    const double floor = Measure(floors, empty, 1, 0, nothing);
    for (Way& way : ways) {
      const auto read = [&way] { ReadMilliseconds(*way.monitor); };
      const double hot = Measure(floors, way.program, 1, 0, nothing) - floor;
      const double thousand = Measure(floors, way.program, 1024, 0, nothing) - floor;
      const double fresh = Measure(floors, way.program, kManyFlows, way.base, read) - floor;
      way.base += kManyFlows;
      const double scan = ReadMilliseconds(*way.monitor);
      if (round == 0) continue;  // warms everything up
      way.hot.push_back(hot);
      way.thousand.push_back(thousand);
      way.fresh.push_back(fresh);
      way.scan.push_back(scan);
    }
  }
  std::vector<Fallback> results;
  for (Way& way : ways) {
    way.result.hot = Median(way.hot);
    way.result.thousand = Median(way.thousand);
    way.result.fresh = Median(way.fresh);
    way.result.scan_ms = Median(way.scan);
    const absl::Status status = way.monitor->Finish();
    const auto stats = way.monitor->GetPacketStats();
    if (!status.ok() || !stats.ok() || !stats->total.Balanced()) Die("the ledger does not balance: " + way.result.name);
    results.push_back(way.result);
  }
  return results;
}

bool WithinBounds(const Fallback& fallback, const Fallback& best) {
  return fallback.hot <= 3 * best.hot || fallback.hot <= 60;
}

}  // namespace knp::bench
