// Conversations on both sides of a translation: one record, exact sums, whatever is known first.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/host/nat/nat_table.h"
#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

struct Nat {
  const char* name;
  FlowTuple original, translated;
};

// Ends change places in the key by some of these.
const std::vector<Nat> kNats = {
    {"DNAT", Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.96.0.1", 80),
     Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.0.0.2", 8080)},
    {"SNAT", Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.0.0.2", 80),
     Tuple(IPPROTO_TCP, "10.0.0.1", 1024, "10.0.0.2", 80)},
    {"both", Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.0.0.3", 80),
     Tuple(IPPROTO_TCP, "10.0.0.9", 50000, "10.0.0.2", 8080)},
};

Translation EndsOf(const FlowTuple& tuple) {
  return {{{tuple.source, tuple.ip_version}, tuple.source_port},
          {{tuple.destination, tuple.ip_version}, tuple.destination_port}};
}

class FlowTableNatTest : public FlowTableTest {
 protected:
  void SetUp() override { Begin(); }

  void Begin() {
    records_.clear();
    ended_.clear();
    added_.clear();
    nat_ = std::make_unique<host::NatTable>(64);
    FlowTable::Options options;
    options.capacity = 64;
    table_ = std::make_unique<FlowTable>(
        options,
        FlowTable::Context{
            .places = {.name = [this](InterfaceId id) -> const std::string& { return names_[id]; }, .vantage = nullptr},
            .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
            .emit = [this](const FlowRecord& record) { records_.push_back(record); },
            .complete = nullptr,
            .on_traffic = nullptr,
            .on_end = [this](std::uint64_t id) { ended_.push_back(id); },
            .original = [this](const FlowTuple& tuple) { return nat_->Original(tuple); },
            .translated = [this](const FlowTuple& tuple) { return nat_->Translated(tuple); }});
    table_->Advance(now_ns_ = 10 * kSecond, kAll);
  }
  void Learn(const Nat& nat) {
    if (nat_->Add({.original = nat.original, .translated = nat.translated})) table_->Join(nat.translated, nat.original);
  }
  void Count(const FlowTuple& tuple, InterfaceId interface, Direction direction, std::uint8_t flags,
             ::knp::Count count) {
    table_->Add(At(On(Delta(tuple, flags), interface, direction, count), 10 * kSecond, 11 * kSecond));
    added_[interface] += count;
  }
  void NoticeBehind(const Nat& nat, InterfaceId interface) {
    PacketNotice notice = Notice(nat.translated, kSyn, 10 * kSecond + 1000);
    notice.interface = interface;
    notice.direction = Direction::kEgress;
    table_->Notice(notice);
  }
  void Report() { table_->Advance(now_ns_ += 5 * kSecond, kAll); }

  // Ends all; the sums of last records, of the ledger and of what was added are equal, and no record broke its word.
  void ExpectExact() {
    table_->EndSome(kAll);
    std::map<std::uint64_t, FlowRecord> last;
    for (const FlowRecord& record : records_) {
      if (const auto before = last.find(record.id); before != last.end()) {
        EXPECT_FALSE(before->second.final);
        for (const Place& place : PlacesOf(before->second)) {
          const auto places = PlacesOf(record);
          EXPECT_TRUE(std::any_of(places.begin(), places.end(), [&](const Place& p) {
            return p.interface == place.interface && p.direction == place.direction &&
                   p.count.packets >= place.count.packets && p.count.bytes >= place.count.bytes;
          })) << "counts that were told are gone";
        }
      }
      last[record.id] = record;
    }
    std::map<std::string, ::knp::Count> told;
    for (const auto& [id, record] : last) {
      EXPECT_TRUE(record.final);
      for (const Observation& o : record.observations) told[o.interface] += o.count;
    }
    for (const auto& [interface, count] : added_) {
      EXPECT_EQ(told[names_[interface]], count) << names_[interface];
      EXPECT_EQ(table_->Sums(interface).in_flows, count);
      EXPECT_EQ(table_->Sums(interface).received, count);
    }
    std::set<std::uint64_t> ended(ended_.begin(), ended_.end());
    EXPECT_EQ(ended.size(), ended_.size());
    EXPECT_EQ(table_->opened(), last.size());
    finals_ = std::move(last);
  }
  void ExpectOne(const Nat& nat) {
    ASSERT_EQ(finals_.size(), 1u);
    const FlowRecord& record = finals_.begin()->second;
    ASSERT_TRUE(record.translated);
    EXPECT_EQ(record.source, EndsOf(nat.original).source);
    EXPECT_EQ(record.destination, EndsOf(nat.original).destination);
    EXPECT_EQ(record.translated->source, EndsOf(nat.translated).source);
    EXPECT_EQ(record.translated->destination, EndsOf(nat.translated).destination);
  }

  std::unique_ptr<host::NatTable> nat_;
  std::map<InterfaceId, ::knp::Count> added_;
  std::map<std::uint64_t, FlowRecord> finals_;
  std::uint64_t now_ns_ = 0;
};

TEST_F(FlowTableNatTest, EveryOrder_IsExact_AndOneRecordUnlessBothWereTold) {
  enum Step { kLearn, kNoticeFront, kNoticeBehind, kCountFront, kCountBehind, kAnswerBehind, kReport };
  for (const Nat& nat : kNats)
    for (const InterfaceId behind : {kEth1, kEth0}) {
      std::vector<Step> order = {kLearn,       kNoticeFront,  kNoticeBehind, kCountFront,
                                 kCountBehind, kAnswerBehind, kReport};
      do {
        Begin();
        bool front = false, back = false, both_told = false, learnt = false;
        for (const Step step : order) {
          switch (step) {
            case kLearn:
              Learn(nat);
              learnt = true;
              break;
            case kNoticeFront: table_->Notice(Notice(nat.original, kSyn)); break;
            case kNoticeBehind: NoticeBehind(nat, behind); break;
            case kCountFront:
              Count(nat.original, kEth0, Direction::kIngress, kSyn | kAck, {3, 300});
              front = true;
              break;
            case kCountBehind:
              Count(nat.translated, behind, Direction::kEgress, kSyn | kAck, {3, 310});
              back = true;
              break;
            case kAnswerBehind:
              Count(Reverse(nat.translated), behind, Direction::kIngress, kSyn | kAck, {2, 200});
              back = true;
              break;
            case kReport:
              Report();
              both_told = !learnt && front && back;
              break;
          }
        }
        Count(Reverse(nat.original), kEth0, Direction::kEgress, kAck, {2, 190});
        Count(nat.translated, behind, Direction::kEgress, kAck, {1, 50});
        ExpectExact();
        if (!both_told) {
          ExpectOne(nat);
        } else {
          EXPECT_EQ(finals_.size(), 2u);
          for (const auto& [id, record] : finals_) {
            EXPECT_TRUE(record.translated && record.translated->source == EndsOf(nat.translated).source &&
                        record.translated->destination == EndsOf(nat.translated).destination);
          }
        }
        if (HasFailure()) {
          std::string text;
          for (const Step step : order) text += std::to_string(step) + " ";
          FAIL() << nat.name << ", behind at " << names_[behind] << ": " << text;
        }
      } while (std::next_permutation(order.begin(), order.end()));
    }
}

TEST_F(FlowTableNatTest, Joined_APacketCountsOnce) {
  const Nat& nat = kNats[2];
  Learn(nat);
  Count(nat.original, kEth0, Direction::kIngress, kSyn, {3, 300});
  Count(nat.translated, kEth1, Direction::kEgress, kSyn, {3, 300});
  Count(Reverse(nat.translated), kEth1, Direction::kIngress, kSyn | kAck, {2, 200});
  Count(Reverse(nat.original), kEth0, Direction::kEgress, kSyn | kAck, {2, 200});
  const FlowRecord record = Only();
  EXPECT_EQ(record.sent, (::knp::Count{3, 300}));
  EXPECT_EQ(record.received, (::knp::Count{2, 200}));
  EXPECT_EQ(record.observations.size(), 4u);
  EXPECT_EQ(record.opener, Opener::kSyn);
}

TEST_F(FlowTableNatTest, Meeting_TellsTheOriginal) {
  const Nat& nat = kNats[0];
  Learn(nat);
  EXPECT_FALSE(table_->Notice(Notice(nat.original, kSyn)).original);
  const auto meeting = table_->Notice(Notice(Reverse(nat.translated), kSyn | kAck));
  EXPECT_EQ(meeting.original, Reverse(nat.original));
  EXPECT_FALSE(meeting.new_conversation);
  EXPECT_FALSE(meeting.from_opener);
}

TEST_F(FlowTableNatTest, SamePortsAgain_EachHasItsOwnTranslation) {
  Nat first = kNats[0], second = kNats[0];
  second.translated.destination_port = 9090;
  Learn(first);
  table_->Notice(Notice(first.original, kSyn));
  Count(first.original, kEth0, Direction::kIngress, kSyn | kAck | kFin, {5, 500});
  Count(Reverse(first.translated), kEth1, Direction::kIngress, kSyn | kAck | kFin, {5, 500});
  Learn(second);  // before its SYN is told
  table_->Notice(Notice(second.original, kSyn, 20 * kSecond));
  table_->Add(At(On(Delta(second.translated, kSyn), kEth1, Direction::kEgress), 20 * kSecond, 20 * kSecond));
  added_[kEth1] += {1, 100};
  table_->Add(At(On(Delta(second.original, kSyn), kEth0, Direction::kIngress), 20 * kSecond, 20 * kSecond));
  added_[kEth0] += {1, 100};
  ExpectExact();
  ASSERT_EQ(finals_.size(), 2u);
  EXPECT_EQ(finals_.begin()->second.translated->destination.port, 8080);
  EXPECT_EQ(finals_.rbegin()->second.translated->destination.port, 9090);
}

TEST_F(FlowTableNatTest, Echo_IsJoined) {
  Nat nat{"ICMP", Icmp(8, 0, 7, "10.0.0.5", "10.0.0.2"), Icmp(8, 0, 99, "10.0.0.1", "10.0.0.2")};
  Learn(nat);
  Count(nat.original, kEth0, Direction::kIngress, 0, {1, 98});
  Count(nat.translated, kEth1, Direction::kEgress, 0, {1, 98});
  Count(Icmp(0, 0, 99, "10.0.0.2", "10.0.0.1"), kEth1, Direction::kIngress, 0, {1, 98});
  Count(Icmp(0, 0, 7, "10.0.0.2", "10.0.0.5"), kEth0, Direction::kEgress, 0, {1, 98});
  EXPECT_EQ(Only().sent, (::knp::Count{1, 98}));
  EXPECT_EQ(Only().received, (::knp::Count{1, 98}));
  ExpectExact();
  ASSERT_EQ(finals_.size(), 1u);
  EXPECT_EQ(finals_.begin()->second.translated->source.ip.ToString(), "10.0.0.1");
}

}  // namespace
}  // namespace knp::flow
