// See known_bad.h.
#include "src/detect/known_bad/known_bad.h"

#include <fmt/format.h>

#include <algorithm>

namespace knp::detect {
namespace {

constexpr std::size_t kMostPeers = 16;
constexpr std::uint64_t kQuietNs = 60'000'000'000;
constexpr const char* kSeverities[] = {"low", "medium", "high"};

// What one of ours tries to reach is worth more than what somebody tries from outside.
int SeverityOf(Stage stage, bool client_is_listed) { return CameThrough(stage) ? 2 : client_is_listed ? 0 : 1; }

}  // namespace

std::unique_ptr<Detector> MakeKnownBad(const Surroundings& surroundings) {
  if (surroundings.options.anomaly.known_bad_file.empty()) return nullptr;
  return std::make_unique<KnownBad>(&surroundings.alerts);
}

// The track of the entry that holds the client or the server; null: not listed, or no room for more.
KnownBad::Track* KnownBad::Find(const Contact& contact, bool client_is_listed) {
  AddressList::Match match;
  if (!list_->Find(client_is_listed ? contact.client : contact.server, &match)) return nullptr;
  const Key key{match.entry, client_is_listed};
  if (const auto found = tracks_.find(key); found != tracks_.end()) return &found->second;
  if (tracks_.size() >= kMostTracked) {
    untracked_++;
    return nullptr;
  }
  Track& track = tracks_[key];
  track.label = std::string(match.label);
  track.first_mono_ns = contact.first_mono_ns;
  return &track;
}

void KnownBad::Note(const Contact& contact, Track* track, bool client_is_listed) {
  track->severity = std::max(track->severity, SeverityOf(contact.stage, client_is_listed));
  track->last_mono_ns = std::max(track->last_mono_ns, contact.mono_ns);
  track->changed = true;
  Peer peer{.ours = {.ip = contact.server, .port = contact.server_port}, .listed = {.ip = contact.client}};
  if (!client_is_listed) peer = {.ours = {.ip = contact.client}, .listed = {contact.server, contact.server_port}};
  const bool known = std::any_of(track->peers.begin(), track->peers.end(), [&peer](const Peer& other) {
    return other.ours == peer.ours && other.listed == peer.listed;
  });
  if (!known && track->peers.size() < kMostPeers) track->peers.push_back(std::move(peer));
}

void KnownBad::OnStage(const Contact& contact, Stage before) {
  if (!list_ || contact.folded) return;
  for (const bool client_is_listed : {false, true}) {
    Track* const track = Find(contact, client_is_listed);
    if (!track) continue;
    track->contacts += before == Stage::kNone;
    track->flows_completed += CameThrough(contact.stage) && !CameThrough(before);
    Note(contact, track, client_is_listed);
  }
}

// Also what began before the list was read.
void KnownBad::OnCarried(const Contact& contact, const Carried& carried) {
  if (!list_ || contact.folded) return;
  for (const bool client_is_listed : {false, true}) {
    Track* const track = Find(contact, client_is_listed);
    if (!track) continue;
    track->to_it += client_is_listed ? carried.received : carried.sent;
    track->from_it += client_is_listed ? carried.sent : carried.received;
    Note(contact, track, client_is_listed);
  }
}

void KnownBad::Advance(std::uint64_t mono_ns) {
  for (auto it = tracks_.begin(); it != tracks_.end();) {
    const auto current = it++;
    Track& track = current->second;
    if (track.changed) Tell(current->first, track, mono_ns);
    track.changed = false;
    if (track.last_mono_ns + kQuietNs <= mono_ns) tracks_.erase(current);
  }
}

void KnownBad::Tell(const Key& key, const Track& track, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.known_bad";
  alert.severity = kSeverities[std::max(track.severity, 0)];
  alert.rule = {.name = "known_bad", .observed = static_cast<double>(track.contacts), .threshold = 1, .window_s = 0};
  const std::string entry = key.entry.ToString();
  alert.names = {entry};
  if (!track.label.empty()) alert.names.push_back(track.label);
  std::vector<IpAddress>&listed = key.asked_by_it ? alert.evidence_sources : alert.evidence_targets,
  &ours = key.asked_by_it ? alert.evidence_targets : alert.evidence_sources;
  for (const Peer& peer : track.peers) {
    if (std::find(listed.begin(), listed.end(), peer.listed.ip) == listed.end()) listed.push_back(peer.listed.ip);
    if (std::find(ours.begin(), ours.end(), peer.ours.ip) == ours.end()) ours.push_back(peer.ours.ip);
    const std::uint16_t port = key.asked_by_it ? peer.ours.port : peer.listed.port;
    if (port != 0 &&
        std::find(alert.evidence_ports.begin(), alert.evidence_ports.end(), port) == alert.evidence_ports.end())
      alert.evidence_ports.push_back(port);
  }
  if (alert.evidence_sources.size() == 1) alert.source = Endpoint{.ip = alert.evidence_sources[0]};
  if (alert.evidence_targets.size() == 1)
    alert.target = Endpoint{.ip = alert.evidence_targets[0],
                            .port = alert.evidence_ports.size() == 1 ? alert.evidence_ports[0] : std::uint16_t{0}};
  alert.facts = {{"flows", static_cast<double>(track.contacts)},
                 {"flows_completed", static_cast<double>(track.flows_completed)},
                 {"packets_to_it", static_cast<double>(track.to_it.packets)},
                 {"bytes_to_it", static_cast<double>(track.to_it.bytes)},
                 {"packets_from_it", static_cast<double>(track.from_it.packets)},
                 {"bytes_from_it", static_cast<double>(track.from_it.bytes)}};
  const std::string who = track.label.empty() ? entry : fmt::format("{} ({})", entry, track.label);
  const std::string how = track.severity == 2 ? "with an answer" : "without a connection";
  const Peer& peer = track.peers.front();
  alert.summary = key.asked_by_it
                      ? fmt::format("{}, on the list as {}, came to {}{}, {}", peer.listed.ip.ToString(), who,
                                    peer.ours.ip.ToString(), ours.size() > 1 ? " and others" : "", how)
                      : fmt::format("{}{} went to {}, on the list as {}, {}", peer.ours.ip.ToString(),
                                    ours.size() > 1 ? " and others" : "", peer.listed.ip.ToString(), who, how);
  finding.key = fmt::format("{} {}", entry, key.asked_by_it ? "from" : "to");
  finding.first_mono_ns = track.first_mono_ns;
  finding.last_mono_ns = track.last_mono_ns;
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
