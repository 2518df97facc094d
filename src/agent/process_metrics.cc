// See process_metrics.h.
#include "src/agent/process_metrics.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <utility>

namespace knp::agent {

using prometheus_text::AddSample;
using prometheus_text::CounterFamily;
using prometheus_text::Families;
using prometheus_text::GaugeFamily;

ProcessUse ReadProcessUse() {
  ProcessUse use;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  use.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  if (statm >> size >> resident) use.resident_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return use;
}

void AppendProcessFamilies(const AgentHistory::State& history, Families* families) {
  const ProcessUse use = ReadProcessUse();
  utsname system{};
  uname(&system);
  auto build = GaugeFamily("build_info", "Always 1; what runs here.");
  AddSample(&build, {{"version", KNP_VERSION}, {"kernel", system.release}, {"architecture", system.machine}}, 1);
  auto start = GaugeFamily("start_time_seconds", "When the agent started, since the Unix epoch.");
  AddSample(&start, {}, static_cast<double>(history.start_unix_ns) / 1e9);
  auto cpu = CounterFamily("cpu_seconds_total", "CPU time of the agent's threads; what its hooks cost is not in it.");
  AddSample(&cpu, {}, use.cpu_seconds);
  auto memory = GaugeFamily("resident_memory_bytes", "Memory of the agent, mapped tables of the kernel included.");
  AddSample(&memory, {}, static_cast<double>(use.resident_bytes));
  auto reloads = CounterFamily("config_reloads_total", "New versions of the settings, by what came of them.");
  AddSample(&reloads, {{"outcome", "taken"}}, static_cast<double>(history.reloads));
  AddSample(&reloads, {{"outcome", "refused"}}, static_cast<double>(history.failed_reloads));
  for (auto* family : {&build, &start, &cpu, &memory, &reloads}) families->push_back(std::move(*family));
}

void AppendSinkFamilies(const std::vector<std::unique_ptr<exporting::Sink>>& sinks, Families* families) {
  auto records = CounterFamily("sink_records_total", "Records that a sink delivered or dropped.");
  auto failures = CounterFamily("sink_failures_total", "Deliveries that failed; most are tried again.");
  auto queued = GaugeFamily("sink_queue_bytes", "What waits to be delivered.");
  for (const auto& sink : sinks) {
    const exporting::SinkCounters counters = sink->Counters();
    AddSample(&records, {{"sink", sink->name()}, {"outcome", "delivered"}}, static_cast<double>(counters.delivered));
    AddSample(&records, {{"sink", sink->name()}, {"outcome", "dropped"}}, static_cast<double>(counters.dropped));
    AddSample(&failures, {{"sink", sink->name()}}, static_cast<double>(counters.failures));
    AddSample(&queued, {{"sink", sink->name()}}, static_cast<double>(counters.queued_bytes));
  }
  for (auto* family : {&records, &failures, &queued}) families->push_back(std::move(*family));
}

}  // namespace knp::agent
