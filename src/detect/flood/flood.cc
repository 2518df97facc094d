// See flood.h.
#include "src/detect/flood/flood.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "src/base/nanoseconds.h"
#include "src/base/tcp_flags.h"
#include "src/detect/flood/kinds.h"
#include "src/detect/flood/report.h"

namespace knp::detect {
namespace {

constexpr std::uint64_t kQuietNs = 30 * kSecondNs, kForgetNs = 60 * kSecondNs, kFreshNs = 10 * kSecondNs;
constexpr std::uint64_t kAmplificationWeight = 8;
constexpr double kOneHostsShare = 0.25, kOnePrefixsShare = 0.5;
constexpr double kPacketsAPort = 12;

IpAddress KeyOf(const IpAddress& host, FloodScope scope) { return PrefixOf(host, scope).address; }

// As attacks are told: one that comes with others says what they are.
constexpr FloodKind kByMeaning[] = {FloodKind::kAmplification, FloodKind::kReflection, FloodKind::kSyn,
                                    FloodKind::kAck,           FloodKind::kUdp,        FloodKind::kFragment,
                                    FloodKind::kIcmp,          FloodKind::kOther};

// Of a ping the ports are its identifier.
std::uint16_t PortOf(const Contact& contact) {
  return contact.protocol == IPPROTO_ICMP || contact.protocol == IPPROTO_ICMPV6 ? std::uint16_t{0}
                                                                                : contact.server_port;
}

}  // namespace

Flood::Flood(const Surroundings& surroundings)
    : options_(surroundings.options.flood), alerts_(surroundings.alerts), unix_ns_(surroundings.unix_ns) {}

std::unique_ptr<Detector> MakeFlood(const Surroundings& surroundings) {
  if (!surroundings.options.flood.enabled) return nullptr;
  return std::make_unique<Flood>(surroundings);
}

void Flood::OnStage(const Contact& contact, Stage before) {
  if (contact.folded) return;  // by its counts
  if (const auto redeemed = Redeemed(contact, before)) {
    const bool back = (*redeemed == FloodKind::kReflection) != contact.swapped;
    Count({.kind = *redeemed,
           .source = back ? contact.server : contact.client,
           .host = back ? contact.client : contact.server,
           .port = PortOf(contact),
           .completed = true},
          contact);
    return;
  }
  const bool begins = before == Stage::kNone, refused = contact.stage == Stage::kRefused && before != Stage::kRefused;
  const bool answered = contact.stage == Stage::kAnswered || contact.stage == Stage::kAborted;
  const bool first_answer = answered && before != Stage::kAnswered;
  if (!begins && !refused && !first_answer) return;
  if (begins && contact.stage != Stage::kUnsolicited) askers_.Add(HashOf(contact.client));
  const auto kind = KindOf(contact);
  if (!kind || *kind == FloodKind::kFragment) return;
  const bool back = *kind == FloodKind::kReflection;
  Count({.kind = *kind,
         .source = back ? contact.server : contact.client,
         .host = back ? contact.client : contact.server,
         .port = PortOf(contact),
         .opened = begins,
         .refused = refused,
         .answered = first_answer},
        contact);
}

void Flood::OnCarried(const Contact& contact, const Carried& carried) {
  const auto kind = KindOf(contact);
  if (contact.fragments && !contact.fragment_rest && carried.sent.packets != 0) {
    const auto found = hosts_.targets.find(contact.server);
    if (found != hosts_.targets.end()) found->second->counts.CountFirstFragments(carried.sent.packets);
  }
  if (!kind) {
    // Of connections that are folded nobody tells the stages; what they carry on says that they came about.
    if (contact.folded && contact.stage == Stage::kCompleted && contact.protocol == IPPROTO_TCP)
      if (const auto found = hosts_.targets.find(contact.server); found != hosts_.targets.end())
        found->second->counts.Now(FloodKind::kSyn).completed += carried.sent.packets;
    return;
  }
  const bool back = *kind == FloodKind::kReflection;
  const auto& count = back ? carried.received : carried.sent;
  if (count.packets == 0) return;
  // What a long connection carries, of which the other direction passes elsewhere or has not been read yet.
  if (*kind == FloodKind::kAck && contact.client_sent_payload && count.packets > 3) return;
  // A download whose other direction passes elsewhere begins with a SYN-ACK, too.
  if (back && contact.server_sent_payload) return;
  News news{.kind = *kind,
            .source = back ? contact.server : contact.client,
            .host = back ? contact.client : contact.server,
            .port = PortOf(contact),
            .packets = count.packets,
            .bytes = count.bytes,
            .opened = false};
  Count(news, contact);
}

// Errors, resets and SYN-ACKs go to whoever sends what brings them about; who floods gets many of them.
bool Flood::IsAnswer(const News& news, const Contact& contact) const {
  const unsigned type = contact.icmp >> 8;
  const bool error = contact.protocol == IPPROTO_ICMPV6 ? type < 128 : type == 3;
  const bool reset = news.kind == FloodKind::kAck && contact.flags_sent & kRst;
  if (news.kind == FloodKind::kIcmp ? !error : !reset && contact.stage != Stage::kUnsolicited) return false;
  const auto found = hosts_.targets.find(news.host);
  const std::uint64_t got = found == hosts_.targets.end() ? 0 : found->second->counts.Sum(news.kind, 0, 4).packets;
  return 2 * std::uint64_t{askers_.Count(HashOf(news.host))} >= got + news.packets;
}

void Flood::Count(const News& news, const Contact& contact) {
  if (IsAnswer(news, contact)) return;
  CountIn(&hosts_, news.host, news, contact);
  CountIn(&prefixes_, KeyOf(news.host, FloodScope::kPrefix), news, contact);
  CountIn(&networks_, KeyOf(news.host, FloodScope::kNetwork), news, contact);
}

void Flood::CountIn(Level* level, const IpAddress& key, const News& news, const Contact& contact) {
  auto found = level->targets.find(key);
  Entry* entry = found != level->targets.end() ? found->second.get() : nullptr;
  if (!entry) {
    if (news.completed) return;
    // A few answers of reflectors are much already.
    const std::uint64_t weight = news.kind == FloodKind::kAmplification ? kAmplificationWeight : 1;
    entry = Admit(level, key, weight * std::max<std::uint64_t>(news.packets, 1));
    if (!entry) return;
  }
  entry->counts.Advance(contact.mono_ns);
  FloodCount& count = entry->counts.Now(news.kind);
  count.packets += news.packets;
  count.bytes += news.bytes;
  count.opened += news.opened ? 1 : contact.folded ? news.packets : 0;
  count.completed += news.completed;
  count.refused += news.refused;
  count.answered += news.answered;
  if (news.completed) entry->counts.TakeBack(news.kind, news.source);
  if (news.opened || news.packets != 0)
    entry->counts.Observe(news.kind, news.source, news.host,
                          level->scope == FloodScope::kNetwork ? KeyOf(news.host, FloodScope::kPrefix) : news.host,
                          news.port, contact, news.packets, news.bytes, news.opened);
}

// Who gets little is only counted, roughly; and nobody who gets much is put out for who gets less.
Flood::Entry* Flood::Admit(Level* level, const IpAddress& key, std::uint64_t weight) {
  const std::uint32_t estimate =
      level->newcomers.Add(HashOf(key), static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, 1U << 30)));
  if (estimate < level->admission) return nullptr;
  if (level->targets.size() >= level->most) {
    auto idle = level->targets.end();
    for (auto it = level->targets.begin(); it != level->targets.end(); ++it) {
      const bool open = std::find(it->second->open.begin(), it->second->open.end(), true) != it->second->open.end();
      if (!open &&
          (idle == level->targets.end() || it->second->counts.last_mono_ns() < idle->second->counts.last_mono_ns()))
        idle = it;
    }
    if (idle == level->targets.end()) return nullptr;
    level->targets.erase(idle);
    level->admission = std::min<std::uint32_t>(level->admission * 2, 1U << 20);
  }
  return level->targets.try_emplace(key, std::make_unique<Entry>()).first->second.get();
}

void Flood::Advance(std::uint64_t mono_ns) {
  if (mono_ns >= halved_ns_ + kSecondNs) {
    halved_ns_ = mono_ns;
    hosts_.newcomers.Halve();
    prefixes_.newcomers.Halve();
    networks_.newcomers.Halve();
    askers_.Halve();
  }
  JudgeAll(mono_ns, false);
}

void Flood::JudgeAll(std::uint64_t mono_ns, bool finish) {
  for (Level* level : {&networks_, &prefixes_, &hosts_}) {
    for (auto it = level->targets.begin(); it != level->targets.end();) {
      const auto current = it++;
      current->second->counts.Advance(mono_ns);
      JudgeTarget(level, current->first, current->second.get(), mono_ns, finish);
      if (current->second->counts.last_mono_ns() + kForgetNs < mono_ns) level->targets.erase(current);
    }
    if (level->targets.size() < level->most / 2) level->admission = level->first_admission;
  }
}

// One attack is told once: of the smallest prefix that holds all of it, be it told by a larger or by smaller ones.
bool Flood::IsCovered(const Level& level, const IpAddress& key) const {
  const auto is_open = [](const auto& target) {
    const auto& open = target.second->open;
    return std::find(open.begin(), open.end(), true) != open.end();
  };
  for (const Level* other : {&networks_, &prefixes_, &hosts_}) {
    if (other->scope == level.scope) continue;
    if (other->scope > level.scope) {
      const auto around = other->targets.find(KeyOf(key, other->scope));
      if (around != other->targets.end() && is_open(*around)) return true;
    } else if (std::any_of(other->targets.begin(), other->targets.end(), [&](const auto& target) {
                 return KeyOf(target.first, level.scope) == key && is_open(target);
               })) {
      return true;
    }
  }
  return false;
}

// A scan that repeats what was not answered; its source is known, and told.
bool Flood::IsToldAsScan(const FloodTarget::Detail& detail) const {
  const std::vector<IpAddress> sources = detail.top_sources.Keys();
  if (sources.size() != 1 ||
      static_cast<double>(detail.packets) > kPacketsAPort * std::max(detail.ports.Estimate(), 1.0))
    return false;
  const std::string source = sources[0].ToString();
  return alerts_.IsOpen("scan.vertical", source) || alerts_.IsOpen("scan.horizontal", source);
}

void Flood::JudgeTarget(Level* level, const IpAddress& key, Entry* entry, std::uint64_t mono_ns, bool finish) {
  bool told = IsCovered(*level, key);
  for (const FloodKind kind : kByMeaning) {
    const auto k = static_cast<std::size_t>(kind);
    const FloodTarget::Detail* detail = entry->counts.detail(kind);
    if (!detail) continue;
    auto judgement = Judge(kind, entry->counts, options_, level->scope, finish);
    if (judgement && !entry->open[k] && IsToldAsScan(*detail)) judgement.reset();
    // One host's attack, or one prefix's, and others' odds and ends.
    const double share = level->scope == FloodScope::kNetwork ? kOnePrefixsShare : kOneHostsShare;
    if (judgement && !entry->open[k] && level->scope != FloodScope::kHost && detail->top_parts.LargestShare() > share)
      judgement.reset();
    if (judgement && (entry->open[k] || !told)) {
      Tell(*level, key, entry, kind, *judgement, mono_ns);
      told = true;
    } else if (entry->open[k]) {
      told = true;
      if (entry->last_mono_ns[k] + kQuietNs <= mono_ns) entry->open[k] = false;
    } else if (detail->first_mono_ns + kFreshNs < mono_ns) {
      entry->counts.ForgetDetail(kind, mono_ns + kFreshNs);
    }
  }
}

void Flood::Tell(const Level& level, const IpAddress& key, Entry* entry, FloodKind kind,
                 const FloodJudgement& judgement, std::uint64_t mono_ns) {
  const auto k = static_cast<std::size_t>(kind);
  if (!entry->open[k]) {
    entry->first_mono_ns[k] = entry->counts.detail(kind)->first_mono_ns;
    entry->peak[k] = 0;
  }
  entry->open[k] = true;
  entry->last_mono_ns[k] = std::max(entry->last_mono_ns[k], entry->counts.last_mono_ns());
  entry->peak[k] = std::max(entry->peak[k], judgement.observed);

  const Prefix whom = PrefixOf(key, level.scope);
  Finding finding;
  finding.alert = ReportOf(kind, judgement, entry->counts, whom, level.scope, unix_ns_);
  finding.alert.facts["peak_per_second"] = entry->peak[k];
  finding.key = whom.ToString();
  finding.first_mono_ns = entry->first_mono_ns[k];
  finding.last_mono_ns = entry->last_mono_ns[k];
  finding.quiet_ns = kQuietNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
