// What users see of a folded flow: one conversation of the end that is known, with exact counts, and nothing that is not
// known; and the budgets that the kernel gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knp/capture_replay.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/cli/monitor_summary.h"
#include "src/cli/top_flows.h"
#include "src/datapath/decoder.h"
#include "src/datapath/replay_engine.h"
#include "src/export/json/json_lines.h"
#include "src/monitor/pipeline.h"
#include "tests/support/flow_table_fixture.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/recording_sink.h"

namespace knp::flow {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr std::uint8_t kSynAck = kSyn | kAck;

// All that `victim` received from whomever, or sent to them.
FlowDelta Folded(std::uint8_t protocol, const std::string& victim, std::uint16_t port, std::uint8_t flags,
                 bool to_victim) {
  const FlowTuple there = Tuple(protocol, victim.find(':') == std::string::npos ? "0.0.0.0" : "::", 0, victim, port);
  FlowDelta delta = Delta(to_victim ? there : Reverse(there), flags);
  delta.count = {1000, 64000};
  delta.direction = to_victim ? Direction::kIngress : Direction::kEgress;
  delta.folded = true;
  return delta;
}

std::string Rows(const FlowRecord& record, cli::View view, int width) {
  cli::FlowRow row;
  row.flow = record;
  std::string text;
  for (const cli::TextLine& line : cli::RenderFlows({row}, 1, record.end_unix_ns, view, {.width = width, .height = 0}))
    text += line.Text(false) + "\n";
  return text;
}

class FoldedFlowTest : public FlowTableTest {
 protected:
  Json Line() {
    std::string out;
    json::AppendFlow(out, Only());
    return Json::parse(out);
  }
};

TEST_F(FoldedFlowTest, BothDirections_AreOneConversationOfTheKnownEnd) {
  for (const std::string victim : {"192.0.2.7", "2001:db8::7"}) {
    for (const bool answers_first : {false, true}) {
      Make({});
      const FlowDelta flood = Folded(IPPROTO_TCP, victim, 80, kSyn, true);
      const FlowDelta answers = Folded(IPPROTO_TCP, victim, 80, kSynAck, false);
      table_->Add(answers_first ? answers : flood);
      table_->Add(answers_first ? flood : answers);
      const FlowRecord record = Only();
      EXPECT_TRUE(record.folded);
      EXPECT_EQ(record.source.ip.version, 0);
      EXPECT_EQ(record.source.ip.ToString(), "");
      EXPECT_EQ(record.destination.ip.ToString(), victim);
      EXPECT_EQ(record.destination.port, 80);
      EXPECT_EQ(record.sent, (Count{1000, 64000}));
      EXPECT_EQ(record.received, (Count{1000, 64000}));
      EXPECT_EQ(record.tcp.flags_sent, kSyn);
      EXPECT_EQ(record.tcp.flags_received, kSynAck);
      EXPECT_EQ(record.state, FlowState::kActive);
      EXPECT_EQ(record.pattern, TrafficPattern::kUnknown);
    }
  }
}

// A flow between real addresses is never taken for a folded one, though it had the same.
TEST_F(FoldedFlowTest, SameAddresses_NotFolded_AreAnotherConversation) {
  FlowDelta martian = Folded(IPPROTO_UDP, "192.0.2.7", 67, 0, true);
  martian.folded = false;
  table_->Add(Folded(IPPROTO_UDP, "192.0.2.7", 67, 0, true));
  table_->Add(martian);
  EXPECT_EQ(table_->size(), 2u);
}

TEST_F(FoldedFlowTest, Resets_OfManyConnections_DoNotEndIt) {
  table_->Add(Folded(IPPROTO_TCP, "192.0.2.7", 80, kRst | kAck, false));
  table_->Advance(10 * kSecond, kAll);
  table_->Advance(20 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_EQ(Only().state, FlowState::kActive);
  table_->Advance(200 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
  EXPECT_EQ(records_.back().state, FlowState::kActive);
  EXPECT_TRUE(records_.back().final);
}

TEST_F(FoldedFlowTest, Json_HasWhatIsKnownAndNothingElse) {
  table_->Add(Folded(IPPROTO_TCP, "192.0.2.7", 80, kSyn, true));
  const Json json = Line();
  EXPECT_EQ(json["kind"], "flow");
  EXPECT_EQ(json["folded"], true);
  EXPECT_FALSE(json.contains("source"));
  EXPECT_EQ(json["destination"], (Json{{"ip", "192.0.2.7"}, {"port", 80}}));
  EXPECT_EQ(json["ip_version"], 4);
  EXPECT_EQ(json["sent"], (Json{{"packets", 1000}, {"bytes", 64000}}));
  EXPECT_EQ(json["tcp"]["flags_sent"], "SYN");
  EXPECT_EQ(json["state"], "active");
  for (const char* unknown : {"community_id", "opener", "pattern", "ttl", "dscp"})
    EXPECT_FALSE(json.contains(unknown)) << unknown;
}

TEST_F(FoldedFlowTest, Json_OfManyPorts_HasNone) {
  table_->Add(Folded(IPPROTO_TCP, "2001:db8::7", 0, kSyn, true));
  EXPECT_EQ(Line()["destination"], (Json{{"ip", "2001:db8::7"}}));
  EXPECT_EQ(Line()["ip_version"], 6);
}

TEST_F(FoldedFlowTest, Json_OfAmplifiers_HasTheirPort) {
  FlowDelta delta = Folded(IPPROTO_UDP, "192.0.2.7", 4444, 0, true);
  delta.tuple.source_port = 53;
  table_->Add(delta);
  EXPECT_EQ(Line()["source"], (Json{{"port", 53}}));
}

TEST_F(FoldedFlowTest, Json_OfNobody_HasNeitherEnd) {
  FlowDelta delta = Folded(IPPROTO_TCP, "0.0.0.0", 0, kSyn, true);
  table_->Add(delta);
  const Json json = Line();
  EXPECT_FALSE(json.contains("source") || json.contains("destination") || json.contains("ip_version"));
  EXPECT_EQ(json["folded"], true);
}

TEST_F(FoldedFlowTest, Icmp_TypeIsToldUnlessItStandsForMany) {
  table_->Add(Folded(IPPROTO_ICMP, "192.0.2.7", 8 << 8, 0, true));
  EXPECT_EQ(Line()["icmp"], (Json{{"type", 8}, {"code", 0}}));
  Make({});
  table_->Add(Folded(IPPROTO_ICMP, "192.0.2.7", kAnyIcmp, 0, true));
  EXPECT_FALSE(Line().contains("icmp"));
  EXPECT_FALSE(Line()["destination"].contains("port"));
}

TEST_F(FoldedFlowTest, Json_OtherFlows_DoNotNameIt) {
  table_->Add(Delta(kThere));
  EXPECT_FALSE(Line().contains("folded"));
}

TEST_F(FoldedFlowTest, Rows_ShowThatOneEndStandsForMany) {
  table_->Add(Folded(IPPROTO_TCP, "192.0.2.7", 80, kSyn, true));
  for (const cli::View view : {cli::View::kFlows, cli::View::kDetails})
    for (const int width : {80, 120, 200}) {
      const std::string text = Rows(Only(), view, width);
      EXPECT_THAT(text, HasSubstr("* (folded)")) << width;
      EXPECT_THAT(text, HasSubstr("192.0.2.7:80")) << width;
      EXPECT_THAT(text, Not(HasSubstr("0.0.0.0"))) << width;
    }
}

TEST(FoldedSummary, PacketsFolded_AreNamed) {
  json::Summary summary;
  const auto text = [&summary] {
    std::string all;
    for (const cli::TextLine& line : cli::RenderSummary(summary, {.width = 120, .height = 0})) all += line.Text(false);
    return all;
  };
  EXPECT_THAT(text(), Not(HasSubstr("folded")));
  summary.stats.folded = {1234567, 8};
  EXPECT_THAT(text(), HasSubstr("1,234,567 packets, 8 bytes of a flood are in folded flows"));
}

TEST(FoldedTraffic, WhoeverItWas_IsNoHost) {
  monitor::Handlers handlers;
  const std::string name = "eth0";
  monitor::Pipeline pipeline({},
                             {.interface_name = [&](InterfaceId) -> const std::string& { return name; },
                              .vantage = nullptr,
                              .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                              .packets_seen = [] { return std::uint64_t{0}; }},
                             &handlers);
  pipeline.OnDelta(Folded(IPPROTO_TCP, "192.0.2.7", 80, kSyn, true));
  const TrafficReport report = pipeline.Traffic(12 * kSecond, 10);
  ASSERT_EQ(report.hosts.size(), 1u);
  EXPECT_EQ(report.hosts[0].ip.ToString(), "192.0.2.7");
  EXPECT_EQ(report.hosts[0].received, (Count{1000, 64000}));
  EXPECT_EQ(report.other_hosts.sent, (Count{1000, 64000})) << "with the others, hosts add up to the total";
  EXPECT_EQ(report.total.count, (Count{1000, 64000}));
}

// ---- what detectors are told ---------------------------------------------------------------------------------------

class FoldedContactTest : public FlowTableTest {
 protected:
  std::pair<Contact, Carried> Tell(const FlowDelta& delta) {
    carried_.clear();
    table_->Add(delta);
    return carried_.size() == 1 ? carried_[0] : std::pair<Contact, Carried>{};
  }
  const std::string victim_ = "192.0.2.7";
};

TEST_F(FoldedContactTest, Syns_AreOpenedByNobodyWithTheirOwnFlags) {
  Tell(Folded(IPPROTO_TCP, victim_, 80, kAck, true));
  const auto [contact, carried] = Tell(Folded(IPPROTO_TCP, victim_, 80, kSyn, true));
  EXPECT_TRUE(contact.folded);
  EXPECT_EQ(contact.client.bytes, IpAddress().bytes);
  EXPECT_EQ(contact.server.ToString(), victim_);
  EXPECT_EQ(contact.server_port, 80);
  EXPECT_EQ(contact.flags_sent, kSyn) << "not those of all that it stands for";
  EXPECT_EQ(contact.stage, Stage::kOpened);
  EXPECT_EQ(carried.sent, (Count{1000, 64000}));
  EXPECT_EQ(carried.received, Count{});
}

TEST_F(FoldedContactTest, WhatTheVictimSends_HasNoVictim) {
  Tell(Folded(IPPROTO_TCP, victim_, 80, kSyn, true));
  Tell(Folded(IPPROTO_TCP, victim_, 80, kSynAck, false));
  EXPECT_TRUE(carried_.empty());
}

TEST_F(FoldedContactTest, SynAcks_AreUnsolicitedUnlessItHasAsked) {
  const FlowDelta answers = Folded(IPPROTO_TCP, victim_, 0, kSynAck, true);
  const auto [unasked, reflected] = Tell(answers);
  EXPECT_EQ(unasked.stage, Stage::kUnsolicited);
  EXPECT_EQ(unasked.client.ToString(), victim_);
  EXPECT_EQ(unasked.flags_received, kSynAck);
  EXPECT_EQ(reflected.received.packets, 1000u);
  Tell(Folded(IPPROTO_TCP, victim_, 0, kSyn, false));
  EXPECT_EQ(Tell(answers).first.stage, Stage::kAnswered);
  EXPECT_EQ(Tell(Folded(IPPROTO_TCP, victim_, 0, kRst | kAck, true)).first.stage, Stage::kRefused);
}

TEST_F(FoldedContactTest, Acks_ThatAreAnswered_AreOfConnections) {
  EXPECT_EQ(Tell(Folded(IPPROTO_TCP, victim_, 80, kAck, true)).first.stage, Stage::kOpened);
  Tell(Folded(IPPROTO_TCP, victim_, 80, kRst, false));
  EXPECT_EQ(Tell(Folded(IPPROTO_TCP, victim_, 80, kAck, true)).first.stage, Stage::kOpened) << "by resets";
  Tell(Folded(IPPROTO_TCP, victim_, 80, kSynAck, false));
  Tell(Folded(IPPROTO_TCP, victim_, 80, kPsh | kAck, false));
  EXPECT_EQ(Tell(Folded(IPPROTO_TCP, victim_, 80, kAck, true)).first.stage, Stage::kCompleted);
}

TEST_F(FoldedContactTest, Datagrams_AreTalkIfAboutAsManyComeBack) {
  EXPECT_EQ(Tell(Folded(IPPROTO_UDP, victim_, 53, 0, true)).first.stage, Stage::kOpened);
  Tell(Folded(IPPROTO_UDP, victim_, 53, 0, false));
  EXPECT_EQ(Tell(Folded(IPPROTO_UDP, victim_, 53, 0, true)).first.stage, Stage::kTalked);
}

TEST_F(FoldedContactTest, Fragments_AreTheRestOfSomething) {
  FlowDelta delta = Folded(IPPROTO_UDP, victim_, 0, 0, true);
  EXPECT_FALSE(Tell(delta).first.fragment_rest) << "of many ports is not without ports";
  delta.fragments = true;
  EXPECT_TRUE(Tell(delta).first.fragment_rest);
}

// ---- the budgets ---------------------------------------------------------------------------------------------------

TEST(FlowBudget, OfOneEndpoint_TheOthersFollow) {
  MonitorOptions options;
  options.new_flows_per_second = 10'000;
  const knp_cpu_state two = datapath::EventBudget(options, 2, 1'000'000);
  EXPECT_EQ(two.flows_per_tick_q8[KNP_B_ENDPOINT], 10u * 256);
  EXPECT_EQ(two.flows_per_tick_q8[KNP_B_ADDRESS], 20u * 256);
  EXPECT_EQ(two.flows_per_tick_q8[KNP_B_TOTAL], 30u * 256);
  EXPECT_EQ(two.flow_burst_q8[KNP_B_ENDPOINT], 10'000u * 256);
  const knp_cpu_state many = datapath::EventBudget(options, 256, 4'000'000);
  EXPECT_EQ(many.flows_per_tick_q8[KNP_B_ENDPOINT], 40u * 256) << "any CPU may have all packets of an endpoint";
  EXPECT_EQ(many.flows_per_tick_q8[KNP_B_TOTAL], 80u * 256);
}

TEST(FlowBudget, Zero_FoldsNothing) {
  MonitorOptions options;
  options.new_flows_per_second = 0;
  EXPECT_EQ(datapath::EventBudget(options, 2, 1'000'000).flow_burst_q8[KNP_B_ENDPOINT], 0u);
  EXPECT_EQ(ReplayOptions().monitor.new_flows_per_second, 0u) << "a capture is read for its detail";
}

TEST(FlowBudget, Extremes_StayInTheirFields) {
  MonitorOptions options;
  for (const std::uint32_t rate : {1u, 4'294'967'295u}) {
    options.new_flows_per_second = rate;
    const knp_cpu_state state = datapath::EventBudget(options, 1, 10'000'000);
    for (int i = 0; i < KNP_BUDGETS; i++) {
      EXPECT_GE(state.flows_per_tick_q8[i], 1u) << "it must refill";
      EXPECT_GE(state.flow_burst_q8[i], 256u);
    }
  }
}

TEST(FoldedReplay, OnTheHost_FoldsWhenAsked) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  for (const std::uint32_t rate : {0u, 100u}) {
    test::RecordingSink sink;
    MonitorOptions options;
    options.new_flows_per_second = rate;
    auto engine = datapath::ReplayEngine::Create(options, &sink, datapath::ReplayEngine::Mode::kNative);
    ASSERT_TRUE(engine.ok()) << engine.status();
    ASSERT_TRUE((*engine)->AddInterface().ok());
    for (unsigned i = 0; i < 5000; i++) {
      const Bytes bytes = Join({Ethernet(0x0800), Ipv4({}, Tcp({.sport = 1 + i}))});
      datapath::ReplayFrame frame;
      frame.data = bytes;
      frame.length = static_cast<std::uint32_t>(bytes.size());
      frame.time_ns = kEpoch + std::uint64_t{i} * 1'000'000;  // five seconds
      ASSERT_TRUE((*engine)->Run(frame).ok());
    }
    (*engine)->ScanAll();
    Count folded, all;
    for (const FlowDelta& delta : sink.deltas) {
      all += delta.count;
      if (delta.folded) folded += delta.count;
    }
    EXPECT_EQ(all.packets, 5000u);
    EXPECT_EQ((*engine)->ReadEventCounters().folded, folded);
    if (rate == 0) {
      EXPECT_EQ(folded.packets, 0u);
    } else {
      EXPECT_NEAR(static_cast<double>(folded.packets), 5000 - 600, 10) << "100 at once, and 100 a second";
    }
  }
}

}  // namespace
}  // namespace knp::flow
