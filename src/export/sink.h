// Where records go: a file, a metrics page, another system. One folder below src/export and one row in registry.cc each.
//
// Flows, alerts and events come one at a time, in order, from whichever thread of the monitor's tells them; OnStats from another
// thread, perhaps at the same time. A sink must not wait in either. What it cannot take it drops, and
// counts: that is what SinkCounters are for.
#ifndef KNP_EXPORT_SINK_H_
#define KNP_EXPORT_SINK_H_

#include <knp/types.h>

#include <cstdint>
#include <string>

namespace knp::exporting {

struct SinkCounters {
  std::uint64_t delivered = 0;  // records
  std::uint64_t dropped = 0;    // for want of room: whoever should take them is slow or away
  std::uint64_t failures = 0;   // attempts that failed, and were or will be made again
  std::uint64_t queued_bytes = 0;
  std::string trouble;  // the last failure, until one succeeds; empty: none
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual const char* name() const = 0;
  virtual void OnFlow(const FlowRecord&) {}
  virtual void OnAlert(const Alert&) {}
  virtual void OnEvent(const Event&) {}
  // Every few seconds, with the report before it (null: the first).
  virtual void OnStats(const PacketStats&, const PacketStats* /*before*/) {}
  // No more will come: what waits is delivered, for so long as that takes no more than a second or two.
  virtual void Close() {}
  // Thread-safe.
  virtual SinkCounters Counters() const = 0;
};

}  // namespace knp::exporting

#endif  // KNP_EXPORT_SINK_H_
