// FlowTable: conversations on both sides of a translation become one. See flow_table.h.
#include <algorithm>
#include <utility>

#include "src/flow/flow_table.h"

namespace knp::flow {
namespace {

FlowTuple Reversed(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

// From the source, as the key has it.
FlowTuple TupleOf(const ConversationKey& key, bool source_is_high) {
  FlowTuple tuple;
  tuple.source = source_is_high ? key.high : key.low;
  tuple.destination = source_is_high ? key.low : key.high;
  tuple.source_port = source_is_high ? key.high_port : key.low_port;
  tuple.destination_port = IsIcmp(key.protocol) ? key.icmp : source_is_high ? key.low_port : key.high_port;
  tuple.vlan = key.vlan;
  tuple.protocol = key.protocol;
  tuple.ip_version = key.ip_version;
  tuple.tunnel = {key.tunnel, key.tunnel_id};
  return tuple;
}

// A record of it was emitted.
bool IsTold(const Conversation& c) {
  return std::any_of(c.sights.begin(), c.sights.end(),
                     [](const Sight& s) { return s.emitted_packets_low != 0 || s.emitted_bytes != 0; });
}

int Certainty(Opener opener) { return opener == Opener::kSyn ? 2 : opener == Opener::kFirstPacket ? 0 : 1; }

const Told& More(const Told& a, const Told& b) { return b.bytes > a.bytes ? b : a; }

// What `from` has and was not told of goes to `into`, which has the same key.
void Absorb(Conversation* into, Conversation* from, bool opener_is_high) {
  if (into->source_is_high != from->source_is_high) {
    // One of them has the ends the wrong way round: by its own SYN it is not, else conntrack knows.
    const int more = Certainty(into->opener) - Certainty(from->opener);
    const bool swap_into = more != 0 ? more < 0 : into->source_is_high != opener_is_high;
    (swap_into ? into : from)->Swap();
  }
  for (const Sight& sight : from->sights) {
    const auto same = std::find_if(into->sights.begin(), into->sights.end(), [&](const Sight& s) {
      return s.interface == sight.interface && s.egress == sight.egress && s.forward == sight.forward;
    });
    if (same == into->sights.end())
      into->sights.push_back(sight);
    else
      same->total += sight.total;
  }
  if (Certainty(from->opener) > Certainty(into->opener)) into->opener = from->opener;
  into->flags_sent |= from->flags_sent;
  into->flags_received |= from->flags_received;
  into->fragments |= from->fragments;
  into->start_told |= from->start_told;
  into->asked |= from->asked;
  into->answered |= from->answered;
  into->payload_sent |= from->payload_sent;
  into->payload_received |= from->payload_received;
  into->refused |= from->refused;
  into->aborted |= from->aborted;
  if (!into->has_header && from->has_header) {
    into->has_header = true;
    into->ttl = from->ttl;
    into->dscp = from->dscp;
  }
  if (!into->has_macs && from->has_macs) {
    into->has_macs = true;
    into->source_mac = from->source_mac;
    into->destination_mac = from->destination_mac;
  }
  if (into->timing.interface == Timing::kNowhere) into->timing = from->timing;
  if (into->told_sent.bytes + into->told_received.bytes < from->told_sent.bytes + from->told_received.bytes)
    into->pattern = from->pattern;
  into->told_sent = More(into->told_sent, from->told_sent);
  into->told_received = More(into->told_received, from->told_received);
  into->first_mono_ns = std::min(into->first_mono_ns, from->first_mono_ns);
}

}  // namespace

void FlowTable::SetTranslation(std::uint64_t id, bool source_is_high, const FlowTuple& translated) {
  translations_.insert_or_assign(id, source_is_high ? Reversed(translated) : translated);
}

void FlowTable::AskForTranslation(const Conversation& c) {
  if (!context_.translated || c.key.folded || c.key.tunnel != TunnelType::kNone) return;
  if (const auto translated = context_.translated(TupleOf(c.key, c.source_is_high)))
    SetTranslation(c.id, c.source_is_high, *translated);
}

void FlowTable::Join(const FlowTuple& translated, const FlowTuple& original) {
  bool behind_is_high = false, front_is_high = false;
  const ConversationKey behind_key = MakeKey(translated, &behind_is_high), key = MakeKey(original, &front_is_high);
  if (behind_key == key) return;
  const auto at_front = index_.find(key), at_behind = index_.find(behind_key);
  const Index front = at_front == index_.end() ? kNone : *at_front;
  const Index behind = at_behind == index_.end() ? kNone : *at_behind;
  // TCP of another translation is over: the next one on these ports will ask for its own.
  if (front != kNone && (key.protocol != 6 || !translations_.contains(slab_[front].id)))
    SetTranslation(slab_[front].id, front_is_high, translated);
  if (behind == kNone) return;
  Conversation& c = slab_[behind];
  if (front != kNone && IsTold(slab_[front]) && IsTold(c)) {
    SetTranslation(c.id, behind_is_high, translated);
    return;
  }

  index_.erase(behind);
  if (c.previous != kNone) slab_[std::exchange(c.previous, kNone)].next = kNone;
  c.key = key;
  if (behind_is_high != front_is_high) {
    c.source_is_high = !c.source_is_high;
    c.stage_source_is_high = !c.stage_source_is_high;
  }
  if (front != kNone && !IsTold(c)) {
    opened_ -= !c.sights.empty() && !slab_[front].sights.empty();
    Absorb(&slab_[front], &c, front_is_high);
    Touch(front, c.last_mono_ns);
    Release(behind);
    return;
  }
  if (front != kNone) {
    opened_ -= !slab_[front].sights.empty();
    Absorb(&c, &slab_[front], front_is_high);
    const Index earlier = slab_[front].previous;
    Touch(behind, slab_[front].last_mono_ns);
    Release(front);
    c.previous = earlier;
    if (earlier != kNone) slab_[earlier].next = behind;
  }
  index_.insert(behind);
  SetTranslation(c.id, front_is_high, translated);
}

}  // namespace knp::flow
