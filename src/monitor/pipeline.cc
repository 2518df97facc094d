// See pipeline.h.
#include "src/monitor/pipeline.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <chrono>
#include <utility>

namespace knp::monitor {
namespace {

Endpoint MakeEndpoint(const std::array<std::uint8_t, 16>& bytes, const FlowTuple& tuple, std::uint16_t port) {
  const bool icmp = tuple.protocol == IPPROTO_ICMP || tuple.protocol == IPPROTO_ICMPV6;
  return {.ip = {.bytes = bytes, .version = tuple.ip_version}, .port = icmp ? std::uint16_t{0} : port};
}

// A first packet by which its sender tries a port: SYN alone, or a probe without ACK; any UDP packet. What answers
// (SYN-ACK, RST) or goes on (ACK) is none.
bool IsAttempt(const PacketNotice& notice) {
  constexpr std::uint8_t kAckOrRst = 16 | 4;
  return notice.tuple.protocol == IPPROTO_UDP ||
         (notice.tuple.protocol == IPPROTO_TCP && !(notice.tcp_flags & kAckOrRst));
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
    : source_(std::move(source)),
      handlers_(handlers),
      flows_({.capacity = options.flow_capacity,
              .idle_timeout_ns = Nanoseconds(options.idle_timeout),
              .closed_timeout_ns = Nanoseconds(options.closed_timeout),
              .report_interval_ns = Nanoseconds(options.report_interval)},
             {.places = {.name = source_.interface_name, .vantage = source_.vantage},
              .unix_ns = source_.unix_ns,
              .emit =
                  [this](const FlowRecord& record) {
                    if (handlers_->wants_flows()) outbox_.emplace_back(record);
                  },
              .complete = nullptr,
              .on_traffic = nullptr,
              .on_end = nullptr}),
      port_rate_([this](const Alert& alert) { outbox_.emplace_back(alert); }, source_.packets_seen) {}

void Pipeline::OnNotice(const PacketNotice& notice) {
  const flow::FlowTable::Contact contact = flows_.Notice(notice);
  const bool started = notice.kind == PacketNotice::Kind::kFlowStarted;
  if (started && !contact.start) return;  // the other direction, or another interface: no news
  if (started && IsAttempt(notice)) port_rate_.OnContact(notice.tuple, notice.mono_ns, source_.unix_ns(notice.mono_ns));
  if (!handlers_->wants_events()) return;
  Event event;
  event.type = started                                               ? EventType::kFlowStarted
               : notice.kind == PacketNotice::Kind::kConnectionReset ? EventType::kConnectionReset
                                                                     : EventType::kSecurityCandidate;
  event.time_unix_ns = source_.unix_ns(notice.mono_ns);
  event.interface = source_.interface_name(notice.interface);
  event.flow_id = contact.id;
  event.protocol = notice.tuple.protocol;
  event.source = MakeEndpoint(notice.tuple.source, notice.tuple, notice.tuple.source_port);
  event.destination = MakeEndpoint(notice.tuple.destination, notice.tuple, notice.tuple.destination_port);
  event.tcp_flags = notice.tcp_flags;
  outbox_.emplace_back(std::move(event));
}

void Pipeline::OnUserEvent(std::uint16_t type, std::span<const std::byte> payload) {
  outbox_.emplace_back(UserEvent{type, {payload.begin(), payload.end()}});
}

void Pipeline::Housekeep(std::uint64_t now_mono_ns) { port_rate_.Advance(now_mono_ns, source_.unix_ns(now_mono_ns)); }

void Pipeline::CloseAlerts(std::uint64_t now_mono_ns) { port_rate_.CloseAll(source_.unix_ns(now_mono_ns)); }

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
