// One flow in the ring: first the record as the monitor told it, and the message made of it when somebody reads it. So what nobody
// reads costs a copy, and what many read is made once. Made by FlowLog, read by any thread.
#ifndef KNP_EXPORT_HUBBLE_FLOW_ENTRY_H_
#define KNP_EXPORT_HUBBLE_FLOW_ENTRY_H_

#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "proto/hubble/flow.pb.h"
#include "src/export/hubble/flow_event.h"

namespace knp::hubble {

class FlowMapper;

class FlowEntry {
 public:
  FlowEntry(const FlowRecord& record, FlowEvent event, std::uint64_t sequence)
      : event_(event),
        sequence_(sequence),
        time_unix_ns_(record.end_unix_ns ? record.end_unix_ns : record.start_unix_ns),
        record_(std::make_unique<const FlowRecord>(record)) {}
  FlowEntry(const FlowEntry&) = delete;
  FlowEntry& operator=(const FlowEntry&) = delete;

  std::uint64_t time_unix_ns() const { return time_unix_ns_; }
  std::uint64_t sequence() const { return sequence_; }

  // Thread-safe. `mapper` must be the same each time.
  const ::flow::Flow& Message(const FlowMapper& mapper) const;

 private:
  const FlowEvent event_;
  const std::uint64_t sequence_;
  const std::uint64_t time_unix_ns_;
  mutable std::once_flag made_;
  mutable std::unique_ptr<const FlowRecord> record_;  // until the message is made
  mutable std::unique_ptr<const ::flow::Flow> message_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_ENTRY_H_
