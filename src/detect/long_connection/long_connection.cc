// See long_connection.h.
#include "src/detect/long_connection/long_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

constexpr const char* kType = "anomaly.long_connection";
// Longer than a conversation is silent before it ends, and than it is until its next record.
constexpr std::uint64_t kQuietNs = 300'000'000'000;

}  // namespace

std::unique_ptr<Detector> MakeLongConnection(const Surroundings& surroundings) {
  if (surroundings.options.anomaly.long_connection.count() <= 0) return nullptr;
  return std::make_unique<LongConnection>(surroundings);
}

LongConnection::LongConnection(const Surroundings& surroundings)
    : limit_ns_(Nanoseconds(surroundings.options.anomaly.long_connection)),
      alerts_(surroundings.alerts),
      unix_ns_(surroundings.unix_ns) {}

void LongConnection::OnRecord(const FlowRecord& record, std::uint64_t mono_ns) {
  const std::uint64_t age_ns = record.end_unix_ns - std::min(record.end_unix_ns, record.start_unix_ns);
  if (age_ns <= limit_ns_ || finished_) return;
  const auto told = told_.find(record.id);
  if (record.final) {
    if (told == told_.end()) return Tell(record, age_ns, mono_ns);
    Tell(record, age_ns, mono_ns);
    alerts_.Close(kType, std::to_string(record.id), mono_ns);
    told_.erase(told);
    return;
  }
  if (told == told_.end() && told_.size() >= kMostOpen) return;
  told_.insert(record.id);
  Tell(record, age_ns, mono_ns);
}

void LongConnection::Finish(std::uint64_t) { finished_ = true; }

void LongConnection::Tell(const FlowRecord& record, std::uint64_t age_ns, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = kType;
  alert.severity = "low";
  alert.source = record.source;
  alert.target = record.destination;
  alert.rule = {.name = "long_connection",
                .observed = static_cast<double>(age_ns) / 1e9,
                .threshold = static_cast<double>(limit_ns_) / 1e9,
                .window_s = 0};
  alert.facts = {{"duration_s", static_cast<double>(age_ns) / 1e9},
                 {"bytes_sent", static_cast<double>(record.sent.bytes)},
                 {"bytes_received", static_cast<double>(record.received.bytes)}};
  alert.summary =
      fmt::format("{} has a {} conversation with {} port {} for {} s already, {} bytes to it and {} back",
                  record.source.ip.ToString(), ProtocolName(record.protocol), record.destination.ip.ToString(),
                  record.destination.port, age_ns / kSecondNs, record.sent.bytes, record.received.bytes);
  finding.key = std::to_string(record.id);
  finding.first_mono_ns = mono_ns - std::min(mono_ns, age_ns);
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
