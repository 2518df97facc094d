// See tracker.h.
#include "src/dns/tracker.h"

#include <netinet/in.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace knp::dns {
namespace {

constexpr std::uint16_t kDnsPort = 53, kMdnsPort = 5353, kLlmnrPort = 5355;
// A conversation that its interface has not seen for so long may have moved to another.
constexpr std::uint64_t kMovedNs = 10'000'000'000;

bool Has(const FlowTuple& tuple, std::uint16_t port) {
  return tuple.source_port == port || tuple.destination_port == port;
}

// Who asks and who answers have different addresses there.
bool IsMulticast(const FlowTuple& tuple) { return Has(tuple, kMdnsPort) || Has(tuple, kLlmnrPort); }

bool SourceIsHigh(const FlowTuple& tuple) {
  return std::tie(tuple.source, tuple.source_port) > std::tie(tuple.destination, tuple.destination_port);
}

FlowTuple Swapped(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

DnsTransaction TransactionOf(const Query& query) {
  DnsTransaction transaction;
  transaction.id = query.id;
  transaction.name = query.name;
  transaction.type = query.type;
  return transaction;
}

void AddAnswer(const Message& message, DnsTransaction* transaction) {
  transaction->rcode = message.rcode;
  transaction->truncated = message.truncated;
  for (const Answer& answer : message.answers) transaction->answers.push_back(answer.text);
}

// An answer by itself. Those of mDNS repeat no question.
DnsTransaction Unasked(const Message& message) {
  DnsTransaction transaction;
  transaction.id = message.id;
  if (message.question) {
    transaction.name = message.question->name;
    transaction.type = message.question->type;
  } else if (!message.answers.empty()) {
    transaction.name = message.answers.front().owner;
    transaction.type = message.answers.front().type;
  }
  AddAnswer(message, &transaction);
  return transaction;
}

}  // namespace

Tracker::Tracker(const Options& options, OnCompletion on_completion)
    : options_(options),
      on_completion_(std::move(on_completion)),
      queries_(options.queries),
      names_(options.names),
      stream_memory_{.limit = options.stream_bytes} {
  options_.flows = std::max<std::size_t>(options_.flows, 1);
}

bool Tracker::IsNameService(const FlowTuple& tuple) {
  return (tuple.protocol == IPPROTO_UDP || tuple.protocol == IPPROTO_TCP) &&
         (Has(tuple, kDnsPort) || IsMulticast(tuple));
}

void Tracker::OnPayload(const PayloadSample& sample, std::uint64_t flow_id) {
  if (flow_id == 0 || !IsNameService(sample.tuple)) return;
  Flow& flow = FindOrAdd(sample, flow_id);
  if (!Counts(sample, &flow)) return;
  if (sample.tuple.protocol == IPPROTO_UDP) {
    Take(sample, sample.data, std::max<std::size_t>(sample.length, sample.data.size()), &flow);
    return;
  }
  if (!flow.streams) flow.streams = std::make_unique<std::array<Stream, 2>>();
  Stream& stream = (*flow.streams)[SourceIsHigh(sample.tuple)];
  const bool had_given_up = stream.given_up();
  stream.Add(sample, &stream_memory_,
             [&](std::span<const std::uint8_t> data, std::size_t length) { return Take(sample, data, length, &flow); });
  statistics_.given_up_streams += stream.given_up() && !had_given_up;
}

Tracker::Flow& Tracker::FindOrAdd(const PayloadSample& sample, std::uint64_t flow_id) {
  const auto [found, added] = flow_index_.try_emplace(flow_id, Slab::kNone);
  if (!added) {
    flows_.Touch(found->second);
    return flows_[found->second];
  }
  Flow flow;
  flow.id = flow_id;
  flow.interface = sample.interface;
  flow.last_mono_ns = sample.mono_ns;
  found->second = flows_.Add(std::move(flow));
  const Slab::Index index = found->second;
  while (flows_.size() > options_.flows) {
    Remove(flows_.oldest());
    ++statistics_.evicted_flows;
  }
  return flows_[index];
}

bool Tracker::Counts(const PayloadSample& sample, Flow* flow) {
  if (sample.mono_ns > flow->last_mono_ns + kMovedNs && sample.interface != flow->interface) {
    flow->interface = sample.interface;
    flow->hooks = {};
  }
  if (sample.interface != flow->interface) return false;
  std::optional<Direction>& hook = flow->hooks[SourceIsHigh(sample.tuple)];
  if (!hook) hook = sample.direction;
  if (*hook != sample.direction) return false;
  flow->last_mono_ns = std::max(flow->last_mono_ns, sample.mono_ns);
  return true;
}

bool Tracker::Take(const PayloadSample& sample, std::span<const std::uint8_t> data, std::size_t length, Flow* flow) {
  switch (Parse(data, length, &message_)) {
    case Verdict::kMalformed:
      ++statistics_.malformed;
      ++flow->detail.malformed;
      return false;
    case Verdict::kTooShort: return true;
    case Verdict::kMessage: break;
  }
  ++statistics_.messages;
  if (message_.response)
    TakeResponse(sample, message_, flow);
  else
    TakeQuery(sample, message_, flow);
  return true;
}

void Tracker::TakeQuery(const PayloadSample& sample, const Message& message, Flow* flow) {
  ++flow->detail.queries;
  if (!message.question) return;
  Query query;
  query.client = sample.tuple;
  query.id = message.id;
  query.type = message.question->type;
  query.name = std::string(message.question->name);
  query.flow_id = flow->id;
  query.interface = sample.interface;
  query.mono_ns = sample.mono_ns;
  const bool completed = flow->detail.last.rcode || flow->detail.last.timed_out;
  if (!completed) SetLast(flow, TransactionOf(query));
  const bool waits = message.opcode == kOpcodeQuery && sample.tuple.destination_port == kDnsPort;
  if (waits) {
    // What has timed out by now does so before it is asked again.
    Advance(sample.mono_ns, queries_.size());
    queries_.Ask(std::move(query));
  }
}

void Tracker::TakeResponse(const PayloadSample& sample, const Message& message, Flow* flow) {
  ++flow->detail.responses;
  const FlowTuple client = Swapped(sample.tuple);
  std::optional<Query> query;
  if (client.destination_port == kDnsPort && !IsMulticast(client)) query = queries_.TakeAnswered(client, message);
  if (query && sample.mono_ns >= query->mono_ns + options_.timeout_ns) {
    TimeOut(*query);
    return;
  }
  if (!query) {
    // Nothing is known to have been asked. Shown if there is nothing else to show, but it names nothing.
    if (flow->detail.queries > 0 && !IsMulticast(client)) return;
    SetLast(flow, Unasked(message));
    return;
  }
  Completion completion{query->flow_id, query->client, query->interface, sample.mono_ns, TransactionOf(*query)};
  AddAnswer(message, &completion.transaction);
  completion.transaction.latency_ns = sample.mono_ns - std::min(sample.mono_ns, query->mono_ns);
  SetLast(flow, completion.transaction);
  IpAddress address;
  address.bytes = client.source;
  address.version = client.ip_version;
  names_.Add(address, message, sample.mono_ns);
  if (on_completion_) on_completion_(completion);
}

void Tracker::TimeOut(const Query& query) {
  Completion completion{query.flow_id, query.client, query.interface, query.mono_ns + options_.timeout_ns,
                        TransactionOf(query)};
  completion.transaction.timed_out = true;
  if (const auto found = flow_index_.find(query.flow_id); found != flow_index_.end()) {
    Flow& flow = flows_[found->second];
    ++flow.detail.timeouts;
    SetLast(&flow, completion.transaction);
  }
  if (on_completion_) on_completion_(completion);
}

void Tracker::Advance(std::uint64_t now_mono_ns, std::size_t most) {
  if (now_mono_ns < options_.timeout_ns) return;
  for (std::size_t i = 0; i < most; ++i) {
    const std::optional<Query> query = queries_.TakeOldest(now_mono_ns - options_.timeout_ns);
    if (!query) return;
    TimeOut(*query);
  }
}

void Tracker::Finish(std::uint64_t now_mono_ns) {
  Advance(now_mono_ns, queries_.size());
  queries_.Clear();
}

void Tracker::SetLast(Flow* flow, const DnsTransaction& transaction) {
  text_bytes_ -= flow->text_bytes;
  flow->detail.last = DnsTransaction(transaction);  // assigned in place, its texts would keep the room of earlier ones
  flow->text_bytes = transaction.name.size();
  for (const std::string& answer : transaction.answers) flow->text_bytes += sizeof(std::string) + answer.size();
  text_bytes_ += flow->text_bytes;
  while (text_bytes_ > options_.flow_text_bytes && flows_.size() > 1 && &flows_[flows_.oldest()] != flow) {
    Remove(flows_.oldest());
    ++statistics_.evicted_flows;
  }
}

const DnsDetail* Tracker::Find(std::uint64_t flow_id) const {
  const auto found = flow_index_.find(flow_id);
  return found == flow_index_.end() ? nullptr : &flows_[found->second].detail;
}

void Tracker::Forget(std::uint64_t flow_id) {
  const auto found = flow_index_.find(flow_id);
  if (found != flow_index_.end()) Remove(found->second);
}

void Tracker::Remove(Slab::Index index) {
  Flow& flow = flows_[index];
  text_bytes_ -= flow.text_bytes;
  if (flow.streams)
    for (Stream& stream : *flow.streams) stream.Release(&stream_memory_);
  flow_index_.erase(flow.id);
  flows_.Remove(index);
}

Tracker::Statistics Tracker::statistics() const {
  Statistics statistics = statistics_;
  statistics.evicted_queries = queries_.evicted();
  return statistics;
}

}  // namespace knp::dns
