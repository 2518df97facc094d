// See new_peer.h.
#include "src/detect/new_peer/new_peer.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>

namespace knp::detect {
namespace {

constexpr std::size_t kMostPeers = 16;
constexpr std::uint64_t kQuietNs = 600'000'000'000;  // a host whose peers change is one alert, not one a minute

}  // namespace

std::unique_ptr<Detector> MakeNewPeer(const Surroundings& surroundings) {
  if (!surroundings.options.anomaly.new_peer) return nullptr;
  return std::make_unique<NewPeer>(surroundings);
}

NewPeer::NewPeer(const Surroundings& surroundings)
    : learning_ns_(
          static_cast<std::uint64_t>(std::max<std::int64_t>(surroundings.options.anomaly.learning.count(), 0)) *
          1'000'000),
      networks_(surroundings.options.anomaly.internal_networks),
      alerts_(surroundings.alerts),
      hosts_(kMostHosts, learning_ns_) {}

// Only of what came about: who is scanned meets nobody.
void NewPeer::OnStage(const Contact& contact, Stage before) {
  if (!CameThrough(contact.stage) || CameThrough(before) || contact.folded) return;
  if (contact.protocol == IPPROTO_ICMP || contact.protocol == IPPROTO_ICMPV6) return;
  if (networks_.IsInternal(contact.client) && !IsGroup(contact.server))
    Meet(contact.client, {contact.server, contact.server_port, contact.protocol, false}, contact);
  if (networks_.IsInternal(contact.server))
    Meet(contact.server, {contact.client, contact.server_port, contact.protocol, true}, contact);
}

void NewPeer::Meet(const IpAddress& address, const Peer& peer, const Contact& contact) {
  Host* const host = hosts_.Use(address, contact.mono_ns);
  if (!host) return;
  if (host->since_ns == 0) host->since_ns = contact.mono_ns;
  IpAddress counted = peer.address;
  if (networks_.IsExternal(peer.address))
    counted = peer.is_client ? IpAddress{} : Prefix::Of(peer.address, peer.address.version == 6 ? 48 : 24).address;
  const std::uint64_t what = std::uint64_t{peer.port} << 16 | std::uint64_t{peer.protocol} << 8 | peer.is_client;
  if (!known_->Add(HashOf(counted, HashOf(address, what)))) return;
  if (contact.mono_ns < host->since_ns + learning_ns_) return;
  if (!host->news) host->news = std::make_unique<News>();
  News& news = *host->news;
  if (news.count != 0 && news.last_mono_ns + kQuietNs <= contact.mono_ns) news = {};
  if (news.count++ == 0) news.first_mono_ns = contact.mono_ns;
  news.last_mono_ns = contact.mono_ns;
  if (news.peers.size() < kMostPeers) news.peers.push_back(peer);
  host->changed = changed_ = true;
}

void NewPeer::Advance(std::uint64_t mono_ns) {
  if (!changed_) return;
  changed_ = false;
  hosts_.VisitSince(mono_ns - std::min(mono_ns, kQuietNs), [&](const IpAddress& address, Host& host) {
    if (host.changed) Tell(address, *host.news, mono_ns);
    host.changed = false;
  });
}

void NewPeer::Tell(const IpAddress& address, const News& news, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.new_peer";
  alert.severity = "low";
  alert.rule = {.name = "new_peer",
                .observed = static_cast<double>(news.count),
                .threshold = 1,
                .window_s = static_cast<double>(learning_ns_) / 1e9};
  const Peer& first = news.peers[0];
  // Who was met by the host is its target; who came to it, the source.
  (first.is_client ? alert.target : alert.source) = Endpoint{.ip = address};
  std::vector<IpAddress>& others = first.is_client ? alert.evidence_sources : alert.evidence_targets;
  for (const Peer& peer : news.peers) {
    if (std::find(others.begin(), others.end(), peer.address) == others.end()) others.push_back(peer.address);
    if (std::find(alert.evidence_ports.begin(), alert.evidence_ports.end(), peer.port) == alert.evidence_ports.end())
      alert.evidence_ports.push_back(peer.port);
  }
  // More than are listed; one that was met at several ports counts as often.
  if (news.count > news.peers.size()) (first.is_client ? alert.distinct_sources : alert.distinct_targets) = news.count;
  if (news.count == 1)
    (first.is_client ? alert.source : alert.target) =
        Endpoint{.ip = first.address, .port = first.is_client ? std::uint16_t{0} : first.port};
  alert.facts = {{"new_peers", static_cast<double>(news.count)},
                 {"learnt_pairs", known_->Distinct()},
                 {"taken_for_known_share", known_->FalseRate()}};
  const std::string more = news.count > 1 ? fmt::format(", and {} more new peers", news.count - 1) : "";
  alert.summary =
      first.is_client
          ? fmt::format("{} talks to {} at {} port {}, which it never did before{}", first.address.ToString(),
                        address.ToString(), ProtocolName(first.protocol), first.port, more)
          : fmt::format("{} talks to {} at {} port {}, which it never did before{}", address.ToString(),
                        first.address.ToString(), ProtocolName(first.protocol), first.port, more);
  finding.key = address.ToString();
  finding.first_mono_ns = news.first_mono_ns;
  finding.last_mono_ns = news.last_mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
