// What in a conversation's life makes a flow of Hubble's, and the decision when there is one: our records tell of a conversation again
// and again with growing counts, Hubble's flows are single events. Fed by FlowLog with every record, in order.
#ifndef KNP_EXPORT_HUBBLE_FLOW_EVENT_H_
#define KNP_EXPORT_HUBBLE_FLOW_EVENT_H_

#include <knp/flow_record.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/aged_map.h"

namespace knp::hubble {

enum class FlowEvent : std::uint8_t {
  kOpened,    // first told of
  kChanged,   // its state is another
  kReport,    // periodic, if these are asked for
  kEnded,     // the last record
  kDropped,   // more of its packets were dropped
  kDnsQuery,  // a question that nobody answered
  kDnsAnswer,
  kHttpRequest,
  kHttpResponse,
};

// At most one of each kind that can come of one record, in the order in which they are to be told.
struct FlowEvents {
  std::array<FlowEvent, 6> list{};
  std::size_t size = 0;
  void Add(FlowEvent event) { list[size++] = event; }
  const FlowEvent* begin() const { return list.data(); }
  const FlowEvent* end() const { return list.data() + size; }
};

// Not thread-safe. Bounded: when more conversations live than it has room for, the one idle longest is forgotten and told of as
// new when its next record comes.
class EventJudge {
 public:
  EventJudge(std::size_t conversations, bool reports) : reports_(reports), known_(conversations, 0) {}
  FlowEvents Judge(const FlowRecord& record);
  std::size_t size() const { return known_.size(); }

 private:
  struct Known {
    bool told = false;
    bool http_request = false, http_response = false;
    FlowState state = FlowState::kActive;
    std::uint64_t drops = 0;  // packets
    std::uint64_t dns_answers = 0, dns_timeouts = 0;
  };
  struct Hash {
    std::size_t operator()(std::uint64_t id) const { return static_cast<std::size_t>(id * 0x9e3779b97f4a7c15); }
  };
  void JudgeApplication(const FlowRecord& record, Known* known, FlowEvents* events) const;

  const bool reports_;
  std::uint64_t turn_ = 0;  // stands for the time: records come in the order in which they are told
  AgedMap<std::uint64_t, Known, Hash> known_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_EVENT_H_
