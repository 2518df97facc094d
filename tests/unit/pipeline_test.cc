// What stands between the data plane and the handlers: names and applications come to the records of the conversations
// that they are of, and nothing is kept of what is over.
#include "src/monitor/pipeline.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/tcp_flags.h"
#include "tests/support/dns_bytes.h"
#include "tests/support/flow_table_fixture.h"

namespace knp::monitor {
namespace {

using flow::Delta;
using flow::kSecond;
using flow::Reverse;
using flow::Tuple;

class PipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    handlers_.Set([](const Event&) {});
    handlers_.Set([](const FlowRecord&) {});
    Make({});
  }
  void Make(const MonitorOptions& options) {
    pipeline_ = std::make_unique<Pipeline>(
        options,
        Pipeline::Source{.interface_name = [this](InterfaceId) -> const std::string& { return name_; },
                         .vantage = nullptr,
                         .unix_ns = [](std::uint64_t mono_ns) { return flow::kEpoch + mono_ns; },
                         .packets_seen = [] { return std::uint64_t{0}; }},
        &handlers_);
    ASSERT_TRUE(pipeline_->Open().ok());
  }
  void Pay(const FlowTuple& tuple, const testing::Bytes& bytes, std::uint64_t mono_ns) {
    PayloadSample sample;
    sample.tuple = tuple;
    sample.mono_ns = mono_ns;
    sample.tcp_flags = tuple.protocol == IPPROTO_TCP ? kAck | kPsh : 0;
    sample.sequence = 1;
    sample.length = static_cast<std::uint32_t>(bytes.size());
    sample.data = bytes;
    pipeline_->OnPayload(sample);
  }
  // 10.0.0.1 asks for a name whose address is 192.0.2.7.
  void Ask(const std::string& name, std::uint64_t at_ns) {
    Pay(kQuestion, testing::DnsQuery(7, name), at_ns);
    Pay(Reverse(kQuestion), testing::DnsResponse(7, name, 1, {testing::DnsAddress(7)}), at_ns + 2'000'000);
  }
  FlowRecord RecordOf(const FlowTuple& tuple) {
    FlowRecord found;
    pipeline_->flows().Visit([&](const FlowRecord& record) {
      if (record.source.port == tuple.source_port && record.protocol == tuple.protocol) found = record;
    });
    return found;
  }
  template <typename Kind>
  std::vector<Kind> Told() {
    std::vector<Kind> told;
    for (const Message& message : pipeline_->outbox())
      if (const Kind* one = std::get_if<Kind>(&message)) told.push_back(*one);
    return told;
  }

  const FlowTuple kQuestion = Tuple(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.53", 53);
  const FlowTuple kThere = Tuple(IPPROTO_TCP, "10.0.0.1", 41000, "192.0.2.7", 8080);
  std::string name_ = "eth0";
  Handlers handlers_;
  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(PipelineTest, NameWasAskedFor_LabelsTheClientsPeerAndNobodyElses) {
  Ask("shop.example", 10 * kSecond);
  pipeline_->Advance(11 * kSecond, 1000);
  const FlowTuple other = Tuple(IPPROTO_TCP, "10.0.0.2", 42000, "192.0.2.7", 8080);
  pipeline_->OnDelta(Delta(kThere));
  pipeline_->OnDelta(Delta(other));
  EXPECT_EQ(RecordOf(kThere).destination.dns_name, "shop.example");
  EXPECT_EQ(RecordOf(other).destination.dns_name, "");
}

TEST_F(PipelineTest, NameOfAConversation_OutlivesTheAnswer) {
  Ask("shop.example", 10 * kSecond);
  pipeline_->Advance(11 * kSecond, 1000);
  pipeline_->OnDelta(flow::At(Delta(kThere), 11 * kSecond, 100'000 * kSecond));
  ASSERT_EQ(RecordOf(kThere).destination.dns_name, "shop.example");
  pipeline_->Advance(100'001 * kSecond, 1000);
  EXPECT_EQ(RecordOf(kThere).destination.dns_name, "shop.example");
}

TEST_F(PipelineTest, QuestionAndAnswer_AreAnEventAndOnTheFlow) {
  pipeline_->OnDelta(Delta(kQuestion));
  Ask("shop.example", 10 * kSecond);
  const std::vector<Event> events = Told<Event>();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, EventType::kDns);
  EXPECT_EQ(events[0].source.ip.ToString(), "10.0.0.1");
  EXPECT_EQ(events[0].destination.port, 53);
  ASSERT_TRUE(events[0].dns);
  EXPECT_EQ(events[0].dns->name, "shop.example");
  EXPECT_EQ(events[0].dns->latency_ns, 2'000'000u);
  const FlowRecord record = RecordOf(kQuestion);
  EXPECT_EQ(record.id, events[0].flow_id);
  ASSERT_TRUE(record.dns);
  EXPECT_EQ(record.dns->responses, 1u);
}

TEST_F(PipelineTest, PayloadOnAnOddPort_TellsTheApplication) {
  const std::string request = "GET /a HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: x\r\n\r\n";
  pipeline_->OnDelta(Delta(kThere));
  Pay(kThere, {request.begin(), request.end()}, 10 * kSecond);
  const FlowRecord record = RecordOf(kThere);
  ASSERT_TRUE(record.app);
  EXPECT_EQ(record.app->protocol, "HTTP");
  EXPECT_EQ(record.app->http_host, "shop.example");
}

TEST_F(PipelineTest, ApplicationsAreNotWanted_NoneIsTold) {
  MonitorOptions options;
  options.identify_applications = false;
  Make(options);
  const std::string request = "GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n";
  pipeline_->OnDelta(Delta(kThere));
  Pay(kThere, {request.begin(), request.end()}, 10 * kSecond);
  EXPECT_FALSE(RecordOf(kThere).app);
}

TEST_F(PipelineTest, TheLastRecord_StillKnowsEverything) {
  Ask("shop.example", 10 * kSecond);
  pipeline_->Advance(11 * kSecond, 1000);
  pipeline_->OnDelta(Delta(kThere));
  pipeline_->OnDelta(Delta(kQuestion));
  pipeline_->outbox().clear();
  pipeline_->Close(12 * kSecond);
  EXPECT_TRUE(pipeline_->EndSome(1000));
  const std::vector<FlowRecord> records = Told<FlowRecord>();
  ASSERT_EQ(records.size(), 2u);
  for (const FlowRecord& record : records) {
    EXPECT_TRUE(record.final);
    EXPECT_TRUE(record.dns.has_value() != !record.destination.dns_name.empty());
  }
}

TEST_F(PipelineTest, EchoesAndThirdPackets_AreNoEvents) {
  PacketNotice notice = flow::Notice(kThere, kAck);
  notice.kind = PacketNotice::Kind::kHandshakeAcked;
  pipeline_->OnNotice(notice);
  notice = flow::Notice(flow::Icmp(8, 0, 1, "10.0.0.1", "10.0.0.2"));
  notice.kind = PacketNotice::Kind::kEcho;
  pipeline_->OnNotice(notice);
  EXPECT_TRUE(Told<Event>().empty());
}

TEST_F(PipelineTest, ListOfKnownBadAddresses_ReadToldAndInForce) {
  const std::string path = ::testing::TempDir() + "knp_pipeline_known_bad_" + std::to_string(::getpid());
  std::ofstream(path) << "192.0.2.0/24 a feed\nnonsense\n";
  MonitorOptions options;
  options.detection.anomaly.known_bad_file = path;
  Make(options);
  std::remove(path.c_str());
  pipeline_->Housekeep(10 * kSecond);
  std::vector<std::string> told;
  for (const Event& event : Told<Event>())
    if (event.type == EventType::kKnownBadList) told.push_back(event.detail);
  ASSERT_EQ(told.size(), 3u) << "a bad line, what was read, and that the file is gone";
  EXPECT_NE(told[0].find(path + ":2: 'nonsense'"), std::string::npos);
  pipeline_->OnDelta(Delta(kThere, 2));
  pipeline_->Advance(11 * kSecond, 1000);
  const std::vector<Alert> alerts = Told<Alert>();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].type, "anomaly.known_bad");
  EXPECT_EQ(alerts[0].severity, "medium");
}

TEST_F(PipelineTest, ListThatIsMissing_RefusedAtTheStart) {
  MonitorOptions options;
  options.detection.anomaly.known_bad_file = "/nowhere/list";
  Pipeline pipeline(options,
                    Pipeline::Source{.interface_name = [this](InterfaceId) -> const std::string& { return name_; },
                                     .vantage = nullptr,
                                     .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; },
                                     .packets_seen = [] { return std::uint64_t{0}; }},
                    &handlers_);
  EXPECT_NE(std::string(pipeline.Open().message()).find("/nowhere/list"), std::string::npos);
}

TEST_F(PipelineTest, PacketsWithOddFlags_ReachTheDetectorOneByOne) {
  for (std::uint16_t port = 1; port <= 3; port++) {
    PacketNotice notice;
    notice.kind = PacketNotice::Kind::kSecurityCandidate;
    notice.tuple = Tuple(IPPROTO_TCP, "198.51.100.9", 50000, "10.0.0.1", port);
    notice.tcp_flags = 3;  // SYN, FIN
    notice.mono_ns = 10 * kSecond;
    pipeline_->OnNotice(notice);
  }
  pipeline_->Advance(11 * kSecond, 1000);
  const std::vector<Alert> alerts = Told<Alert>();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].type, "anomaly.odd_flags");
}

}  // namespace
}  // namespace knp::monitor
