// See flow_table.h.
#include "src/flow/flow_table.h"

#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "src/flow/flow_state.h"
#include "src/flow/opener.h"
#include "src/flow/stage.h"

namespace knp::flow {
namespace {

constexpr std::uint64_t kSameMomentNs = 10'000'000;
constexpr std::uint64_t kTwoClockReadsNs = 100'000;           // the kernel's, of one packet
constexpr std::uint64_t kMostHeaderBytes = 14 + 4 + 40 + 60;  // a TCP packet without payload: VLAN, IPv6, all options

// Who has sent: for the conversation's stage.
void NoteSide(Conversation* c, const FlowTuple& tuple, bool from_opener) {
  const bool answer = IsIcmp(tuple.protocol) ? IsEchoReply(tuple.protocol, tuple.destination_port) : !from_opener;
  if (answer)
    c->answered = true;
  else
    c->asked = true;
}

void NotePayload(Conversation* c, bool from_opener) {
  if (from_opener)
    c->payload_sent = true;
  else
    c->payload_received = true;
}

}  // namespace

std::array<Count, 2>& FlowTable::InterfaceSums::Carried(std::uint8_t protocol) {
  for (OfProtocol& one : protocols)
    if (one.protocol == protocol) return one.carried;
  return protocols.emplace_back(OfProtocol{protocol, {}}).carried;
}

FlowTable::FlowTable(const Options& options, Context context)
    : options_(options),
      context_(std::move(context)),
      index_(0, KeyHash{this}, KeyEqual{this}),
      echoes_(options.echo_capacity) {
  slab_.reserve(options_.capacity);  // address space only, until it is used
}

const FlowTable::InterfaceSums& FlowTable::Sums(InterfaceId id) {
  if (id >= sums_.size()) sums_.resize(id + 1);
  return sums_[id];
}

FlowTable::Index FlowTable::FindOrOpen(const FlowTuple& tuple, bool folded, std::uint64_t mono_ns,
                                       std::uint64_t first_mono_ns, bool* source_is_high, bool* opened,
                                       std::optional<FlowTuple>* original) {
  ConversationKey key = MakeKey(tuple, source_is_high);
  key.folded = folded;
  auto found = index_.find(key);
  if (found == index_.end() && !folded && context_.original) {
    if (std::optional<FlowTuple> before = context_.original(tuple)) {
      key = MakeKey(*before, source_is_high);
      found = index_.find(key);
      if (original) *original = before;
    }
  }
  *opened = found == index_.end();
  if (*opened) return Open(key, *source_is_high, first_mono_ns);
  Index index = *found;
  while (slab_[index].previous != kNone && mono_ns + kTwoClockReadsNs < slab_[index].first_mono_ns)
    index = slab_[index].previous;
  return index;
}

FlowTable::Index FlowTable::Open(const ConversationKey& key, bool source_is_high, std::uint64_t first_mono_ns) {
  if (live_ >= options_.capacity) {
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
  c.source_is_high = source_is_high;
  c.id = ++last_id_;
  c.first_mono_ns = c.last_mono_ns = first_mono_ns;
  index_.insert(index);
  live_++;
  Link(index);
  AskForTranslation(c);
  return index;
}

FlowTable::Index FlowTable::Supersede(Index index, bool source_is_high, std::uint64_t first_mono_ns) {
  const ConversationKey key = slab_[index].key;
  index_.erase(index);
  slab_[index].superseded = true;
  Touch(index, 0);  // counts that are still to be read come within a scan: it ends soon
  const std::uint64_t id = slab_[index].id;
  const Index fresh = Open(key, source_is_high, first_mono_ns);
  if (slab_[index].live && slab_[index].id == id) {  // opening may have ended it
    slab_[fresh].previous = index;
    slab_[index].next = fresh;
  }
  return fresh;
}

// A SYN that begins a connection on ports that were used before. The same hook tells of a SYN that takes a slot; what is
// told by another interface, behind NAT, or late, is of the conversation that stands.
bool FlowTable::BeginsAnother(const Conversation& c, const PacketNotice& notice, bool source_is_high,
                              bool is_translated) const {
  if (notice.kind != PacketNotice::Kind::kFlowStarted || notice.tuple.protocol != IPPROTO_TCP) return false;
  if ((notice.tcp_flags & (kSyn | kAck)) != kSyn || !IsPastOpening(c)) return false;
  const bool elsewhere = is_translated || c.timing.interface != notice.interface;
  if (c.opener == Opener::kSyn && source_is_high == c.source_is_high && elsewhere &&
      notice.mono_ns < c.timing.syn_ns + kSameMomentNs)
    return false;
  return notice.mono_ns > c.timing.syn_ns && notice.mono_ns + kSameMomentNs > c.last_mono_ns;
}

void FlowTable::Add(const FlowDelta& delta) {
  bool source_is_high = false, opened = false;
  // A slot that was read before tells when its flow began, not when this conversation did: ours may have ended between.
  const std::uint64_t first_mono_ns = delta.continued ? delta.last_mono_ns : delta.first_mono_ns;
  const Index index =
      FindOrOpen(delta.tuple, delta.folded, delta.first_mono_ns, first_mono_ns, &source_is_high, &opened, nullptr);
  Conversation& c = slab_[index];
  // Flags of all packets together are those of the first only if the flow has SYN but never ACK.
  const bool only_syn = (delta.tcp_flags & (kSyn | kAck)) == kSyn;
  SettleOpener(&c, source_is_high, first_mono_ns, delta.tcp_flags, only_syn, context_.listens);
  const bool forward = source_is_high == c.source_is_high;
  opened_ += c.sights.empty();  // known by a notice alone, it may end and come again
  auto sight = std::find_if(c.sights.begin(), c.sights.end(), [&](const Sight& s) {
    return s.interface == delta.interface && s.direction() == delta.direction && (s.forward != 0) == forward;
  });
  if (sight == c.sights.end()) {
    c.sights.emplace_back(delta.interface, delta.direction, forward);
    sight = c.sights.end() - 1;
  }
  sight->total += delta.count;
  (forward ? c.flags_sent : c.flags_received) |= delta.tcp_flags;
  c.fragments |= delta.fragments;
  if (c.key.tunnel == TunnelType::kNone) {
    if (delta.interface >= sums_.size()) sums_.resize(delta.interface + 1);
    sums_[delta.interface].received += delta.count;
    sums_[delta.interface].Carried(delta.tuple.protocol)[static_cast<std::size_t>(delta.direction)] += delta.count;
  }
  if (delta.folded) {
    NoteFolded(&c, delta);
  } else {
    NoteSide(&c, delta.tuple, forward);
    // An SCTP packet that opens an association is as large as one with data.
    if ((delta.tcp_flags & kPsh || delta.count.bytes > delta.count.packets * kMostHeaderBytes) &&
        (c.key.protocol != IPPROTO_SCTP || c.answered))
      NotePayload(&c, forward);
    TellStage(&c, delta.interface, delta.last_mono_ns);
  }
  TellTraffic(&c, delta);
  Touch(index, delta.last_mono_ns);
}

void FlowTable::TellStage(Conversation* c, InterfaceId interface, std::uint64_t mono_ns) {
  const Stage before = c->stage, now = StageOf(*c);
  if (now == before) return;
  c->stage = now;
  const bool swapped = before != Stage::kNone && c->stage_source_is_high != c->source_is_high;
  c->stage_source_is_high = c->source_is_high;
  if (!context_.on_stage || c->key.tunnel != TunnelType::kNone) return;
  Contact contact = ContactOf(*c, interface, mono_ns);
  contact.swapped = swapped;
  context_.on_stage(contact, before);
}

void FlowTable::Refused(const FlowTuple& tuple, InterfaceId interface, std::uint64_t mono_ns) {
  bool source_is_high = false;
  auto found = index_.find(MakeKey(tuple, &source_is_high));
  if (found == index_.end() && context_.original)
    if (const auto before = context_.original(tuple)) found = index_.find(MakeKey(*before, &source_is_high));
  if (found == index_.end()) return;
  Conversation& c = slab_[*found];
  if (source_is_high != c.source_is_high) return;  // an answer's: its sender has closed meanwhile
  c.refused = true;
  TellStage(&c, interface, mono_ns);
}

void FlowTable::TellTraffic(Conversation* c, const FlowDelta& delta) {
  const std::uint64_t mono_ns = delta.last_mono_ns;
  const Attribution now = Attribute(c, context_.places);
  const Attribution news{c->told_sent.Take(now.sent), c->told_received.Take(now.received)};
  if (news.sent.packets + news.received.packets == 0) return;
  c->pattern.Add(mono_ns - std::min(mono_ns, c->first_mono_ns), news.sent.bytes + news.received.bytes,
                 options_.patterns.burst_gap_ns);
  if (c->key.tunnel != TunnelType::kNone) return;
  if (context_.on_traffic) context_.on_traffic(c->id, c->key, c->source_is_high, news);
  if (!context_.on_carried) return;
  if (!delta.folded) {
    context_.on_carried(ContactOf(*c, delta.interface, mono_ns), {news.sent, news.received});
  } else if (const auto contact = FoldedContact(*c, delta, now)) {
    const Count& count = news.sent.packets != 0 ? news.sent : news.received;
    const bool to_client = contact->server.bytes == IpAddress().bytes;
    context_.on_carried(*contact, to_client ? Carried{{}, count} : Carried{count, {}});
  }
}

FlowTable::Meeting FlowTable::Notice(const PacketNotice& notice) {
  bool source_is_high = false;
  Meeting meeting;
  Index index = FindOrOpen(notice.tuple, false, notice.mono_ns, notice.mono_ns, &source_is_high,
                           &meeting.new_conversation, &meeting.original);
  if (!meeting.new_conversation && !slab_[index].superseded &&
      BeginsAnother(slab_[index], notice, source_is_high, meeting.original.has_value())) {
    index = Supersede(index, source_is_high, notice.mono_ns);
    meeting.new_conversation = true;
  }
  Conversation& c = slab_[index];
  SettleOpener(&c, source_is_high, notice.mono_ns, notice.tcp_flags, notice.kind == PacketNotice::Kind::kFlowStarted,
               context_.listens);
  meeting.from_opener = source_is_high == c.source_is_high;
  (meeting.from_opener ? c.flags_sent : c.flags_received) |= notice.tcp_flags;
  // The kernel reads the clock for the slot and again for the notice. A later start is of another slot: another
  // interface's, or this one's after an eviction.
  const bool is_start =
      meeting.new_conversation || (meeting.from_opener && notice.mono_ns < c.first_mono_ns + kSameMomentNs);
  if (notice.kind == PacketNotice::Kind::kFlowStarted && is_start) {
    meeting.start = !c.start_told;
    c.start_told = true;
  }
  KeepHeader(&c, notice, meeting.from_opener);
  NoteSide(&c, notice.tuple, meeting.from_opener);
  TellStage(&c, notice.interface, notice.mono_ns);
  TimeHandshake(&c, notice, meeting.from_opener);
  meeting.id = c.id;
  const bool starts = notice.kind == PacketNotice::Kind::kFlowStarted;
  if ((starts || notice.kind == PacketNotice::Kind::kEcho) &&
      IsEcho(notice.tuple.protocol, notice.tuple.destination_port))
    echoes_.OnEcho(c.id, notice.interface, IsEchoReply(notice.tuple.protocol, notice.tuple.destination_port),
                   static_cast<std::uint16_t>(notice.sequence), notice.mono_ns);
  Touch(index, notice.mono_ns);
  return meeting;
}

FlowTable::Meeting FlowTable::Payload(const PayloadSample& sample) {
  bool source_is_high = false;
  Meeting meeting;
  const Index index = FindOrOpen(sample.tuple, false, sample.mono_ns, sample.mono_ns, &source_is_high,
                                 &meeting.new_conversation, &meeting.original);
  Conversation& c = slab_[index];
  SettleOpener(&c, source_is_high, sample.mono_ns, sample.tcp_flags, false, context_.listens);
  meeting.from_opener = source_is_high == c.source_is_high;
  meeting.id = c.id;
  (meeting.from_opener ? c.flags_sent : c.flags_received) |= sample.tcp_flags;
  TimePayload(&c, sample, meeting.from_opener);
  NoteSide(&c, sample.tuple, meeting.from_opener);
  if (sample.tuple.protocol == IPPROTO_SCTP) {
    if (!sample.data.empty()) NoteSctpChunk(&c, sample.data[0], meeting.from_opener);
  } else if (sample.length != 0) {
    NotePayload(&c, meeting.from_opener);
  }
  TellStage(&c, sample.interface, sample.mono_ns);
  Touch(index, sample.mono_ns);
  return meeting;
}

// Of the opener's first packet, as the first interface saw it; the addresses of either side's.
void FlowTable::KeepHeader(Conversation* c, const PacketNotice& notice, bool from_opener) {
  if (notice.kind != PacketNotice::Kind::kFlowStarted) return;
  if (notice.has_macs && !c->has_macs) {
    c->has_macs = true;
    c->source_mac = from_opener ? notice.source_mac : notice.destination_mac;
    c->destination_mac = from_opener ? notice.destination_mac : notice.source_mac;
  }
  if (!from_opener || c->has_header) return;
  c->has_header = true;
  c->ttl = notice.ttl;
  c->dscp = notice.dscp;
}

void FlowTable::Touch(Index index, std::uint64_t mono_ns) {
  Conversation& c = slab_[index];
  c.last_mono_ns = std::max(c.last_mono_ns, mono_ns);
  const bool closed = IsOver(c) || c.superseded;
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
  Report(&slab_[index], true);
  Release(index);
}

void FlowTable::Release(Index index) {
  Conversation& c = slab_[index];
  Unlink(index);
  if (!c.superseded) index_.erase(index);
  if (c.previous != kNone) slab_[c.previous].next = c.next;
  if (c.next != kNone) slab_[c.next].previous = c.previous;
  c.live = false;
  live_--;
  if (IsIcmp(c.key.protocol)) echoes_.Forget(c.id);
  if (!translations_.empty()) translations_.erase(c.id);
  if (context_.on_end) context_.on_end(c.id);
  c.sights.clear();
  c.sights.shrink_to_fit();
  free_.push_back(index);
}

void FlowTable::Report(Conversation* c, bool final) {
  bool any = false;
  const bool counted = c->key.tunnel == TunnelType::kNone;  // the outer packets are
  for (Sight& sight : c->sights) {
    if (counted) {
      sums_[sight.interface].in_flows += sight.Unemitted();
      if (context_.on_counted) context_.on_counted(sight.interface, sight.Unemitted());
    }
    sight.MarkEmitted();
    any |= !(sight.total == Count{});
  }
  // A conversation known by a notice alone has no counts yet: they come under a new id, if this one ends before.
  if (!any || !context_.emit) return;
  Describe(c, final, &scratch_);
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
        std::any_of(c.sights.begin(), c.sights.end(), [](const Sight& s) { return !(s.Unemitted() == Count{}); });
    if (changed) Report(&c, false);
  }
}

bool FlowTable::EndSome(std::size_t most) {
  for (std::size_t i = 0; i < most; i++) {
    const Index oldest = open_list_.oldest != kNone ? open_list_.oldest : closed_list_.oldest;
    if (oldest == kNone) return true;
    End(oldest);
  }
  return live_ == 0;
}

}  // namespace knp::flow
