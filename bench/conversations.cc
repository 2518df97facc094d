// See conversations.h. The whole pipeline with the default set on, fed with deltas of both directions.
#include "bench/conversations.h"

#include <netinet/in.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "bench/isolation.h"
#include "src/monitor/pipeline.h"

namespace knp::bench {
namespace {

constexpr std::uint32_t kMillion = 1'000'000;
constexpr std::uint32_t kDefault = 65'536;
constexpr std::uint64_t kStartNs = 1'000'000'000;

double ResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) * 1024;
  return 0;
}

// Conversation `number`, there or back, as an odd permutation so that neighbours in time are none in memory.
FlowDelta DeltaOf(std::uint32_t number, bool back) {
  FlowDelta delta;
  const std::uint32_t low = number * 2654435761u, high = 0x0a000001;
  std::memcpy(delta.tuple.source.data(), back ? &high : &low, 4);
  std::memcpy(delta.tuple.destination.data(), back ? &low : &high, 4);
  delta.tuple.source_port = back ? 443 : 40000;
  delta.tuple.destination_port = back ? 40000 : 443;
  delta.tuple.protocol = IPPROTO_TCP;
  delta.direction = back ? Direction::kEgress : Direction::kIngress;
  delta.count = {3, 300};
  delta.first_mono_ns = delta.last_mono_ns = kStartNs;
  delta.tcp_flags = 16;
  return delta;
}

class Bench {
 public:
  explicit Bench(std::size_t capacity) {
    MonitorOptions options;
    options.flow_capacity = capacity;
    pipeline_ = std::make_unique<monitor::Pipeline>(
        options,
        monitor::Pipeline::Source{.interface_name = [this](InterfaceId) -> const std::string& { return name_; },
                                  .vantage = nullptr,
                                  .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; },
                                  .packets_seen = [] { return std::uint64_t{0}; }},
        &handlers_);
    if (!pipeline_->Open().ok()) Die("the pipeline does not open");
  }

  // `count` records of the first `conversations`; records a second.
  double Merge(std::uint32_t conversations, std::uint32_t count) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < count; i++)
      pipeline_->OnDelta(DeltaOf(i * 40503u % conversations, i / conversations % 2 != 0));
    return count / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  double NanosecondsToTell() {
    std::uint64_t packets = 0, records = 0;
    const auto start = std::chrono::steady_clock::now();
    pipeline_->flows().Visit([&](const FlowRecord& record) {
      packets += record.sent.packets;
      records++;
    });
    const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    if (packets == 0) Die("no conversation carried anything");
    return ns / static_cast<double>(records);
  }

 private:
  std::string name_ = "eth0";
  monitor::Handlers handlers_;
  std::unique_ptr<monitor::Pipeline> pipeline_;
};

}  // namespace

void MeasureConversations(ConversationResult* result) {
  {
    Bench bench(kDefault);
    bench.Merge(kDefault, 2 * kDefault);
    result->merged_per_second = bench.Merge(kDefault, 2 * kMillion);
  }
  Bench bench(kMillion);
  const double before = ResidentBytes();
  bench.Merge(kMillion, 2 * kMillion);  // both directions of each
  result->bytes_each = (ResidentBytes() - before) / kMillion;
  result->merged_per_second_million = bench.Merge(kMillion, 2 * kMillion);
  result->ns_a_record_told = bench.NanosecondsToTell();
}

}  // namespace knp::bench
