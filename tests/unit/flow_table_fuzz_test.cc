// FlowTable under random operations, against a model of its own: whatever comes in whatever order, the records that
// were emitted account for every packet once, and each record says what the model has added up.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "src/flow/flow_table.h"

namespace knp::flow {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr InterfaceId kInterfaces = 4;
// The last one is the first, attached again.
const std::vector<std::string> kNames = {"eth0", "eth1", "lo", "eth0"};

// A conversation's two ends as text, lower one first, and what distinguishes those between the same ends.
using Conversation =
    std::tuple<std::string, std::string, int, int, int>;  // ends, protocol, VLAN, ICMP type << 8 | code

std::string End(const IpAddress& ip, std::uint16_t port) { return ip.ToString() + " " + std::to_string(port); }

Conversation MakeConversation(std::string a, std::string b, int protocol, int vlan, int icmp) {
  if (b < a) std::swap(a, b);
  return {a, b, protocol, vlan, icmp};
}

// What was added to a conversation since it was opened: by place, and by place and sender in the order of appearance.
struct Added {
  struct Sight {
    std::string interface;
    Direction direction;
    std::string sender;
    Count count;
  };
  std::vector<Sight> sights;
  std::map<std::pair<std::string, Direction>, Count> places;
};

class Model {
 public:
  void Add(const FlowDelta& delta, const Conversation& conversation, const std::string& sender) {
    opened_ += !open_.contains(conversation);
    Added& added = open_[conversation];
    const std::string& name = kNames[delta.interface];
    auto sight = std::find_if(added.sights.begin(), added.sights.end(), [&](const Added::Sight& s) {
      return s.interface == name && s.direction == delta.direction && s.sender == sender;
    });
    if (sight == added.sights.end()) sight = added.sights.insert(sight, {name, delta.direction, sender, {}});
    sight->count += delta.count;
    added.places[{name, delta.direction}] += delta.count;
    added_[name] += delta.count;
  }

  void OnRecord(const FlowRecord& record) {
    ASSERT_FALSE(ended_.contains(record.id)) << "a record after the final one of id " << record.id;
    const int icmp = record.icmp ? record.icmp->first << 8 | record.icmp->second : -1;
    const std::string source = End(record.source.ip, record.source.port);
    const Conversation conversation = MakeConversation(source, End(record.destination.ip, record.destination.port),
                                                       record.protocol, record.vlan, icmp);
    ASSERT_TRUE(open_.contains(conversation)) << "a record of a conversation that carried nothing";
    const auto [owner, first] = id_.try_emplace(conversation, record.id);
    ASSERT_EQ(owner->second, record.id) << "two ids for one conversation";
    Check(record, open_[conversation], source);
    last_[record.id] = record;
    if (!record.final) return;
    ended_.insert(record.id);
    id_.erase(conversation);
    open_.erase(conversation);
  }

  // By interface name: summed from the last record of each id.
  std::map<std::string, Count> InFlows() const {
    std::map<std::string, Count> sums;
    for (const auto& [id, record] : last_)
      for (const Observation& o : record.observations) sums[o.interface] += o.count;
    return sums;
  }
  const std::map<std::string, Count>& added() const { return added_; }
  std::uint64_t opened() const { return opened_; }
  bool all_ended() const { return open_.empty() && last_.size() == ended_.size(); }

 private:
  // What its first hook on the first interface of all counted of that sense, else on the first that has seen any.
  template <typename Sense>
  static Count Attributed(const Added& added, Sense&& is_of_sense) {
    const Added::Sight* first = nullptr;
    for (const Added::Sight& sight : added.sights)
      if (is_of_sense(sight) && (!first || (first->interface != added.sights.front().interface &&
                                            sight.interface == added.sights.front().interface)))
        first = &sight;
    return first ? first->count : Count{};
  }

  static void Check(const FlowRecord& record, const Added& added, const std::string& source) {
    std::map<std::pair<std::string, Direction>, Count> places;
    for (const Observation& o : record.observations)
      ASSERT_TRUE(places.emplace(std::pair(o.interface, o.direction), o.count).second) << "a place twice";
    ASSERT_TRUE(places == added.places);
    ASSERT_EQ(record.sent, Attributed(added, [&](const Added::Sight& sight) { return sight.sender == source; }));
    ASSERT_EQ(record.received, Attributed(added, [&](const Added::Sight& sight) { return sight.sender != source; }));
    ASSERT_LE(record.start_unix_ns, record.end_unix_ns);
  }

  std::map<Conversation, Added> open_;
  std::map<Conversation, std::uint64_t> id_;
  std::map<std::uint64_t, FlowRecord> last_;  // of each id
  std::set<std::uint64_t> ended_;
  std::uint64_t opened_ = 0;
  std::map<std::string, Count> added_;
};

class Fuzz {
 public:
  Fuzz(unsigned seed, std::size_t capacity)
      : random_(seed),
        capacity_(capacity),
        table_({.capacity = capacity,
                .idle_timeout_ns = 20 * kSecond,
                .closed_timeout_ns = 2 * kSecond,
                .report_interval_ns = 5 * kSecond},
               {.places = {.name = [](InterfaceId id) -> const std::string& { return kNames[id]; }, .vantage = nullptr},
                .unix_ns = [](std::uint64_t ns) { return ns; },
                .emit = [this](const FlowRecord& record) { model_.OnRecord(record); },
                .complete = nullptr,
                .on_traffic = nullptr,
                .on_end = nullptr}) {}

  void Run(int operations) {
    for (int i = 0; i < operations && !testing::Test::HasFatalFailure(); i++) {
      now_ += Below(kSecond / 2);
      switch (Below(10)) {
        case 0: table_.Advance(now_, Below(4)); break;
        case 1: table_.Advance(now_, 1000); break;
        case 2: Notice(); break;
        case 3: Below(20) == 0 ? (void)table_.EndSome(Below(5)) : Add(); break;
        default: Add(); break;
      }
      ASSERT_LE(table_.size(), capacity_);
      ASSERT_EQ(table_.opened(), model_.opened());
      ASSERT_TRUE(InFlows() == model_.InFlows()) << "after operation " << i;
    }
    while (!table_.EndSome(3)) {
    }
    ASSERT_EQ(table_.size(), 0u);
    ASSERT_TRUE(model_.all_ended());
    ASSERT_TRUE(InFlows() == model_.added());
    for (InterfaceId id = 0; id < kInterfaces; id++) ASSERT_EQ(table_.Sums(id).in_flows, table_.Sums(id).received);
  }

 private:
  struct Packet {
    FlowTuple tuple;
    Conversation conversation;
    std::string sender;
  };

  std::size_t Below(std::size_t n) { return random_() % n; }

  IpAddress Address(bool v6) {
    IpAddress ip;
    ip.version = v6 ? 6 : 4;
    ip.bytes[v6 ? 15 : 3] = static_cast<std::uint8_t>(1 + Below(3));
    return ip;
  }

  // A small world, so that conversations meet again; a host may talk to itself.
  Packet AnyPacket() {
    const bool v6 = Below(4) == 0;
    const std::uint8_t ping = v6 ? std::uint8_t{IPPROTO_ICMPV6} : std::uint8_t{IPPROTO_ICMP};
    const std::uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_GRE, ping};
    const IpAddress from = Address(v6), to = Address(v6);
    Packet packet;
    FlowTuple& tuple = packet.tuple;
    tuple = {.source = from.bytes,
             .destination = to.bytes,
             .source_port = 0,
             .destination_port = 0,
             .vlan = static_cast<std::uint16_t>(Below(8) == 0 ? 7 : 0),
             .protocol = protocols[Below(5)],
             .ip_version = from.version};
    int icmp = -1;
    if (tuple.protocol == ping) {
      // One identifier, for a record does not tell it: every echo between two hosts is one conversation here.
      const std::uint8_t request = v6 ? 128 : 8, answer = v6 ? 129 : 0;
      const bool echo = Below(3) != 0;
      const std::uint8_t type = !echo ? 3 : Below(2) == 0 ? answer : request;
      tuple.source_port = echo ? 99 : 0;
      tuple.destination_port = static_cast<std::uint16_t>(type << 8);
      icmp = (echo ? request : type) << 8;
      packet.sender = End(from, 0);
      packet.conversation = MakeConversation(End(from, 0), End(to, 0), tuple.protocol, tuple.vlan, icmp);
    } else {
      if (tuple.protocol != IPPROTO_GRE) {
        tuple.source_port = static_cast<std::uint16_t>(1000 + Below(3));
        tuple.destination_port = static_cast<std::uint16_t>(1000 + Below(3));
      }
      packet.sender = End(from, tuple.source_port);
      packet.conversation =
          MakeConversation(packet.sender, End(to, tuple.destination_port), tuple.protocol, tuple.vlan, icmp);
    }
    return packet;
  }

  void Add() {
    const Packet packet = AnyPacket();
    // From an end to itself: who sent is in the flags or the ICMP type, which the model does not look at.
    if (std::get<0>(packet.conversation) == std::get<1>(packet.conversation)) return;
    FlowDelta delta;
    delta.tuple = packet.tuple;
    delta.interface = static_cast<InterfaceId>(Below(kInterfaces));
    delta.direction = Below(2) ? Direction::kIngress : Direction::kEgress;
    delta.count = {Below(5), 60 * Below(50)};
    if (delta.count == Count{}) delta.count = {1, 60};
    delta.last_mono_ns = now_ - std::min<std::uint64_t>(now_, Below(3 * kSecond));
    delta.first_mono_ns = delta.last_mono_ns - std::min<std::uint64_t>(delta.last_mono_ns, Below(30 * kSecond));
    delta.tcp_flags = Below(3) == 0 ? static_cast<std::uint8_t>(random_()) : 16;
    delta.continued = Below(2) == 0;
    // The table may end another conversation to make room, never this one: the model may add first.
    model_.Add(delta, packet.conversation, packet.sender);
    table_.Add(delta);
  }

  void Notice() {
    PacketNotice notice;
    notice.tuple = AnyPacket().tuple;
    notice.kind = static_cast<PacketNotice::Kind>(Below(3));
    notice.mono_ns = now_;
    notice.tcp_flags = static_cast<std::uint8_t>(random_());
    const std::size_t size = table_.size();
    const FlowTable::Meeting contact = table_.Notice(notice);
    if (size < capacity_) {
      ASSERT_EQ(contact.new_conversation, table_.size() == size + 1);
    }
    if (contact.new_conversation) {
      ASSERT_GT(contact.id, std::exchange(last_id_, contact.id)) << "ids are not reused";
    }
  }

  std::map<std::string, Count> InFlows() {
    std::map<std::string, Count> sums;
    for (InterfaceId id = 0; id < kInterfaces; id++)
      if (!(table_.Sums(id).in_flows == Count{})) sums[kNames[id]] += table_.Sums(id).in_flows;
    return sums;
  }

  std::mt19937_64 random_;
  std::size_t capacity_;
  std::uint64_t now_ = 100 * kSecond;
  std::uint64_t last_id_ = 0;
  Model model_;
  FlowTable table_;
};

TEST(FlowTableFuzz, RandomOperations_RecordsAccountForEveryPacketOnce) {
  for (unsigned seed = 1; seed <= 40; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Fuzz(seed, 1 + seed * 3).Run(1500);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace knp::flow
