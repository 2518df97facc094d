// ns a packet in the kernel: the empty program, the parsers, ours with few and many flows, by BPF_PROG_TEST_RUN,
// interleaved round by round so that a slow moment hits all alike; the median over the rounds.
#include "bench/data_path.h"

#include <fmt/format.h>
#include <knp/network_monitor.h>

#include <algorithm>
#include <chrono>

#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr std::uint32_t kRuns = 400'000;
constexpr std::uint64_t kManyFlows = std::uint64_t{1} << 30;  // never comes round within a round

// Gives the reader time without letting this CPU go idle and cold.
void Spin(std::chrono::milliseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

std::vector<Line> MeasureDataPath(const std::string& floors_path, unsigned rounds,
                                  const std::string& disable_features) {
  MonitorOptions options;
  options.disable_features = disable_features;
  options.new_flows_per_second = 0;  // each flow by itself: bench/flood.cc measures the other way
  Floors floors(floors_path);
  auto monitor = NetworkMonitor::Create(options);
  if (!monitor.ok()) Die(std::string(monitor.status().message()));
  if (absl::Status status = (*monitor)->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) Die(std::string(status.message()));
  const OnOneCpu here;
  const int ours = ProgramById((*monitor)->ListPrograms().at(0).id);
  const int empty = floors.Program("floor_empty");
  std::uint64_t base = kManyFlows;

  struct Case {
    std::string name;
    std::uint64_t flows;  // 0: each packet a new one
    int program;
    bool evicts = false;
    double target = 0;
  };
  const std::vector<Case> cases = {
      {"empty program (driver alone)", 1, empty},
      {"5-tuple parse only", 1, floors.Program("floor_parse")},
      {"our parser only", 1, floors.Program("floor_knp_parse")},
      {"ours, 1 hot flow", 1, ours, false, 40},
      {"ours, 1,024 flows", 1024, ours},
      {"ours, 16,384 flows", 16384, ours, false, 100},
      {"ours, 131,072 flows, random order", 131072, ours, true, 250},
      {"ours, every packet a new flow", 0, ours, true, 350},
  };
  std::vector<std::vector<double>> samples(cases.size());
  for (unsigned round = 0; round <= rounds; round++) {
    for (std::size_t i = 0; i < cases.size(); i++) {
      const Case& c = cases[i];
      floors.Aim(c.program, c.flows == 0 ? kManyFlows : c.flows, c.flows == 0 ? base : 0);
      if (c.flows == 0) base += kManyFlows;
      // In bursts whose records the ring holds even if the reader does not run at all meanwhile.
      constexpr std::uint32_t kBurst = 20'000;
      const std::uint32_t warm = c.flows > 1 ? static_cast<std::uint32_t>(c.flows) : 0;
      double ns = 0;
      unsigned bursts = 0;
      for (std::uint32_t done = 0; done < warm + kRuns; done += kBurst) {
        const double burst = floors.RunDriven(kBurst);
        if (done >= warm) {
          ns += burst;
          bursts++;
        }
        if (c.evicts) Spin(std::chrono::milliseconds(20));
      }
      if (round != 0) samples[i].push_back(ns / bursts);  // the first round warms everything up
    }
  }
  const auto least = [](const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); };
  const double floor = Median(samples[0]);
  std::vector<Line> lines;
  for (std::size_t i = 0; i < cases.size(); i++) {
    // Each round against its own floor: the machine's mood cancels out.
    std::vector<double> above;
    for (std::size_t round = 0; round < samples[i].size(); round++)
      above.push_back(samples[i][round] - samples[0][round]);
    lines.push_back({.name = cases[i].name,
                     .ns = Median(samples[i]),
                     .above = Median(above),
                     .least = least(samples[i]) - least(samples[0]),
                     .ratio = Median(samples[i]) / floor,
                     .target = cases[i].target});
  }
  auto stats = (*monitor)->GetPacketStats();
  if (!stats.ok() || stats->total.lost.contains("ring_full"))
    Die("the ring overflowed: the figures are not comparable");
  return lines;
}

}  // namespace knp::bench
