// ns a packet in the kernel: the empty program, the parsers, ours with few and many flows, by BPF_PROG_TEST_RUN,
// interleaved round by round so that a slow moment hits all alike; the median over the rounds.
#include "bench/data_path.h"

#include <fmt/format.h>
#include <knp/network_monitor.h>

#include <algorithm>
#include <functional>

#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr std::uint32_t kRuns = 400'000;
constexpr std::uint64_t kManyFlows = std::uint64_t{1} << 40;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::vector<Line> MeasureDataPath(const std::string& floors_path, unsigned rounds) {
  Floors floors(floors_path);
  auto monitor = NetworkMonitor::Create();
  if (!monitor.ok()) Die(std::string(monitor.status().message()));
  if (absl::Status status = (*monitor)->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
  const int ours = ProgramById((*monitor)->ListPrograms().at(0).id);
  const int empty = floors.Program("floor_empty");
  std::uint64_t base = kManyFlows;

  struct Case {
    std::string name;
    std::uint64_t flows;  // 0: each packet a new one
    int program;
    bool floor;
  };
  const std::vector<Case> cases = {
      {"empty program (driver alone)", 1, empty, true},
      {"5-tuple parse only", 1, floors.Program("floor_parse"), false},
      {"our parser only", 1, floors.Program("floor_knp_parse"), false},
      {"ours, 1 hot flow", 1, ours, false},
      {"ours, 1,024 flows", 1024, ours, false},
      {"ours, 16,384 flows", 16384, ours, false},
      {"ours, 131,072 flows, random order", 131072, ours, false},
      {"ours, every packet a new flow", 0, ours, false},
  };
  std::vector<std::vector<double>> samples(cases.size());
  for (unsigned round = 0; round <= rounds; round++) {
    for (std::size_t i = 0; i < cases.size(); i++) {
      const Case& c = cases[i];
      // In bursts that the ring holds; what they leave there is read between them, outside the time.
      constexpr std::uint32_t kBurst = 20'000;
      const std::uint32_t warm = c.flows > 1 ? static_cast<std::uint32_t>(c.flows) : 0;
      double ns = 0;
      floors.Aim(c.program, c.flows == 0 ? std::uint64_t{1} << 32 : c.flows, 0);
      for (std::uint32_t done = 0; done < warm + kRuns; done += kBurst) {
        if (c.flows == 0) floors.Aim(c.program, std::uint64_t{1} << 32, base += kBurst);
        const double burst = floors.RunDriven(kBurst);
        if (done >= warm) ns += burst * kBurst / kRuns;
        if (!c.floor) (*monitor)->GetPacketStats().status().IgnoreError();
      }
      if (round != 0) samples[i].push_back(ns);  // the first round warms everything up
    }
  }
  const double floor = Median(samples[0]);
  std::vector<Line> lines;
  for (std::size_t i = 0; i < cases.size(); i++) {
    // Each round against its own floor: the machine's mood cancels out.
    std::vector<double> above;
    for (std::size_t round = 0; round < samples[i].size(); round++) above.push_back(samples[i][round] - samples[0][round]);
    lines.push_back({cases[i].name, Median(samples[i]), Median(above), Median(samples[i]) / floor});
  }
  auto stats = (*monitor)->GetPacketStats();
  if (!stats.ok() || stats->total.lost.contains("ring_full")) Die("the ring overflowed: the figures are not comparable");
  return lines;
}

}  // namespace knp::bench
