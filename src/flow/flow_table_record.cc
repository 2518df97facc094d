// FlowTable: what a conversation looks like from outside. See flow_table.h.
#include <algorithm>

#include "src/flow/flow_state.h"
#include "src/flow/flow_table.h"

namespace knp::flow {
namespace {

Endpoint MakeEndpoint(const std::array<std::uint8_t, 16>& bytes, const ConversationKey& key, std::uint16_t port) {
  const bool known = !key.folded || bytes != std::array<std::uint8_t, 16>{};
  return {.ip = {.bytes = bytes, .version = known ? key.ip_version : std::uint8_t{0}},
          .port = IsIcmp(key.protocol) ? std::uint16_t{0} : port};
}

std::optional<std::uint64_t> Nanoseconds(float span) {
  if (span < 0) return std::nullopt;
  return static_cast<std::uint64_t>(span);
}

}  // namespace

void FlowTable::DescribeEnds(const Conversation& c, FlowRecord* record) const {
  const ConversationKey& key = c.key;
  const Endpoint low = MakeEndpoint(key.low, key, key.low_port);
  const Endpoint high = MakeEndpoint(key.high, key, key.high_port);
  record->source = c.source_is_high ? high : low;
  record->destination = c.source_is_high ? low : high;
  if (c.has_macs) {
    record->source.mac = c.source_mac;
    record->destination.mac = c.destination_mac;
  }
  if (translations_.empty()) return;
  const auto found = translations_.find(c.id);
  if (found == translations_.end()) return;
  const FlowTuple& behind = found->second;
  const Endpoint low_behind = MakeEndpoint(behind.source, key, behind.source_port);
  const Endpoint high_behind = MakeEndpoint(behind.destination, key, behind.destination_port);
  record->translated = c.source_is_high ? Translation{high_behind, low_behind} : Translation{low_behind, high_behind};
}

void FlowTable::Describe(Conversation* c, bool final, FlowRecord* record) const {
  const ConversationKey& key = c->key;
  std::vector<Observation> observations = std::move(record->observations);  // its memory
  *record = FlowRecord();
  record->observations = std::move(observations);
  record->id = c->id;
  record->start_unix_ns = context_.unix_ns(c->first_mono_ns);
  record->end_unix_ns = context_.unix_ns(c->last_mono_ns);
  record->final = final;
  record->state =
      StateOf(*c, final && last_advance_ns_ != 0 && c->last_mono_ns + options_.idle_timeout_ns <= last_advance_ns_);
  record->protocol = key.protocol;
  record->opener = key.folded ? Opener::kFirstPacket : c->opener;
  record->folded = key.folded;
  DescribeEnds(*c, record);
  record->vlan = key.vlan;
  if (key.tunnel != TunnelType::kNone) record->tunnel = Tunnel{key.tunnel, key.tunnel_id};
  if (c->has_header) {
    record->ttl = c->ttl;
    record->dscp = c->dscp;
  }
  if (IsIcmp(key.protocol)) {
    if (!key.folded || key.icmp != kAnyIcmp) record->icmp.emplace(key.icmp >> 8, key.icmp & 0xff);
    record->echo = echoes_.Find(c->id);
  }
  record->tcp.flags_sent = c->flags_sent;
  record->tcp.flags_received = c->flags_received;
  record->tcp.handshake_destination_ns = Nanoseconds(c->timing.destination_ns);
  record->tcp.handshake_source_ns = Nanoseconds(c->timing.source_ns);
  if (c->timing.destination_ns >= 0 && c->timing.source_ns >= 0)
    record->tcp.handshake_ns = Nanoseconds(c->timing.destination_ns + c->timing.source_ns);
  record->first_answer_ns = Nanoseconds(c->timing.answer_ns);
  record->fragments = c->fragments;
  const Attribution counted = Attribute(c, context_.places);
  record->sent = counted.sent;
  record->received = counted.received;
  if (!key.folded)
    record->pattern = ClassifyPattern({.protocol = key.protocol,
                                       .ip_version = key.ip_version,
                                       .duration_ns = c->last_mono_ns - c->first_mono_ns,
                                       .sent = counted.sent,
                                       .received = counted.received,
                                       .meter = c->pattern},
                                      options_.patterns);
  record->observations.clear();
  if (key.tunnel == TunnelType::kNone) {
    for (const Sight& sight : c->sights) {
      const std::string& name = context_.places.name(sight.interface);
      auto same = std::find_if(record->observations.begin(), record->observations.end(), [&](const Observation& o) {
        return o.direction == sight.direction() && o.interface == name;  // lo sees both senses at its one hook
      });
      if (same == record->observations.end())
        record->observations.push_back({name, sight.direction(), sight.total});
      else
        same->count += sight.total;
    }
  }
  if (context_.complete) context_.complete(record);
}

void FlowTable::Visit(const std::function<void(const FlowRecord&)>& visit) {
  for (Conversation& c : slab_) {
    if (!c.live || c.sights.empty()) continue;
    Describe(&c, false, &scratch_);
    visit(scratch_);
  }
}

}  // namespace knp::flow
