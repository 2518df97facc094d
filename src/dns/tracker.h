// The name service as it passes by: which conversation asked for which name, what came of it and when. Fed by the
// monitor with payload samples, in the order in which they were taken; read by the monitor: completed transactions
// through a callback, a conversation's sums by Find, names of addresses through names().
//
// Ports 53 (UDP and TCP), 5353 (mDNS) and 5355 (LLMNR), on either side. The answers of the last two come from other
// addresses than were asked: they are told by Find alone, have no latency and no timeouts, and name no address.
//
// A packet that passes several interfaces counts at the one that saw the conversation first, once. All memory is
// bounded. Not thread-safe. Time is passed in.
#ifndef KNP_DNS_TRACKER_H_
#define KNP_DNS_TRACKER_H_

#include <absl/container/flat_hash_map.h>
#include <knp/flow_record.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "src/base/flow_delta.h"
#include "src/dns/aged_slab.h"
#include "src/dns/message.h"
#include "src/dns/name_cache.h"
#include "src/dns/query_table.h"
#include "src/dns/stream.h"

namespace knp::dns {

// A question that was answered, or was not in time.
struct Completion {
  std::uint64_t flow_id = 0;
  FlowTuple client;  // whose source asked
  InterfaceId interface = 0;
  std::uint64_t mono_ns = 0;  // of the answer, or of the moment when the time was over
  DnsTransaction transaction;
};

class Tracker {
 public:
  struct Options {
    std::uint64_t timeout_ns = 5'000'000'000;
    std::size_t queries = 16384;             // that wait for their answer
    std::size_t flows = 65536;               // with what is known of them
    std::size_t flow_text_bytes = 16 << 20;  // names and answers kept for Find
    std::size_t stream_bytes = 4 << 20;      // unfinished messages over TCP
    NameCache::Options names;
  };
  struct Statistics {
    std::uint64_t messages = 0;
    std::uint64_t malformed = 0;
    std::uint64_t evicted_queries = 0;  // neither answered nor timed out: there was no room
    std::uint64_t evicted_flows = 0;
    std::uint64_t given_up_streams = 0;
  };
  // Valid during the call. It must not call the tracker.
  using OnCompletion = std::function<void(const Completion&)>;

  Tracker(const Options& options, OnCompletion on_completion);
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // Whether a sample of this conversation is for OnPayload.
  static bool IsNameService(const FlowTuple& tuple);
  // `flow_id`: of the conversation, as in FlowRecord. Samples of none (0) and of other services are ignored.
  void OnPayload(const PayloadSample& sample, std::uint64_t flow_id);
  // Tells of at most `most` questions whose time is over.
  void Advance(std::uint64_t now_mono_ns, std::size_t most);
  // The same without a bound; then drops the questions that still wait.
  void Finish(std::uint64_t now_mono_ns);

  // Null if there is nothing. Valid until the next call of another method.
  const DnsDetail* Find(std::uint64_t flow_id) const;
  // The conversation is over.
  void Forget(std::uint64_t flow_id);

  const NameCache& names() const { return names_; }
  Statistics statistics() const;

 private:
  struct Flow {
    std::uint64_t id = 0;
    DnsDetail detail;
    std::size_t text_bytes = 0;  // of detail.last
    std::uint64_t last_mono_ns = 0;
    InterfaceId interface = 0;
    // By sense: the hook of that interface that counts.
    std::array<std::optional<Direction>, 2> hooks{};
    std::unique_ptr<std::array<Stream, 2>> streams;  // by sense; TCP only
  };
  using Slab = AgedSlab<Flow>;

  Flow& FindOrAdd(const PayloadSample& sample, std::uint64_t flow_id);
  static bool Counts(const PayloadSample& sample, Flow* flow);
  // False: it is no message.
  bool Take(const PayloadSample& sample, std::span<const std::uint8_t> data, std::size_t length, Flow* flow);
  void TakeQuery(const PayloadSample& sample, const Message& message, Flow* flow);
  void TakeResponse(const PayloadSample& sample, const Message& message, Flow* flow);
  void TimeOut(const Query& query);
  void SetLast(Flow* flow, const DnsTransaction& transaction);
  void Remove(Slab::Index index);

  Options options_;
  OnCompletion on_completion_;
  Slab flows_;
  absl::flat_hash_map<std::uint64_t, Slab::Index> flow_index_;
  std::size_t text_bytes_ = 0;
  QueryTable queries_;
  NameCache names_;
  StreamMemory stream_memory_;
  Statistics statistics_;
  Message message_;  // reused
};

}  // namespace knp::dns

#endif  // KNP_DNS_TRACKER_H_
