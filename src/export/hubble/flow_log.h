// What the Hubble server knows: the ring of flows, the namespaces seen in them, counts. Fed by the agent's flow handler, read by the
// services. OnFlow is for one thread at a time, the rest for any.
#ifndef KNP_EXPORT_HUBBLE_FLOW_LOG_H_
#define KNP_EXPORT_HUBBLE_FLOW_LOG_H_

#include <absl/container/flat_hash_map.h>
#include <knp/flow_record.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "src/export/hubble/flow_event.h"
#include "src/export/hubble/flow_mapper.h"
#include "src/export/hubble/flow_ring.h"

namespace knp::hubble {

class FlowLog {
 public:
  struct Options {
    std::size_t ring_capacity = 4095;
    // Conversations whose state is remembered, so that only changes are told: about 100 bytes each, taken as they come.
    std::size_t conversations = 131'072;
    bool reports = false;  // a flow for each periodic record as well
    MapperOptions mapper;
  };
  explicit FlowLog(Options options);

  // Does not wait for readers. What it costs is a copy of the record for each flow that comes of it.
  void OnFlow(const FlowRecord& record);

  FlowRing& ring() { return ring_; }
  const FlowRing& ring() const { return ring_; }
  const FlowMapper& mapper() const { return mapper_; }

  // Those of the last hour, sorted.
  std::vector<std::string> Namespaces() const;
  // Flows a second over the last minute, or over what the ring still has of it.
  double FlowsPerSecond() const;
  std::uint64_t start_unix_ns() const { return start_unix_ns_; }
  std::chrono::nanoseconds Uptime() const { return std::chrono::steady_clock::now() - start_; }

 private:
  void SeeNamespace(const Endpoint& endpoint, std::uint64_t unix_ns);

  FlowRing ring_;
  const FlowMapper mapper_;
  EventJudge judge_;
  std::uint64_t sequence_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::uint64_t start_unix_ns_;
  mutable std::mutex namespaces_mutex_;
  absl::flat_hash_map<std::string, std::uint64_t> namespaces_;  // when it was seen last
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_LOG_H_
