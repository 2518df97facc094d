// Conversations in user space: both directions of a flow, and every place where it was seen, merged into one record.
// Fed with deltas and notices by the monitor, read by sinks through records. Bounded: when full, the conversation that
// was idle longest is ended and reported.
//
// The ledger's `in_flows` is summed here, from what the emitted records say: a packet counts once its conversation has
// been reported, no earlier. Not thread-safe. Time is passed in.
#ifndef KNP_FLOW_FLOW_TABLE_H_
#define KNP_FLOW_FLOW_TABLE_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <knp/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/flow_delta.h"
#include "src/flow/attribution.h"
#include "src/flow/conversation.h"
#include "src/flow/latency.h"
#include "src/flow/opener.h"
#include "src/flow/pattern.h"

namespace knp::flow {

class FlowTable {
 public:
  struct Options {
    std::size_t capacity = 65536;
    std::uint64_t idle_timeout_ns = 60'000'000'000;
    std::uint64_t closed_timeout_ns = 2'000'000'000;
    std::uint64_t report_interval_ns = 5'000'000'000;
    std::size_t echo_capacity = 4096;  // conversations whose echoes are timed
    PatternThresholds patterns{};
  };
  // Turns ids and monotonic times into what a record shows.
  struct Context {
    Places places;
    std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
    // Gets each record; valid during the call only. Empty: records are counted all the same.
    std::function<void(const FlowRecord&)> emit;
    // Adds to a record what others know of it, before anybody sees it. May be empty, as those below.
    std::function<void(FlowRecord*)> complete;
    // What a conversation has newly carried, counted once: between its ends, of whom the opener is the first. Not of inner
    // flows, whose outer ones are told.
    std::function<void(std::uint64_t id, const ConversationKey& key, bool source_is_high, const Attribution& carried)>
        on_traffic;
    // The same for detectors, at each news; and when a conversation reaches another stage. Not of inner flows either.
    std::function<void(const Contact& contact, const Carried& carried)> on_carried = nullptr;
    std::function<void(const Contact& contact, Stage before)> on_stage = nullptr;
    // After the last record of an id, or if there was none.
    std::function<void(std::uint64_t id)> on_end;
    // Settles who opened TCP that is seen from its middle on; asked once a conversation.
    AsksListener listens = nullptr;
    // A packet that is behind this host's NAT, of either direction: as it was before. Asked of tuples that are not known.
    std::function<std::optional<FlowTuple>(const FlowTuple&)> original = nullptr;
    // The other way round. Asked when a conversation opens.
    std::function<std::optional<FlowTuple>(const FlowTuple&)> translated = nullptr;
    // What the record that `emit` is about to get adds to `in_flows`, by interface.
    std::function<void(InterfaceId interface, const Count& news)> on_counted = nullptr;
  };
  // Per interface, summed from records (`in_flows`) or from deltas (`protocols`).
  struct InterfaceSums {
    Count in_flows;
    Count received;  // deltas taken: in_flows lags behind it by what is not reported yet
    struct OfProtocol {
      std::uint8_t protocol = 0;
      std::array<Count, 2> carried;  // by Direction
    };
    std::vector<OfProtocol> protocols;  // few, as they came
    std::array<Count, 2>& Carried(std::uint8_t protocol);
  };

  FlowTable(const Options& options, Context context);
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  struct Meeting {
    bool new_conversation = false;
    // The notice tells the conversation's start, and none did before: true too if its counts were read first, which
    // happens when the tables are scanned before the ring.
    bool start = false;
    bool from_opener = false;
    std::uint64_t id = 0;
    std::optional<FlowTuple> original{};  // of a packet behind NAT: the tuple that it counts as
  };
  void Add(const FlowDelta& delta);
  // A packet worth a notice; makes its conversation known before its counts come.
  Meeting Notice(const PacketNotice& notice);
  // A packet with payload, the same way.
  Meeting Payload(const PayloadSample& sample);
  // An ICMP error says that a packet of `tuple` did not arrive. Of a conversation that is not known nothing is told.
  void Refused(const FlowTuple& tuple, InterfaceId interface, std::uint64_t mono_ns);

  // It became known that packets of `original`, from the side that opens, go on as `translated`. What is known of both is one
  // conversation from now on, that of `original`. If records of both were emitted they stay two, each with its own counts,
  // of one `FlowRecord::translated`: no record takes back what an earlier one has told.
  void Join(const FlowTuple& translated, const FlowTuple& original);

  // Ends what has timed out, and reports live conversations that changed, each once in the report interval; does at most
  // `most` of each, so that a call stays short.
  void Advance(std::uint64_t now_mono_ns, std::size_t most);
  // Ends and reports up to `most` conversations; true when none is left.
  bool EndSome(std::size_t most);

  // Each live conversation that has carried anything, as a record that is valid during the call.
  void Visit(const std::function<void(const FlowRecord&)>& visit);
  std::size_t size() const { return live_; }
  // Conversations that have carried anything, ever.
  std::uint64_t opened() const { return opened_; }
  std::uint64_t evicted() const { return evicted_; }
  const InterfaceSums& Sums(InterfaceId id);
  // Of an interface that is no more: all of it, which is then forgotten.
  void ForgetSums(InterfaceId id) {
    if (id < sums_.size()) sums_[id] = {};
  }

 private:
  using Index = Conversation::Index;
  static constexpr Index kNone = Conversation::kNone;
  // By last packet: oldest first.
  struct List {
    Index newest = kNone, oldest = kNone;
  };
  struct KeyHash {
    using is_transparent = void;
    const FlowTable* table;
    std::size_t operator()(Index i) const { return (*this)(table->slab_[i].key); }
    std::size_t operator()(const ConversationKey& key) const { return HashOf(key); }
  };
  struct KeyEqual {
    using is_transparent = void;
    const FlowTable* table;
    bool operator()(Index a, Index b) const { return a == b; }
    bool operator()(Index a, const ConversationKey& b) const { return table->slab_[a].key == b; }
    bool operator()(const ConversationKey& a, Index b) const { return table->slab_[b].key == a; }
  };

  // `mono_ns`: of the packets in question; of several conversations of one key, that which was live then.
  Index FindOrOpen(const FlowTuple& tuple, bool folded, std::uint64_t mono_ns, std::uint64_t first_mono_ns,
                   bool* source_is_high, bool* opened, std::optional<FlowTuple>* original);
  Index Open(const ConversationKey& key, bool source_is_high, std::uint64_t first_mono_ns);
  // The tuple's ports are used again: `index` goes on as an earlier conversation until it ends.
  Index Supersede(Index index, bool source_is_high, std::uint64_t first_mono_ns);
  bool BeginsAnother(const Conversation& c, const PacketNotice& notice, bool source_is_high, bool is_translated) const;
  void KeepHeader(Conversation* c, const PacketNotice& notice, bool from_opener);
  void TellTraffic(Conversation* c, const FlowDelta& delta);
  void TellStage(Conversation* c, InterfaceId interface, std::uint64_t mono_ns);
  void Touch(Index index, std::uint64_t mono_ns);
  void Link(Index index);
  void Unlink(Index index);
  void End(Index index);
  void Release(Index index);  // without a record
  void AskForTranslation(const Conversation& c);
  void SetTranslation(std::uint64_t id, bool source_is_high, const FlowTuple& translated);
  void Report(Conversation* c, bool final);
  void Describe(Conversation* c, bool final, FlowRecord* record) const;
  void DescribeEnds(const Conversation& c, FlowRecord* record) const;

  Options options_;
  Context context_;
  std::vector<Conversation> slab_;
  std::vector<Index> free_;
  absl::flat_hash_set<Index, KeyHash, KeyEqual> index_;
  List open_list_, closed_list_;
  Index report_at_ = 0;
  std::uint64_t last_advance_ns_ = 0;
  double report_credit_ = 0;
  std::size_t live_ = 0;
  EchoTimer echoes_;
  std::uint64_t last_id_ = 0, opened_ = 0, evicted_ = 0;
  std::vector<InterfaceSums> sums_;
  absl::flat_hash_map<std::uint64_t, FlowTuple> translations_;  // by id, from the low end
  FlowRecord scratch_;
};

}  // namespace knp::flow

#endif  // KNP_FLOW_FLOW_TABLE_H_
