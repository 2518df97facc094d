// What a flood costs at the highest rate that the machine can make: our program in TEST_RUN without a pause on one CPU, each
// packet a new flow, while the reader has the other. With folding, and without.
#include "bench/flood.h"

#include <knp/network_monitor.h>

#include <chrono>
#include <fstream>

#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr std::uint32_t kBurst = 20'000;
constexpr auto kDuration = std::chrono::seconds(5);

double PeakRssMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

}  // namespace

void MeasureFlood(const std::string& floors_path, bool wide, bool folding, FloodResult* result) {
  Floors floors(floors_path);
  MonitorOptions options;
  if (!folding) options.new_flows_per_second = 0;
  auto monitor = NetworkMonitor::Create(options);
  if (!monitor.ok()) Die(std::string(monitor.status().message()));
  if (absl::Status status = (*monitor)->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
  const int program = ProgramById((*monitor)->ListPrograms().at(0).id);
  (*monitor)->SetFlowHandler([](const FlowRecord&) {});  // so that records are made and handed over
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) Die(std::string(status.message()));
  const OnOneCpu here;
  const char* driver = wide ? "floor_drive_wide" : "floor_drive";
  constexpr std::uint64_t kNeverAgain = std::uint64_t{1} << 40;
  floors.Aim(floors.Program("floor_empty"), kNeverAgain, 0);
  floors.RunDriven(kBurst, driver);
  double floor = 0;
  for (int i = 0; i < 20; i++) floor += floors.RunDriven(kBurst, driver) / 20;
  floors.Aim(program, kNeverAgain, 0);

  const double process_before = ProcessCpuNs(), thread_before = ThreadCpuNs();
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t sent = 0;
  double ns = 0;
  while (std::chrono::steady_clock::now() - start < kDuration) {
    ns += floors.RunDriven(kBurst, driver) * kBurst;
    sent += kBurst;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result->reader_cpu = (ProcessCpuNs() - process_before - (ThreadCpuNs() - thread_before)) / 1e9 / seconds;
  result->packets_per_second = static_cast<double>(sent) / seconds;
  result->ns_a_packet = ns / static_cast<double>(sent) - floor;
  result->peak_rss_mib = PeakRssMib();

  if (absl::Status status = (*monitor)->Finish(); !status.ok()) Die(std::string(status.message()));
  const auto stats = (*monitor)->GetPacketStats();
  if (!stats.ok() || !stats->total.Balanced() || stats->total.seen.packets != sent)
    Die("the ledger of a flood does not balance");
  for (const auto& [where, count] : stats->total.lost)
    result->lost_share += static_cast<double>(count.packets) / static_cast<double>(sent);
  result->folded_share = static_cast<double>(stats->folded.packets) / static_cast<double>(sent);
  result->flows = (*monitor)->GetFlowStats()->total_flows;
}

}  // namespace knp::bench
