// What a record costs in user space, how many new flows a second are taken without a loss, and how much memory that
// takes. The load is BPF_PROG_TEST_RUN of our program with a new flow each packet, on one CPU; the reader has the other.
#include "bench/user_space.h"

#include <fmt/format.h>
#include <knp/network_monitor.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr std::uint64_t kFlowsARun = std::uint64_t{1} << 30;

std::unique_ptr<NetworkMonitor> OpenMonitor(int* program) {
  MonitorOptions options;
  options.new_flows_per_second = 0;  // each flow by itself: bench/flood.cc measures the other way
  auto monitor = NetworkMonitor::Create(options);
  if (!monitor.ok()) Die(std::string(monitor.status().message()));
  if (absl::Status status = (*monitor)->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
  *program = ProgramById((*monitor)->ListPrograms().at(0).id);
  return *std::move(monitor);
}

double Microseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

double Read(NetworkMonitor& monitor) {
  const auto before = std::chrono::steady_clock::now();
  if (!monitor.GetPacketStats().ok()) Die("GetPacketStats failed");
  return Microseconds(std::chrono::steady_clock::now() - before);
}

}  // namespace

void MeasureRecords(const std::string& floors_path, UserSpaceResult* result) {
  Floors floors(floors_path);
  constexpr std::uint32_t kBurst = 20'000;
  int program = -1;
  const auto monitor = OpenMonitor(&program);
  monitor->SetFlowHandler([](const FlowRecord&) {});  // so that records are made and handed over
  floors.Aim(program, kFlowsARun, 0);
  for (int i = 0; i < 30; i++) {  // until table and conversations are full
    floors.RunDriven(kBurst);
    Read(*monitor);
  }
  std::vector<double> idle, busy;
  for (int i = 0; i < 15; i++) {
    const std::uint64_t evicted = monitor->GetFlowStats()->kernel_evictions;
    floors.RunDriven(kBurst);
    const double burst = Read(*monitor);
    idle.push_back(Read(*monitor));
    const std::uint64_t records =
        monitor->GetFlowStats()->kernel_evictions - evicted + kBurst;  // evicted, and found live
    busy.push_back((burst - idle.back()) * 1000 / static_cast<double>(records));
  }
  std::sort(idle.begin(), idle.end());
  std::sort(busy.begin(), busy.end());
  result->empty_scan_us = idle[idle.size() / 2];
  result->ns_a_record = busy[busy.size() / 2];
}

namespace {

// Offers `rate` new flows a second for a second and a half; what was really offered, or 0 if packets were lost.
double Offer(Floors& floors, NetworkMonitor& monitor, double rate, double* reader_cpu) {
  constexpr std::uint32_t kBurst = 500;
  const auto lost = [&monitor] {
    const auto stats = monitor.GetPacketStats();
    const auto found = stats->total.lost.find("ring_full");
    return found == stats->total.lost.end() ? 0 : found->second.packets;
  };
  const std::uint64_t lost_before = lost();
  const double process_before = ProcessCpuNs(), thread_before = ThreadCpuNs();
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::milliseconds(1500);
  std::uint64_t sent = 0;
  while (std::chrono::steady_clock::now() < end) {
    floors.RunDriven(kBurst);
    sent += kBurst;
    std::this_thread::sleep_until(start + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                              std::chrono::duration<double>(static_cast<double>(sent) / rate)));
  }
  const double seconds = Microseconds(std::chrono::steady_clock::now() - start) / 1e6;
  *reader_cpu = (ProcessCpuNs() - process_before - (ThreadCpuNs() - thread_before)) / 1e9 / seconds;
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  return lost() == lost_before ? static_cast<double>(sent) / seconds : 0;
}

double PeakRssMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

}  // namespace

void MeasureLoad(const std::string& floors_path, UserSpaceResult* result) {
  Floors floors(floors_path);
  int program = -1;
  const auto monitor = OpenMonitor(&program);
  monitor->SetFlowHandler([](const FlowRecord&) {});
  if (absl::Status status = monitor->StartEventProcessing(); !status.ok()) Die(std::string(status.message()));
  const OnOneCpu here;
  floors.Aim(program, kFlowsARun, kFlowsARun);
  for (const double rate : {100e3, 200e3, 250e3, 300e3, 400e3, 500e3, 600e3, 800e3, 1000e3, 1250e3, 1500e3, 2000e3}) {
    double cpu = 0;
    const double held = Offer(floors, *monitor, rate, &cpu);
    if (held == 0) break;
    if (held < result->new_flows_per_second) break;  // the load itself gives no more
    result->new_flows_per_second = held;
    result->offered_at_that = rate;
    result->reader_cpu = cpu;
  }
  result->peak_rss_mib = PeakRssMib();
  const MonitorOptions defaults;
  result->kernel_mib = static_cast<double>(defaults.table_budget_bytes + defaults.ring_bytes) / (1 << 20);
  const absl::Status status = monitor->Finish();
  if (!status.ok() || !monitor->GetPacketStats()->total.Balanced()) Die("the ledger does not balance");
}

}  // namespace knp::bench
