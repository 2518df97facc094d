// See pipeline.h.
#include "src/monitor/pipeline.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "src/base/nanoseconds.h"
#include "src/base/tcp_flags.h"
#include "src/flow/icmp_quote.h"

namespace knp::monitor {
namespace {

Endpoint MakeEndpoint(const std::array<std::uint8_t, 16>& bytes, const FlowTuple& tuple, std::uint16_t port) {
  const bool icmp = tuple.protocol == IPPROTO_ICMP || tuple.protocol == IPPROTO_ICMPV6;
  return {.ip = {.bytes = bytes, .version = tuple.ip_version}, .port = icmp ? std::uint16_t{0} : port};
}

// A first packet by which its sender tries a port: SYN alone, or a probe without ACK; any UDP packet. What answers
// (SYN-ACK, RST) or goes on (ACK) is none.
bool IsAttempt(const PacketNotice& notice) {
  return notice.tuple.protocol == IPPROTO_UDP ||
         (notice.tuple.protocol == IPPROTO_TCP && !(notice.tcp_flags & (kAck | kRst)));
}

}  // namespace

absl::Status CheckOptions(const MonitorOptions& options) {
  const auto positive = [](std::chrono::milliseconds value, const char* name) {
    return value.count() > 0
               ? absl::OkStatus()
               : absl::InvalidArgumentError(fmt::format("{} is {} ms: must be at least 1 ms", name, value.count()));
  };
  for (const absl::Status& status :
       {positive(options.drain_interval, "drain_interval"), positive(options.scan_interval, "scan_interval"),
        positive(options.report_interval, "report_interval"), positive(options.idle_timeout, "idle_timeout"),
        positive(options.closed_timeout, "closed_timeout")})
    if (!status.ok()) return status;
  if (options.hook_check_interval < std::chrono::milliseconds(10) ||
      options.hook_check_interval > std::chrono::milliseconds(1000))
    return absl::InvalidArgumentError(
        fmt::format("hook_check_interval is {} ms: must be 10 to 1,000 ms", options.hook_check_interval.count()));
  if (options.flow_capacity == 0 || options.flow_capacity > 100'000'000)
    return absl::InvalidArgumentError(
        fmt::format("flow_capacity is {}: must be 1 to 100,000,000", options.flow_capacity));
  return absl::OkStatus();
}

Pipeline::Pipeline(const MonitorOptions& options, Source source, const Handlers* handlers)
    : options_(options),
      source_(std::move(source)),
      handlers_(handlers),
      dns_({}, [this](const dns::Completion& completion) { OnCompletion(completion); }),
      traffic_({}),
      flows_(
          {.capacity = options.flow_capacity,
           .idle_timeout_ns = Nanoseconds(options.idle_timeout),
           .closed_timeout_ns = Nanoseconds(options.closed_timeout),
           .report_interval_ns = Nanoseconds(options.report_interval),
           .patterns = options.patterns},
          {.places = {.name = source_.interface_name, .vantage = source_.vantage},
           .unix_ns = source_.unix_ns,
           .emit = [this](const FlowRecord& record) { OnRecord(record); },
           .complete = [this](FlowRecord* record) { Complete(record); },
           .on_traffic = [this](std::uint64_t flow_id, const flow::ConversationKey& key, bool source_is_high,
                                const flow::Attribution& carried) { OnTraffic(flow_id, key, source_is_high, carried); },
           .on_carried = [this](const Contact& contact,
                                const Carried& carried) { detection_.OnCarried(contact, carried); },
           .on_stage = [this](const Contact& contact, Stage before) { detection_.OnStage(contact, before); },
           .on_end = [this](std::uint64_t flow_id) { Forget(flow_id); },
           .listens = source_.listens,
           .original = source_.original,
           .translated = source_.translated,
           .on_counted = handlers->wants_receipts()
                             ? [this](InterfaceId id, const Count& news) { receipt_.counts.emplace_back(id, news); }
                             : std::function<void(InterfaceId, const Count&)>()}),
      port_rate_([this](const Alert& alert) { TellPortRate(alert); }, source_.packets_seen),
      detection_(options.detection, {.raise = [this](const Alert& alert) { Raise(alert); },
                                     .unix_ns = source_.unix_ns,
                                     .packets_seen = source_.packets_seen}) {}

absl::Status Pipeline::Open() {
  if (const DetectionOptions& detection = options_.detection;
      detection.enabled && !detection.anomaly.known_bad_file.empty()) {
    KnownBadFile::News news;
    known_bad_file_.emplace(detection.anomaly.known_bad_file);
    if (absl::Status status = known_bad_file_->Open(&news); !status.ok()) return status;
    TakeList(std::move(news));
  }
  if (!options_.identify_applications) return absl::OkStatus();
  app::ClassifierOptions classifying;
  classifying.max_flows = options_.flow_capacity;
  auto classifier = app::Classifier::Create(classifying);
  if (!classifier.ok()) return classifier.status();
  applications_ = *std::move(classifier);
  return absl::OkStatus();
}

void Pipeline::OnDelta(const FlowDelta& delta) {
  now_mono_ns_ = std::max(now_mono_ns_, delta.last_mono_ns);
  flows_.Add(delta);
}

void Pipeline::OnNotice(const PacketNotice& notice) {
  const flow::FlowTable::Meeting contact = flows_.Notice(notice);
  const FlowTuple& tuple = contact.original ? *contact.original : notice.tuple;
  const bool started = notice.kind == PacketNotice::Kind::kFlowStarted;
  // Not by the start of a flow, which may be a fragment's: it has no flags.
  if (notice.kind == PacketNotice::Kind::kSecurityCandidate && tuple.tunnel.type == TunnelType::kNone)
    detection_.OnTcpPacket(tuple, notice.tcp_flags, notice.interface, notice.mono_ns);
  if (started && !contact.start) return;  // the other direction, or another interface: no news
  if (started && IsAttempt(notice)) port_rate_.OnContact(tuple, notice.mono_ns, source_.unix_ns(notice.mono_ns));
  const bool is_event = started || notice.kind == PacketNotice::Kind::kConnectionReset ||
                        notice.kind == PacketNotice::Kind::kSecurityCandidate;
  if (!is_event || !handlers_->wants_events()) return;
  Event event;
  event.type = started                                               ? EventType::kFlowStarted
               : notice.kind == PacketNotice::Kind::kConnectionReset ? EventType::kConnectionReset
                                                                     : EventType::kSecurityCandidate;
  event.time_unix_ns = source_.unix_ns(notice.mono_ns);
  event.interface = source_.interface_name(notice.interface);
  event.flow_id = contact.id;
  event.protocol = tuple.protocol;
  event.source = MakeEndpoint(tuple.source, tuple, tuple.source_port);
  event.destination = MakeEndpoint(tuple.destination, tuple, tuple.destination_port);
  event.tcp_flags = notice.tcp_flags;
  outbox_.emplace_back(std::move(event));
}

void Pipeline::OnPayload(const PayloadSample& sample) {
  if (sample.tuple.protocol == IPPROTO_ICMP || sample.tuple.protocol == IPPROTO_ICMPV6) return OnRefusal(sample);
  const flow::FlowTable::Meeting contact = flows_.Payload(sample);
  if (contact.original) {
    PayloadSample before = sample;
    before.tuple = *contact.original;
    return OnContent(before, contact);
  }
  OnContent(sample, contact);
}

void Pipeline::OnContent(const PayloadSample& sample, const flow::FlowTable::Meeting& contact) {
  if (dns::Tracker::IsNameService(sample.tuple)) dns_.OnPayload(sample, contact.id);
  if (applications_) applications_->OnPayload(sample, contact.id, contact.from_opener);
}

// At the time of the newest packet that was told: a table that is read once a second tells late, but all of it.
void Pipeline::OnTraffic(std::uint64_t flow_id, const flow::ConversationKey& key, bool source_is_high,
                         const flow::Attribution& carried) {
  const AppDetail* app = applications_ ? applications_->Find(flow_id) : nullptr;
  traffic::TrafficDelta delta;
  delta.source = {.bytes = source_is_high ? key.high : key.low, .version = key.ip_version};
  delta.destination = {.bytes = source_is_high ? key.low : key.high, .version = key.ip_version};
  if (key.folded)  // whoever it is
    for (IpAddress* end : {&delta.source, &delta.destination})
      if (end->bytes == IpAddress().bytes) end->version = 0;
  delta.protocol = key.protocol;
  if (app) delta.application = app->application.empty() ? app->protocol : app->application;
  delta.sent = carried.sent;
  delta.received = carried.received;
  traffic_.Add(delta, now_mono_ns_);
}

void Pipeline::DescribeFlows(InterfaceId id, InterfaceStats* stats) {
  const flow::FlowTable::InterfaceSums& sums = flows_.Sums(id);
  stats->ledger.in_flows = sums.in_flows;
  for (const auto& [protocol, carried] : sums.protocols) {
    const std::string name = ProtocolName(protocol);
    for (const Count& count : carried) stats->protocols[name] += count;
    if (carried[0].packets != 0) stats->rx_protocols[name] = carried[0];
    if (carried[1].packets != 0) stats->tx_protocols[name] = carried[1];
  }
}

void Pipeline::DescribeFlows(FlowStats* stats) const {
  stats->active_flows = flows_.size();
  stats->total_flows = flows_.opened();
  stats->evicted_flows = flows_.evicted();
}

void Pipeline::DescribeAlerts(PacketStats* stats) const {
  stats->alerts_suppressed = detection_.alerts().suppressed();
  stats->alerts_folded = detection_.alerts().folded();
}

void Settle(Ledger* ledger) {
  Count rest = ledger->seen - ledger->in_flows;
  for (const auto& [reason, count] : ledger->remainder) rest = rest - count;
  for (const auto& [where, count] : ledger->lost) rest = rest - count;
  // More in the records than was seen is no flight but a broken promise: it stays visible, for Balanced() to fail.
  const auto positive = [](std::uint64_t n) { return static_cast<std::int64_t>(n) > 0 ? n : 0; };
  ledger->in_flight = {positive(rest.packets), positive(rest.bytes)};
}

TrafficReport Pipeline::Traffic(std::uint64_t now_mono_ns, std::size_t top) {
  TrafficReport report = traffic_.Report(now_mono_ns, top);
  report.time_unix_ns = source_.unix_ns(now_mono_ns);
  return report;
}

void Pipeline::OnRecord(const FlowRecord& record) {
  if (handlers_->wants_flows()) outbox_.emplace_back(record);
  if (!receipt_.counts.empty()) outbox_.emplace_back(std::exchange(receipt_, {}));
  detection_.OnRecord(record, now_mono_ns_);
}

// The simple rule's alert is the book's: what the scan detector finds of the same source is the same attack.
void Pipeline::TellPortRate(const Alert& alert) {
  const std::uint64_t epoch_ns = source_.unix_ns(0);
  const std::string key = alert.source->ip.ToString();
  // The book has its own end of it, at the same time or before: then this is no attack once more.
  if (alert.state == AlertState::kClosed && !detection_.alerts().IsOpen(alert.type, key)) return;
  detection_.Tell({.alert = alert,
                   .key = key,
                   .origin = "port_rate",
                   .first_mono_ns = alert.first_seen_unix_ns - epoch_ns,
                   .last_mono_ns = alert.last_seen_unix_ns - epoch_ns,
                   .quiet_ns = detect::PortRate::kQuietNs},
                  alert.time_unix_ns - epoch_ns);
}

// An ICMP error quotes the packet that did not arrive.
void Pipeline::OnRefusal(const PayloadSample& sample) {
  if (const std::optional<FlowTuple> quoted = flow::QuotedTuple(sample))
    flows_.Refused(*quoted, sample.interface, sample.mono_ns);
}

void Pipeline::OnCompletion(const dns::Completion& completion) {
  const FlowTuple& asked = completion.client;
  detection_.OnDns({.bytes = asked.source, .version = asked.ip_version},
                   {.bytes = asked.destination, .version = asked.ip_version}, completion.transaction,
                   completion.mono_ns);
  if (!handlers_->wants_events()) return;
  Event event;
  event.type = EventType::kDns;
  event.time_unix_ns = source_.unix_ns(completion.mono_ns);
  event.interface = source_.interface_name(completion.interface);
  event.flow_id = completion.flow_id;
  event.protocol = completion.client.protocol;
  event.source = MakeEndpoint(completion.client.source, completion.client, completion.client.source_port);
  event.destination =
      MakeEndpoint(completion.client.destination, completion.client, completion.client.destination_port);
  event.dns = completion.transaction;
  outbox_.emplace_back(std::move(event));
}

void Pipeline::Complete(FlowRecord* record) {
  if (const DnsDetail* dns = dns_.Find(record->id)) record->dns = *dns;
  if (applications_)
    if (const AppDetail* app = applications_->Find(record->id)) record->app = *app;
  NameEnds(record);
  if (source_.complete && !record->folded) source_.complete(record);
  if (!options_.namer) return;
  const auto name = [this, record](Endpoint* end) {
    if (end->ip.version != 0) options_.namer->Name(record->protocol, record->start_unix_ns, end);
  };
  name(&record->source);
  name(&record->destination);
  if (!record->translated) return;
  name(&record->translated->source);
  name(&record->translated->destination);
}

void Pipeline::Raise(const Alert& alert) {
  Alert& raised = std::get<Alert>(outbox_.emplace_back(alert));
  if (!options_.namer) return;
  for (std::optional<Endpoint>* end : {&raised.source, &raised.target})
    if (*end) options_.namer->Name(0, raised.last_seen_unix_ns, &**end);
}

// Each end by the name that the other asked for, as soon as that is known; then it stays.
void Pipeline::NameEnds(FlowRecord* record) {
  if (record->folded) return;
  if (const auto known = names_.find(record->id); known != names_.end()) {
    record->source.dns_name = known->second.first;
    record->destination.dns_name = known->second.second;
    return;
  }
  if (dns_.names().size() == 0) return;
  const std::uint64_t start_mono_ns = record->start_unix_ns - source_.unix_ns(0);  // names that were valid then
  record->destination.dns_name = dns_.names().Find(record->source.ip, record->destination.ip, start_mono_ns);
  record->source.dns_name = dns_.names().Find(record->destination.ip, record->source.ip, start_mono_ns);
  if (record->final || (record->destination.dns_name.empty() && record->source.dns_name.empty())) return;
  names_.try_emplace(record->id, record->source.dns_name, record->destination.dns_name);
}

void Pipeline::Forget(std::uint64_t flow_id) {
  dns_.Forget(flow_id);
  if (applications_) applications_->Forget(flow_id);
  names_.erase(flow_id);
}

void Pipeline::Advance(std::uint64_t now_mono_ns, std::size_t most) {
  now_mono_ns_ = now_mono_ns;
  dns_.Advance(now_mono_ns, most);
  flows_.Advance(now_mono_ns, most);
  detection_.Advance(now_mono_ns);
}

void Pipeline::OnUserEvent(std::uint16_t type, std::span<const std::byte> payload) {
  outbox_.emplace_back(UserEvent{type, {payload.begin(), payload.end()}});
}

void Pipeline::Housekeep(std::uint64_t now_mono_ns) {
  port_rate_.Advance(now_mono_ns, source_.unix_ns(now_mono_ns));
  if (!known_bad_file_) return;
  if (std::optional<KnownBadFile::News> news = known_bad_file_->Check()) TakeList(*std::move(news));
  TellRemarks(now_mono_ns);
}

void Pipeline::TakeList(KnownBadFile::News news) {
  if (news.list) detection_.OnKnownBad(news.list);
  list_remarks_.insert(list_remarks_.end(), std::make_move_iterator(news.remarks.begin()),
                       std::make_move_iterator(news.remarks.end()));
}

// The first ones come before anybody can listen.
void Pipeline::TellRemarks(std::uint64_t now_mono_ns) {
  for (std::string& remark : std::exchange(list_remarks_, {})) {
    if (!handlers_->wants_events()) continue;
    Event event;
    event.type = EventType::kKnownBadList;
    event.time_unix_ns = source_.unix_ns(now_mono_ns);
    event.detail = std::move(remark);
    outbox_.emplace_back(std::move(event));
  }
}

void Pipeline::Close(std::uint64_t now_mono_ns) {
  dns_.Finish(now_mono_ns);
  port_rate_.CloseAll(source_.unix_ns(now_mono_ns));
  detection_.Finish(now_mono_ns);
}

absl::Status Pipeline::SetSecurityConfig(SecurityParameter parameter, std::uint64_t value, std::uint64_t now_mono_ns) {
  switch (parameter) {
    case SecurityParameter::kPortScanPortsPerSecond:
      if (value > 65535)
        return absl::InvalidArgumentError(
            fmt::format("port-scan threshold {}: must be 0 (off) to 65535 ports a second", value));
      port_rate_.SetThreshold(static_cast<std::uint16_t>(value), now_mono_ns, source_.unix_ns(now_mono_ns));
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("unknown security parameter");
}

}  // namespace knp::monitor
