// See flow_table.h.
#include "src/flow/flow_table.h"

#include <absl/hash/hash.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace knp::flow {
namespace {

constexpr std::uint64_t kSameMomentNs = 10'000'000;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;

bool IsIcmp(std::uint8_t protocol) { return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6; }

// The request's type for a pair of request and reply, so that both have one key; others stand for themselves.
std::uint16_t IcmpKind(std::uint8_t protocol, std::uint16_t type_code) {
  const unsigned type = type_code >> 8;
  if (protocol == IPPROTO_ICMP) {
    if (type == 0 || type == 8) return 8 << 8;
    if (type >= 13 && type <= 18)
      return static_cast<std::uint16_t>((type - (type + 1) % 2) << 8);  // 13-14, 15-16, 17-18
  } else if (type == 128 || type == 129) {
    return 128 << 8;
  }
  return type_code;
}

Endpoint MakeEndpoint(const std::array<std::uint8_t, 16>& bytes, std::uint8_t version, std::uint16_t port) {
  return {.ip = {.bytes = bytes, .version = version}, .port = port};
}

}  // namespace

ConversationKey MakeKey(const FlowTuple& tuple, bool* swapped) {
  ConversationKey key;
  std::uint16_t source_port = tuple.source_port, destination_port = tuple.destination_port;
  if (IsIcmp(tuple.protocol)) {
    key.icmp = IcmpKind(tuple.protocol, destination_port);
    destination_port = source_port;  // the identifier belongs to both ends
  }
  const int order = std::memcmp(tuple.source.data(), tuple.destination.data(), 16);
  *swapped = order > 0 || (order == 0 && source_port > destination_port) ||
             (order == 0 && IsIcmp(tuple.protocol) && key.icmp != tuple.destination_port);  // a host's reply to itself
  key.low = *swapped ? tuple.destination : tuple.source;
  key.high = *swapped ? tuple.source : tuple.destination;
  key.low_port = *swapped ? destination_port : source_port;
  key.high_port = *swapped ? source_port : destination_port;
  key.vlan = tuple.vlan;
  key.protocol = tuple.protocol;
  key.ip_version = tuple.ip_version;
  return key;
}

std::size_t FlowTable::KeyHash::operator()(const ConversationKey& key) const {
  std::uint64_t words[6];
  std::memcpy(words, key.low.data(), 16);
  std::memcpy(words + 2, key.high.data(), 16);
  words[4] =
      std::uint64_t{key.low_port} << 48 | std::uint64_t{key.high_port} << 32 | std::uint64_t{key.vlan} << 16 | key.icmp;
  words[5] = std::uint64_t{key.protocol} << 8 | key.ip_version;
  return absl::HashOf(words[0], words[1], words[2], words[3], words[4], words[5]);
}

FlowTable::FlowTable(const Options& options, Context context)
    : options_(options), context_(std::move(context)), index_(0, KeyHash{this}, KeyEqual{this}) {
  slab_.reserve(options_.capacity);  // address space only, until it is used
}

const FlowTable::InterfaceSums& FlowTable::Sums(InterfaceId id) {
  if (id >= sums_.size()) sums_.resize(id + 1);
  return sums_[id];
}

FlowTable::Index FlowTable::FindOrOpen(const FlowTuple& tuple, std::uint64_t first_mono_ns, bool* source_is_high,
                                       bool* opened) {
  const ConversationKey key = MakeKey(tuple, source_is_high);
  const auto found = index_.find(key);
  *opened = found == index_.end();
  if (!*opened) return *found;
  if (index_.size() >= options_.capacity) {
    const Index victim = closed_list_.oldest != kNone ? closed_list_.oldest : open_list_.oldest;
    evicted_++;
    End(victim);
  }
  Index index;
  if (free_.empty()) {
    index = static_cast<Index>(slab_.size());
    slab_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Conversation& c = slab_[index];
  std::destroy_at(&c);
  std::construct_at(&c);
  c.key = key;
  c.live = true;
  c.source_is_high = *source_is_high;
  c.id = ++last_id_;
  c.first_mono_ns = c.last_mono_ns = first_mono_ns;
  index_.insert(index);
  Link(index);
  return index;
}

// The opener is who sent the first packet: told by a SYN that came alone, else by the earlier of the two directions.
void FlowTable::SettleOpener(Conversation* c, bool source_is_high, std::uint64_t first_mono_ns, std::uint8_t tcp_flags,
                             bool is_first_packet) {
  bool opener_is_high = c->source_is_high;
  if (c->opener != Opener::kSyn && is_first_packet && c->key.protocol == IPPROTO_TCP && (tcp_flags & kSyn)) {
    opener_is_high = tcp_flags & kAck ? !source_is_high : source_is_high;
    c->opener = Opener::kSyn;
  } else if (c->opener != Opener::kSyn && first_mono_ns < c->first_mono_ns) {
    opener_is_high = source_is_high;
  }
  c->first_mono_ns = std::min(c->first_mono_ns, first_mono_ns);
  if (opener_is_high == c->source_is_high) return;
  c->source_is_high = opener_is_high;
  std::swap(c->flags_sent, c->flags_received);
  for (Sight& sight : c->sights) sight.forward = !sight.forward;
}

void FlowTable::Add(const FlowDelta& delta) {
  bool source_is_high = false, opened = false;
  // A slot that was read before tells when its flow began, not when this conversation did: ours may have ended between.
  const std::uint64_t first_mono_ns = delta.continued ? delta.last_mono_ns : delta.first_mono_ns;
  const Index index = FindOrOpen(delta.tuple, first_mono_ns, &source_is_high, &opened);
  Conversation& c = slab_[index];
  // Flags of all packets together are those of the first only if the flow has SYN but never ACK.
  const bool only_syn = (delta.tcp_flags & (kSyn | kAck)) == kSyn;
  SettleOpener(&c, source_is_high, first_mono_ns, delta.tcp_flags, only_syn);
  const bool forward = source_is_high == c.source_is_high;
  opened_ += c.sights.empty();  // known by a notice alone, it may end and come again
  auto sight = std::find_if(c.sights.begin(), c.sights.end(), [&](const Sight& s) {
    return s.interface == delta.interface && s.direction == delta.direction && s.forward == forward;
  });
  if (sight == c.sights.end()) {
    c.sights.push_back({delta.interface, delta.direction, forward, {}, {}});
    sight = c.sights.end() - 1;
  }
  sight->total += delta.count;
  (forward ? c.flags_sent : c.flags_received) |= delta.tcp_flags;
  c.fragments |= delta.fragments;
  if (delta.interface >= sums_.size()) sums_.resize(delta.interface + 1);
  sums_[delta.interface].received += delta.count;
  sums_[delta.interface].protocols[delta.tuple.protocol] += delta.count;
  Touch(index, delta.last_mono_ns);
}

FlowTable::Contact FlowTable::Notice(const PacketNotice& notice) {
  bool source_is_high = false;
  Contact contact;
  const Index index = FindOrOpen(notice.tuple, notice.mono_ns, &source_is_high, &contact.new_conversation);
  Conversation& c = slab_[index];
  SettleOpener(&c, source_is_high, notice.mono_ns, notice.tcp_flags, notice.kind == PacketNotice::Kind::kFlowStarted);
  const bool from_opener = source_is_high == c.source_is_high;
  (from_opener ? c.flags_sent : c.flags_received) |= notice.tcp_flags;
  // The kernel reads the clock for the slot and again for the notice. A later start is of another slot: another
  // interface's, or this one's after an eviction.
  const bool is_start = contact.new_conversation || (from_opener && notice.mono_ns < c.first_mono_ns + kSameMomentNs);
  if (notice.kind == PacketNotice::Kind::kFlowStarted && is_start) contact.start = !std::exchange(c.start_told, true);
  Touch(index, notice.mono_ns);
  contact.id = c.id;
  return contact;
}

void FlowTable::Touch(Index index, std::uint64_t mono_ns) {
  Conversation& c = slab_[index];
  c.last_mono_ns = std::max(c.last_mono_ns, mono_ns);
  const bool closed = ((c.flags_sent | c.flags_received) & kRst) || (c.flags_sent & c.flags_received & kFin);
  List& list = c.closed ? closed_list_ : open_list_;
  if (closed == c.closed && list.newest == index) return;
  Unlink(index);
  c.closed = closed;
  Link(index);
}

void FlowTable::Link(Index index) {
  Conversation& c = slab_[index];
  List& list = c.closed ? closed_list_ : open_list_;
  c.newer = kNone;
  c.older = list.newest;
  if (list.newest != kNone) slab_[list.newest].newer = index;
  list.newest = index;
  if (list.oldest == kNone) list.oldest = index;
}

void FlowTable::Unlink(Index index) {
  Conversation& c = slab_[index];
  List& list = c.closed ? closed_list_ : open_list_;
  (c.newer != kNone ? slab_[c.newer].older : list.newest) = c.older;
  (c.older != kNone ? slab_[c.older].newer : list.oldest) = c.newer;
}

void FlowTable::End(Index index) {
  Conversation& c = slab_[index];
  Report(&c, true);
  Unlink(index);
  index_.erase(index);
  c.live = false;
  c.sights.clear();
  c.sights.shrink_to_fit();
  free_.push_back(index);
}

void FlowTable::Report(Conversation* c, bool final) {
  bool any = false;
  for (Sight& sight : c->sights) {
    sums_[sight.interface].in_flows += sight.total - sight.emitted;
    sight.emitted = sight.total;
    any |= !(sight.total == Count{});
  }
  // A conversation known by a notice alone has no counts yet: they come under a new id, if this one ends before.
  if (!any || !context_.emit) return;
  Describe(*c, final, &scratch_);
  context_.emit(scratch_);
}

void FlowTable::Advance(std::uint64_t now_mono_ns, std::size_t most) {
  const std::uint64_t elapsed = last_advance_ns_ == 0 ? 0 : now_mono_ns - last_advance_ns_;
  last_advance_ns_ = now_mono_ns;  // before anything ends: a record's state depends on it
  const auto end_older = [&](const List& list, std::uint64_t timeout_ns) {
    for (std::size_t i = 0; i < most && list.oldest != kNone; i++) {
      if (slab_[list.oldest].last_mono_ns + timeout_ns > now_mono_ns) break;
      End(list.oldest);
    }
  };
  end_older(open_list_, options_.idle_timeout_ns);
  end_older(closed_list_, options_.closed_timeout_ns);

  // A steady walk over the slab, once round in the report interval.
  report_credit_ += static_cast<double>(slab_.size()) * static_cast<double>(elapsed) /
                    static_cast<double>(options_.report_interval_ns);
  report_credit_ = std::min(report_credit_, static_cast<double>(slab_.size()));
  for (std::size_t i = 0; i < most && report_credit_ >= 1; i++, report_credit_ -= 1) {
    if (report_at_ >= slab_.size()) report_at_ = 0;
    Conversation& c = slab_[report_at_++];
    if (!c.live) continue;
    const bool changed =
        std::any_of(c.sights.begin(), c.sights.end(), [](const Sight& s) { return !(s.total == s.emitted); });
    if (changed) Report(&c, false);
  }
}

bool FlowTable::EndSome(std::size_t most) {
  for (std::size_t i = 0; i < most; i++) {
    const Index oldest = open_list_.oldest != kNone ? open_list_.oldest : closed_list_.oldest;
    if (oldest == kNone) return true;
    End(oldest);
  }
  return index_.empty();
}

FlowState FlowTable::StateOf(const Conversation& c, bool final) const {
  if (c.key.protocol != IPPROTO_TCP) return FlowState::kActive;
  if ((c.flags_sent | c.flags_received) & kRst) return FlowState::kReset;
  if (c.flags_sent & c.flags_received & kFin) return FlowState::kClosed;
  const bool timed_out =
      final && last_advance_ns_ != 0 && c.last_mono_ns + options_.idle_timeout_ns <= last_advance_ns_;
  if (timed_out) return FlowState::kTimedOut;
  // The third ACK, or what only comes after it: data or a FIN from the other side, or anything but its SYN-ACK. (The two
  // directions are read at different moments: either may tell first.)
  const bool answered = (c.flags_received & kAck) && (!(c.flags_received & kSyn) || (c.flags_received & (kPsh | kFin)));
  return (c.flags_sent & kAck) || answered ? FlowState::kEstablished : FlowState::kHalfOpen;
}

void FlowTable::Describe(const Conversation& c, bool final, FlowRecord* record) const {
  const ConversationKey& key = c.key;
  const bool icmp = IsIcmp(key.protocol);
  const Endpoint low = MakeEndpoint(key.low, key.ip_version, icmp ? 0 : key.low_port);
  const Endpoint high = MakeEndpoint(key.high, key.ip_version, icmp ? 0 : key.high_port);
  record->id = c.id;
  record->start_unix_ns = context_.unix_ns(c.first_mono_ns);
  record->end_unix_ns = context_.unix_ns(c.last_mono_ns);
  record->final = final;
  record->state = StateOf(c, final);
  record->protocol = key.protocol;
  record->opener = c.opener;
  record->source = c.source_is_high ? high : low;
  record->destination = c.source_is_high ? low : high;
  record->vlan = key.vlan;
  record->icmp.reset();
  if (icmp) record->icmp.emplace(key.icmp >> 8, key.icmp & 0xff);
  record->tcp.flags_sent = c.flags_sent;
  record->tcp.flags_received = c.flags_received;
  record->fragments = c.fragments;
  record->sent = record->received = {};
  record->observations.clear();
  // Attributed once: to the interface that saw it first, by one hook for each sense. An interface that was detached and
  // attached again has two ids and one name.
  const Sight *sent = nullptr, *received = nullptr;
  for (const Sight& sight : c.sights) {
    const std::string& name = context_.interface_name(sight.interface);
    if (sight.interface == c.sights.front().interface || name == record->observations.front().interface) {
      const Sight*& first = sight.forward ? sent : received;
      if (!first) first = &sight;
      if (first->direction == sight.direction) (sight.forward ? record->sent : record->received) += sight.total;
    }
    auto same = std::find_if(record->observations.begin(), record->observations.end(), [&](const Observation& o) {
      return o.direction == sight.direction && o.interface == name;  // lo sees both senses at its one hook
    });
    if (same == record->observations.end())
      record->observations.push_back({name, sight.direction, sight.total});
    else
      same->count += sight.total;
  }
}

void FlowTable::Visit(const std::function<void(const FlowRecord&)>& visit) {
  for (const Conversation& c : slab_) {
    if (!c.live || c.sights.empty()) continue;
    Describe(c, false, &scratch_);
    visit(scratch_);
  }
}

}  // namespace knp::flow
