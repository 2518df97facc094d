// The ring of flows and a client's way through it, without gRPC.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "proto/knp/flow_extension.pb.h"
#include "src/export/hubble/flow_query.h"
#include "tests/agent/hubble_records.h"

namespace knp::hubble {
namespace {

FlowLog::Options LogOptions(std::size_t capacity) {
  FlowLog::Options options;
  options.ring_capacity = capacity;
  options.mapper.node_name = "node-a";
  return options;
}

observer::GetFlowsRequest Request(const std::string& text) {
  observer::GetFlowsRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

// Conversation `id` was seen `id` seconds after `base`.
constexpr std::uint64_t kBase = 1'700'000'000 * kSecond;
void Feed(FlowLog* log, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t id = from; id <= to; id++) {
    FlowRecord record = WebToDb(id);
    record.end_unix_ns = kBase + id * kSecond;
    record.destination.port = static_cast<std::uint16_t>(id % 2 ? 80 : 443);
    log->OnFlow(record);
  }
}

std::uint64_t IdOf(const FlowLog& log, const FlowRing::Entry& entry) {
  kubenetprobe::hubble::FlowDetail detail;
  entry->Message(log.mapper()).extensions().UnpackTo(&detail);
  return detail.flow_id();
}

// The ids of what a query finds until it ends or waits.
std::vector<std::uint64_t> Found(const FlowLog& log, FlowQuery* query, std::uint64_t* lost = nullptr) {
  std::vector<std::uint64_t> ids;
  for (std::uint64_t now = 1;; now += FlowQuery::kLostEveryNs) {
    switch (query->Next(now)) {
      case FlowQuery::Step::kFlow: ids.push_back(IdOf(log, query->entry())); break;
      case FlowQuery::Step::kLost:
        if (const auto taken = query->TakeLost(now); lost) *lost += taken.flows;
        break;
      case FlowQuery::Step::kMore: break;
      default: return ids;
    }
  }
}

std::vector<std::uint64_t> Ask(const FlowLog& log, const std::string& request) {
  auto query = FlowQuery::Create(Request(request), log);
  EXPECT_TRUE(query.ok()) << query.status();
  return Found(log, &*query);
}

using Ids = std::vector<std::uint64_t>;

TEST(HubbleQuery, Number_IsTheNewest_AndWithFirstTheOldest) {
  FlowLog log(LogOptions(100));
  Feed(&log, 1, 10);
  EXPECT_EQ(Ask(log, "number: 3"), (Ids{8, 9, 10}));
  EXPECT_EQ(Ask(log, "number: 3 first: true"), (Ids{1, 2, 3}));
  EXPECT_EQ(Ask(log, ""), (Ids{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(Ask(log, "number: 18446744073709551615").size(), 10u);
  EXPECT_EQ(Ask(log, "number: 18446744073709551615 whitelist: {destination_port: '80'}").size(), 5u);
  EXPECT_EQ(Ask(log, "first: true").size(), 10u);
}

TEST(HubbleQuery, Number_CountsWhatIsWanted) {
  FlowLog log(LogOptions(1000));
  Feed(&log, 1, 900);
  EXPECT_EQ(Ask(log, "number: 2 whitelist: {destination_port: '80'}"), (Ids{897, 899}));
  EXPECT_EQ(Ask(log, "number: 2 first: true whitelist: {destination_port: '443'}"), (Ids{2, 4}));
  EXPECT_EQ(Ask(log, "number: 1 blacklist: {destination_port: '443'}"), (Ids{899}));
  EXPECT_EQ(Ask(log, "number: 5 whitelist: {destination_port: '1'}"), Ids{});
  EXPECT_EQ(Ask(log, "number: 450 whitelist: {destination_port: '80'}").size(), 450u);
}

TEST(HubbleQuery, SinceAndUntil_BoundTheTime) {
  FlowLog log(LogOptions(100));
  Feed(&log, 1, 10);
  EXPECT_EQ(Ask(log, "since: {seconds: 1700000008}"), (Ids{8, 9, 10}));
  EXPECT_EQ(Ask(log, "until: {seconds: 1700000002}"), (Ids{1, 2}));
  EXPECT_EQ(Ask(log, "since: {seconds: 1700000003} until: {seconds: 1700000004}"), (Ids{3, 4}));
  EXPECT_EQ(Ask(log, "since: {seconds: 1700000003} number: 2"), (Ids{3, 4}));
  EXPECT_EQ(Ask(log, "until: {seconds: 1700000005} number: 2"), (Ids{4, 5}));
  EXPECT_EQ(Ask(log, "since: {seconds: 1700000007} whitelist: {destination_port: '80'}"), (Ids{7, 9}));
  EXPECT_EQ(Ask(log, "since: {seconds: -62135596800}").size(), 10u);
  EXPECT_EQ(Ask(log, "since: {seconds: 253402300799}").size(), 0u);
}

TEST(HubbleQuery, Follow_GoesOn) {
  FlowLog log(LogOptions(100));
  Feed(&log, 1, 5);
  auto query = FlowQuery::Create(Request("follow: true"), log);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(Found(log, &*query), Ids{});
  Feed(&log, 6, 7);
  EXPECT_EQ(Found(log, &*query), (Ids{6, 7}));
  auto last = FlowQuery::Create(Request("follow: true number: 2"), log);
  EXPECT_EQ(Found(log, &*last), (Ids{6, 7}));
  Feed(&log, 8, 8);
  EXPECT_EQ(Found(log, &*last), (Ids{8}));
  auto since = FlowQuery::Create(Request("follow: true since: {seconds: 1700000007}"), log);
  EXPECT_EQ(Found(log, &*since), (Ids{7, 8}));
}

TEST(HubbleQuery, FollowUntil_EndsWithTheTime) {
  FlowLog log(LogOptions(100));
  auto query = FlowQuery::Create(Request("follow: true until: {seconds: 100}"), log);
  EXPECT_EQ(query->Next(99 * kSecond), FlowQuery::Step::kWait);
  EXPECT_EQ(query->Next(101 * kSecond), FlowQuery::Step::kEnd);
}

TEST(HubbleQuery, WithoutFollow_EndsWithWhatWasThere) {
  FlowLog log(LogOptions(100));
  Feed(&log, 1, 3);
  auto query = FlowQuery::Create(Request(""), log);
  EXPECT_EQ(query->Next(1), FlowQuery::Step::kFlow);
  Feed(&log, 4, 20);
  EXPECT_EQ(Found(log, &*query), (Ids{2, 3}));
}

TEST(HubbleQuery, SlowReader_LosesAndIsToldHowMuch_OnceASecond) {
  FlowLog log(LogOptions(32));
  auto query = FlowQuery::Create(Request("follow: true"), log);
  EXPECT_EQ(query->Next(kSecond), FlowQuery::Step::kWait);
  Feed(&log, 1, 100);  // 68 of which are gone
  ASSERT_EQ(query->Next(10 * kSecond), FlowQuery::Step::kLost);
  const auto lost = query->TakeLost(10 * kSecond);
  EXPECT_EQ(lost.flows, 68u);
  EXPECT_EQ(lost.first_unix_ns, 10 * kSecond);
  ASSERT_EQ(query->Next(10 * kSecond), FlowQuery::Step::kFlow);
  EXPECT_EQ(IdOf(log, query->entry()), 69u);
  Feed(&log, 101, 200);
  std::uint64_t flows = 1;
  FlowQuery::Step step = FlowQuery::Step::kFlow;
  while ((step = query->Next(10 * kSecond + kSecond / 2)) == FlowQuery::Step::kFlow) flows++;
  EXPECT_EQ(step, FlowQuery::Step::kWait);  // the second loss has to wait for its second
  ASSERT_EQ(query->Next(11 * kSecond), FlowQuery::Step::kLost);
  EXPECT_EQ(flows + 68 + query->TakeLost(11 * kSecond).flows, 200u);
}

TEST(HubbleQuery, LostBeforeTheEnd_IsTold) {
  FlowLog log(LogOptions(32));
  Feed(&log, 1, 32);
  auto query = FlowQuery::Create(Request("first: true"), log);
  ASSERT_EQ(query->Next(kSecond), FlowQuery::Step::kFlow);
  Feed(&log, 33, 200);
  std::uint64_t lost = 0;
  const Ids rest = Found(log, &*query, &lost);
  EXPECT_EQ(1 + rest.size() + lost, 32u);
}

TEST(HubbleQuery, BadRequest_IsRefused) {
  FlowLog log(LogOptions(8));
  for (const char* bad : {"first: true follow: true", "since: {seconds: 999999999999}", "until: {nanos: -1}",
                          "whitelist: {source_ip: 'x'}", "blacklist: {source_ip: 'x'}", "field_mask: {paths: 'x'}"}) {
    const auto query = FlowQuery::Create(Request(bad), log);
    ASSERT_FALSE(query.ok()) << bad;
    EXPECT_EQ(query.status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_NE(std::string(FlowQuery::Create(Request("blacklist: {source_ip: 'x'}"), log).status().message())
                .find("blacklist: source_ip: 'x'"),
            std::string::npos);
}

TEST(HubbleQuery, MuchToLookAt_GivesOthersATurn) {
  FlowLog log(LogOptions(4095));
  Feed(&log, 1, 4000);
  auto query = FlowQuery::Create(Request("first: true whitelist: {destination_port: '1'}"), log);
  EXPECT_EQ(query->Next(1), FlowQuery::Step::kMore);
  EXPECT_EQ(Found(log, &*query), Ids{});
}

// Bytes of a rich request, changed here and there: whatever still is a request is refused or answered.
TEST(HubbleQuery, RequestsOfGarbage_AreRefusedOrAnswered) {
  FlowLog log(LogOptions(64));
  Feed(&log, 1, 40);
  log.OnFlow(DnsQuestion(100, "web.shop"));
  log.OnFlow(HttpExchange(101, "/a?b", 404));
  const std::string good =
      Request(
          "number: 9 since: {seconds: 1} until: {seconds: 1800000000} field_mask: {paths: ['source.labels', "
          "'l4.TCP.flags', "
          "'Summary']} whitelist: {source_ip: '10.0.0.0/8' source_label: 'app in (web, db), !x, tier > 2' dns_query: "
          "'(a|b)*c{1,9}' "
          "source_fqdn: '*.a.b' node_name: 'a/b*' http_status_code: '4+' source_port: '80'} blacklist: {http_path: "
          "'[a-z]+$' "
          "source_pod: 'shop/' destination_label: 'k8s:app!=web' protocol: 'http' tcp_flags: {SYN: true}}")
          .SerializeAsString();
  const google::protobuf::LogSilencer silent;  // of texts that are no UTF-8
  std::mt19937 random(7);
  int requests = 0, answered = 0;
  for (int i = 0; i < 30'000; i++) {
    std::string bytes = good;
    for (unsigned changes = 1 + random() % 3; changes > 0; changes--) {
      const std::size_t at = random() % bytes.size();
      if (random() % 4 == 0) {
        bytes.erase(at, 1 + random() % 3);
      } else {
        bytes[at] = static_cast<char>(random() % 2 ? 32 + random() % 95 : random());
      }
    }
    observer::GetFlowsRequest request;
    if (!request.ParseFromString(bytes)) continue;
    requests++;
    request.set_follow(false);
    auto query = FlowQuery::Create(request, log);
    if (!query.ok()) {
      EXPECT_EQ(query.status().code(), absl::StatusCode::kInvalidArgument);
      continue;
    }
    answered++;
    ::flow::Flow cut;
    for (FlowQuery::Step step = query->Next(1); step != FlowQuery::Step::kEnd; step = query->Next(1))
      if (step == FlowQuery::Step::kFlow && query->mask().active())
        query->mask().Copy(query->entry()->Message(log.mapper()), &cut);
  }
  EXPECT_GT(requests, 1000);
  EXPECT_GT(answered, 100);
}

// Under TSAN: one writes, others read what they can; what each got and lost is all there was.
TEST(HubbleQuery, ReadersAndWriter_AtOnce_LoseNothingUncounted) {
  FlowLog log(LogOptions(256));
  constexpr std::uint64_t kFlows = 20'000;
  std::atomic<bool> written{false};
  std::atomic<int> begun{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; i++)
    readers.emplace_back([&] {
      auto query = FlowQuery::Create(Request("follow: true number: 1"), log);
      std::uint64_t found = Found(log, &*query).size(), lost = 0;
      begun++;
      while (true) {
        const bool last = written;
        found += Found(log, &*query, &lost).size();
        if (last) break;
      }
      EXPECT_EQ(found + lost, kFlows);
    });
  while (begun < 3) std::this_thread::yield();
  Feed(&log, 1, kFlows);
  written = true;
  for (auto& reader : readers) reader.join();
}

TEST(HubbleLog, NamespacesAndRate_AreOfWhatWasSeen) {
  FlowLog log(LogOptions(100));
  for (std::uint64_t id = 1; id <= 60; id++) {
    FlowRecord record = WebToDb(id);
    if (id == 1) record.destination.identity = Pod("kube-system", "coredns", "coredns");
    log.OnFlow(record);
  }
  FlowRecord old = WebToDb(61);
  old.end_unix_ns = NowNs() - 2 * 3600 * kSecond;
  old.source.identity = Pod("gone", "x", "x");
  log.OnFlow(old);
  EXPECT_EQ(log.Namespaces(), (std::vector<std::string>{"kube-system", "shop"}));
  EXPECT_DOUBLE_EQ(log.FlowsPerSecond(), 1.0);
}

}  // namespace
}  // namespace knp::hubble
