// See failures.h.
#include "src/detect/failures/failures.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "src/base/tcp_flags.h"

namespace knp::detect {
namespace {

constexpr const char* kType = "anomaly.failures";
constexpr std::uint64_t kJudgeEveryNs = 1'000'000'000;
constexpr std::size_t kMostNamed = 16;

std::uint32_t FailuresOf(const Outcomes& sum) { return sum.bad + sum.pending; }

}  // namespace

std::unique_ptr<Detector> MakeFailures(const Surroundings& surroundings) {
  const AnomalyOptions& options = surroundings.options.anomaly;
  if (!options.failures || (options.failures_per_minute == 0 && options.half_open == 0)) return nullptr;
  return std::make_unique<Failures>(surroundings);
}

Failures::Failures(const Surroundings& surroundings)
    : options_(surroundings.options.anomaly),
      alerts_(surroundings.alerts),
      services_(kMostServices, kQuietNs),
      hosts_(kMostHosts, kQuietNs),
      clients_(kMostClients, kQuietNs) {}

void Failures::OnStage(const Contact& contact, Stage before) {
  const bool has_ports =
      contact.protocol == IPPROTO_TCP || contact.protocol == IPPROTO_UDP || contact.protocol == IPPROTO_SCTP;
  if (!has_ports || contact.folded || contact.fragment_rest || contact.stage == Stage::kUnsolicited) return;
  opened_ += before == Stage::kNone && contact.protocol == IPPROTO_TCP;
  Tally* const service = services_.Use({contact.server, contact.server_port, contact.protocol}, contact.mono_ns);
  // A datagram that nobody takes is a failure where datagrams are answered.
  if (contact.protocol == IPPROTO_UDP && contact.stage != Stage::kTalked && !(service && service->had_success()))
    return;
  if (service) service->Move(contact, before, contact.client, now_slot_);
  if (Tally* tally = hosts_.Use(contact.server, contact.mono_ns))
    tally->Move(contact, before, contact.client, now_slot_);
  if (Tally* tally = clients_.Use(contact.client, contact.mono_ns))
    tally->Move(contact, before, contact.server, now_slot_);
}

// A client that goes on has been answered, seen or not.
void Failures::OnCarried(const Contact& contact, const Carried&) {
  one_sided_ += contact.stage == Stage::kOpened && contact.protocol == IPPROTO_TCP &&
                (contact.flags_sent & (kSyn | kAck)) == (kSyn | kAck);
}

void Failures::Advance(std::uint64_t mono_ns) {
  if (mono_ns < judged_ns_ + kJudgeEveryNs) return;
  Judge(mono_ns, false);
}

Failures::Trouble Failures::Weigh(Tally* tally, bool may_be_half_open, std::uint64_t slot) const {
  tally->Roll(slot);
  Trouble trouble;
  trouble.tally = tally;
  trouble.sum = tally->Sum();
  if (one_sided_ * 10 > opened_) trouble.sum.pending = 0;
  const std::uint32_t failures = FailuresOf(trouble.sum);
  if (options_.failures_per_minute != 0 && failures >= options_.failures_per_minute && failures >= trouble.sum.good) {
    trouble.rule = "failures";
    trouble.observed = failures;
    trouble.threshold = options_.failures_per_minute;
  } else if (may_be_half_open && options_.half_open != 0 && trouble.sum.half >= options_.half_open) {
    trouble.rule = "half_open";
    trouble.observed = trouble.sum.half;
    trouble.threshold = options_.half_open;
  }
  return trouble;
}

void Failures::Judge(std::uint64_t mono_ns, bool at_end) {
  const std::uint64_t slot = mono_ns / Tally::kSlotNs;
  const std::uint64_t since = mono_ns - std::min(mono_ns, kQuietNs);
  if (slot != now_slot_) {
    opened_ -= opened_ / 8;
    one_sided_ -= one_sided_ / 8;
  }
  now_slot_ = slot;
  judged_ns_ = mono_ns;
  Troubles servers, clients;
  services_.VisitSince(since, [&](const Service& service, Tally& tally) {
    Trouble trouble = Weigh(&tally, true, slot);
    if (!trouble.rule) return;
    trouble.port = service.port;
    trouble.protocol = service.protocol;
    const auto [known, is_new] = servers.try_emplace(service.server, trouble);
    if (is_new) return;
    if (trouble.observed > known->second.observed) known->second = trouble;
    known->second.port = 0;
  });
  hosts_.VisitSince(since, [&](const IpAddress& server, Tally& tally) {
    const Trouble trouble = Weigh(&tally, false, slot);
    if (trouble.rule) servers.try_emplace(server, trouble);
  });
  clients_.VisitSince(since, [&](const IpAddress& client, Tally& tally) {
    const Trouble trouble = Weigh(&tally, false, slot);
    if (!trouble.rule) return;
    // One server's trouble is told as that.
    if (tally.MostlyMain() && servers.contains(tally.main_other())) return;
    clients.try_emplace(client, trouble);
  });
  TellAll(servers, true, &told_servers_, mono_ns, at_end);
  TellAll(clients, false, &told_clients_, mono_ns, at_end);
}

void Failures::TellAll(const Troubles& troubles, bool are_servers, ToldMap* told, std::uint64_t mono_ns, bool at_end) {
  for (auto it = told->begin(); it != told->end();) {
    const auto current = it++;
    if (current->second.last_mono_ns + kQuietNs <= mono_ns) told->erase(current);
  }
  std::vector<IpAddress> further;
  for (const auto& [address, trouble] : troubles) {
    auto known = told->find(address);
    if (known == told->end()) {
      if (told->size() >= kSeparate) {
        if (!alerts_.NamesInAttack(address)) further.push_back(address);
        continue;
      }
      known = told->try_emplace(address, Told{trouble.rule, trouble.threshold, mono_ns, mono_ns, false}).first;
    }
    Told& state = known->second;
    state.last_mono_ns = mono_ns;
    if (!state.told) {
      if (!at_end && mono_ns < state.first_mono_ns + kPatienceNs) continue;
      if (alerts_.NamesInAttack(address)) continue;
      state.told = true;
    }
    TellOne(address, trouble, are_servers, state, mono_ns);
  }
  TellMany(further, are_servers, mono_ns, at_end);
}

void Failures::TellOne(const IpAddress& address, const Trouble& trouble, bool is_server, const Told& told,
                       std::uint64_t mono_ns) {
  const Outcomes& sum = trouble.sum;
  const std::uint32_t failures = FailuresOf(sum);
  const bool half_open = std::string_view(told.rule) == "half_open";
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = kType;
  alert.severity = trouble.tally->had_success() ? "medium" : "low";
  alert.rule = {.name = told.rule,
                .observed = half_open ? static_cast<double>(sum.half) : static_cast<double>(failures),
                .threshold = told.threshold,
                .window_s = 60};
  (is_server ? alert.target : alert.source) =
      Endpoint{.ip = address, .port = is_server ? trouble.port : std::uint16_t{0}};
  alert.evidence_ports = trouble.tally->Ports();
  std::optional<Endpoint>& other = is_server ? alert.source : alert.target;
  const double others = std::round(trouble.tally->Others());
  if (trouble.tally->MostlyMain())
    other = Endpoint{.ip = trouble.tally->main_other()};
  else
    (is_server ? alert.evidence_sources : alert.evidence_targets) = {trouble.tally->main_other()};
  (is_server ? alert.distinct_sources : alert.distinct_targets) = static_cast<std::uint64_t>(others);
  alert.facts = {{"refused", sum.bad}, {"unanswered", sum.pending}, {"succeeded", sum.good}, {"half_open", sum.half}};
  const std::string where =
      trouble.port != 0 ? fmt::format("{} port {}", ProtocolName(trouble.protocol), trouble.port) : "several ports";
  if (half_open)
    alert.summary =
        fmt::format("{} connections to {} at {} are answered and not completed", sum.half, address.ToString(), where);
  else if (is_server)
    alert.summary =
        fmt::format("{} attempts at {} at {} failed within a minute ({} refused, {} unanswered), {} succeeded",
                    failures, address.ToString(), where, sum.bad, sum.pending, sum.good);
  else
    alert.summary = fmt::format(
        "{} of {}'s attempts failed within a minute ({} refused, {} unanswered, about {:.0f} servers), {} succeeded",
        failures, address.ToString(), sum.bad, sum.pending, others, sum.good);
  finding.key = fmt::format("{} {}", is_server ? "server" : "client", address.ToString());
  finding.first_mono_ns = told.first_mono_ns;
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

void Failures::TellMany(const std::vector<IpAddress>& addresses, bool are_servers, std::uint64_t mono_ns, bool at_end) {
  std::uint64_t& since_ns = are_servers ? many_servers_ns_ : many_clients_ns_;
  if (addresses.empty()) {
    since_ns = 0;
    return;
  }
  if (since_ns == 0) since_ns = mono_ns;
  if (!at_end && mono_ns < since_ns + kPatienceNs) return;
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = kType;
  alert.severity = "low";
  alert.rule = {.name = are_servers ? "failures.servers" : "failures.clients",
                .observed = static_cast<double>(addresses.size() + kSeparate),
                .threshold = kSeparate,
                .window_s = 60};
  std::vector<IpAddress>& named = are_servers ? alert.evidence_targets : alert.evidence_sources;
  named.assign(addresses.begin(),
               addresses.begin() + static_cast<std::ptrdiff_t>(std::min(addresses.size(), kMostNamed)));
  (are_servers ? alert.distinct_targets : alert.distinct_sources) = addresses.size();
  alert.folded = addresses.size();
  alert.summary = fmt::format("besides those with alerts of their own, {} {} have most of their attempts failing",
                              addresses.size(), are_servers ? "servers" : "clients");
  finding.key = are_servers ? "servers" : "clients";
  finding.first_mono_ns = since_ns;
  finding.last_mono_ns = mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
