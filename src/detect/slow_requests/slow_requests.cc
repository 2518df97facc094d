// See slow_requests.h.
#include "src/detect/slow_requests/slow_requests.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>

#include "src/base/address_hash.h"
#include "src/base/nanoseconds.h"
#include "src/base/tcp_flags.h"

namespace knp::detect {
namespace {

constexpr std::uint64_t kQuietNs = 30 * kSecondNs;
constexpr double kGoingOnShare = 0.3;
constexpr std::size_t kMostSamples = 8;

}  // namespace

std::size_t SlowRequests::PairHash::operator()(const Pair& pair) const {
  return Mix(HashOf(pair.client) + Mix(HashOf(pair.server) + pair.port));
}

SlowRequests::SlowRequests(const Surroundings& surroundings)
    : options_(surroundings.options.flood), alerts_(surroundings.alerts), unix_ns_(surroundings.unix_ns) {}

std::unique_ptr<Detector> MakeSlowRequests(const Surroundings& surroundings) {
  const FloodOptions& options = surroundings.options.flood;
  if (!options.enabled || options.slow_connections == 0) return nullptr;
  return std::make_unique<SlowRequests>(surroundings);
}

void SlowRequests::Look(const Contact& contact, bool sent) {
  const bool waits = contact.protocol == IPPROTO_TCP && contact.stage == Stage::kTalked &&
                     contact.client_sent_payload && !contact.server_sent_payload &&
                     !((contact.flags_sent | contact.flags_received) & (kFin | kRst));
  if (!waits) {
    if (!waiting_.empty()) waiting_.erase(contact.flow_id);
    return;
  }
  const auto found = waiting_.find(contact.flow_id);
  if (found == waiting_.end()) {
    if (waiting_.size() >= kMostWaiting) return;
    waiting_.try_emplace(contact.flow_id, Waiting{.pair = {contact.client, contact.server, contact.server_port},
                                                  .first_mono_ns = contact.first_mono_ns,
                                                  .last_mono_ns = contact.mono_ns,
                                                  .client_port = contact.client_port,
                                                  .goes_on = false});
    return;
  }
  found->second.last_mono_ns = std::max(found->second.last_mono_ns, contact.mono_ns);
  if (sent && contact.mono_ns > found->second.first_mono_ns + kPatienceNs) {
    found->second.goes_on = true;
  }
}

void SlowRequests::OnRecord(const FlowRecord& record, std::uint64_t) {
  if (record.final && !waiting_.empty()) waiting_.erase(record.id);
}

void SlowRequests::Advance(std::uint64_t mono_ns) {
  if (waiting_.size() < options_.slow_connections || mono_ns < last_count_ns_ + kSecondNs) return;
  last_count_ns_ = mono_ns;
  // Of a connection whose packets were told of and never counted there is no final record.
  absl::erase_if(waiting_, [&](const auto& waiting) { return waiting.second.last_mono_ns + kForgetNs <= mono_ns; });
  absl::flat_hash_map<Pair, Held, PairHash> held;
  for (const auto& [id, waiting] : waiting_) {
    if (waiting.first_mono_ns + kPatienceNs > mono_ns) continue;
    if (held.size() >= kMostClients && !held.contains(waiting.pair)) continue;
    Held& h = held[waiting.pair];
    h.waiting++;
    h.going_on += waiting.goes_on;
    h.first_mono_ns = h.first_mono_ns == 0 ? waiting.first_mono_ns : std::min(h.first_mono_ns, waiting.first_mono_ns);
    if (h.samples.size() < kMostSamples)
      h.samples.push_back({.time_unix_ns = unix_ns_(waiting.first_mono_ns),
                           .protocol = IPPROTO_TCP,
                           .source = {.ip = waiting.pair.client, .port = waiting.client_port},
                           .destination = {.ip = waiting.pair.server, .port = waiting.pair.port},
                           .tcp_flags = 0,
                           .note = waiting.goes_on ? "a request that goes on" : "a request without an answer"});
  }
  for (const auto& [pair, h] : held)
    if (h.waiting >= options_.slow_connections && h.going_on >= kGoingOnShare * h.waiting) Tell(pair, h, mono_ns);
}

void SlowRequests::Tell(const Pair& pair, const Held& held, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "ddos.slow";
  alert.severity = "high";
  alert.source = Endpoint{.ip = pair.client, .port = 0};
  alert.target = Endpoint{.ip = pair.server, .port = pair.port};
  alert.rule = {.name = "ddos.slow.connections",
                .observed = static_cast<double>(held.waiting),
                .threshold = static_cast<double>(options_.slow_connections),
                .window_s = static_cast<double>(kPatienceNs) / 1e9};
  alert.evidence_ports = {pair.port};
  alert.samples = held.samples;
  alert.facts = {{"connections", held.waiting}, {"requests_going_on", held.going_on}};
  alert.summary = fmt::format(
      "{} holds {} connections to {} port {} open for more than {:.0f} s with requests that do not end",
      pair.client.ToString(), held.waiting, pair.server.ToString(), pair.port, static_cast<double>(kPatienceNs) / 1e9);
  finding.key = fmt::format("{} {} {}", pair.client.ToString(), pair.server.ToString(), pair.port);
  finding.first_mono_ns = held.first_mono_ns;
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
