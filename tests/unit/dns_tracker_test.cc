// Questions and their answers over UDP: matching, latency, timeouts, several interfaces, bounds.
#include <gtest/gtest.h>

#include <string>

#include "src/dns/tracker.h"
#include "tests/support/dns_samples.h"

namespace knp::dns {
namespace {

using knp::testing::Backwards;
using knp::testing::Bytes;
using knp::testing::DnsAddress;
using knp::testing::DnsClient;
using knp::testing::DnsHeader;
using knp::testing::DnsName;
using knp::testing::DnsQuery;
using knp::testing::DnsQuestion;
using knp::testing::DnsRecord;
using knp::testing::DnsResponse;
using knp::testing::DnsWatch;
using knp::testing::Ip;
using knp::testing::Join;
using knp::testing::kMs;
using knp::testing::kS;

const FlowTuple kClient = DnsClient();
const FlowTuple kServer = Backwards(kClient);

TEST(DnsTracker, QuestionAndAnswer_AreOneTransaction) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "www.example.com"), 1 * kS);
  const DnsDetail* detail = watch.tracker.Find(1);
  ASSERT_NE(detail, nullptr);
  EXPECT_EQ(detail->last.name, "www.example.com");
  EXPECT_FALSE(detail->last.rcode.has_value());
  EXPECT_TRUE(watch.completions.empty());

  watch.See(kServer, DnsResponse(7, "WWW.example.com", 1, {DnsAddress(1), DnsAddress(2)}), 1 * kS + 12 * kMs, 1, 0,
            Direction::kIngress);
  ASSERT_EQ(watch.completions.size(), 1u);
  const Completion& completion = watch.completions[0];
  EXPECT_EQ(completion.flow_id, 1u);
  EXPECT_EQ(completion.client, kClient);
  EXPECT_EQ(completion.mono_ns, 1 * kS + 12 * kMs);
  EXPECT_EQ(completion.transaction.id, 7);
  EXPECT_EQ(completion.transaction.name, "www.example.com");
  EXPECT_EQ(completion.transaction.type, 1);
  EXPECT_EQ(completion.transaction.rcode, 0);
  EXPECT_EQ(completion.transaction.answers, (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(completion.transaction.latency_ns, 12 * kMs);
  EXPECT_FALSE(completion.transaction.timed_out);
  detail = watch.tracker.Find(1);
  EXPECT_EQ(detail->queries, 1u);
  EXPECT_EQ(detail->responses, 1u);
  EXPECT_EQ(detail->timeouts, 0u);
  EXPECT_EQ(detail->malformed, 0u);
  EXPECT_EQ(detail->last.latency_ns, 12 * kMs);
}

TEST(DnsTracker, AAndAaaaUnderOneId_AreTwo) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com", 1), 1 * kS);
  watch.See(kClient, DnsQuery(7, "example.com", 28), 2 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 28, {}), 3 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 1, {DnsAddress(1)}), 4 * kS);
  ASSERT_EQ(watch.completions.size(), 2u);
  EXPECT_EQ(watch.completions[0].transaction.type, 28);
  EXPECT_EQ(watch.completions[0].transaction.latency_ns, 1 * kS);
  EXPECT_EQ(watch.completions[1].transaction.latency_ns, 3 * kS);
}

TEST(DnsTracker, AskedAgain_TheFirstTimeCounts) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.See(kClient, DnsQuery(7, "example.com"), 3 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 1, {}), 4 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 1, {}), 4 * kS + 1);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.latency_ns, 3 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 2u);
  EXPECT_EQ(watch.tracker.Find(1)->responses, 2u);
}

TEST(DnsTracker, WrongIdNameTypeOrPlace_IsNoAnswer) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.See(kServer, DnsResponse(8, "example.com", 1, {DnsAddress(6)}), 1 * kS);
  watch.See(kServer, DnsResponse(7, "example.org", 1, {DnsAddress(6)}), 1 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 28, {}), 1 * kS);
  watch.See(Backwards(DnsClient(1, IPPROTO_UDP, 40001)), DnsResponse(7, "example.com", 1, {DnsAddress(6)}), 1 * kS, 2);
  watch.See(Backwards(DnsClient(2)), DnsResponse(7, "example.com", 1, {DnsAddress(6)}), 1 * kS, 3);
  EXPECT_TRUE(watch.completions.empty());
  EXPECT_EQ(watch.tracker.Find(1)->responses, 3u);
  EXPECT_EQ(watch.tracker.names().size(), 0u);
  EXPECT_FALSE(watch.tracker.Find(1)->last.rcode.has_value());
  // Where no question was seen, the answer shows what the conversation is about.
  EXPECT_EQ(watch.tracker.Find(3)->last.name, "example.com");
  EXPECT_FALSE(watch.tracker.Find(3)->last.latency_ns.has_value());
}

TEST(DnsTracker, AnswerWithoutQuestion_IsMatchedByTheIdAlone) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.See(kServer, DnsHeader(7, 0x8001, 0, 0), 2 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.rcode, 1);
  EXPECT_EQ(watch.completions[0].transaction.name, "example.com");
}

TEST(DnsTracker, CutAndTruncatedAnswers_CompleteTheTransaction) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  Bytes bytes = DnsResponse(7, "example.com", 1, {DnsAddress(1), DnsAddress(2)}, 0x8380);
  const std::size_t length = bytes.size();
  bytes.resize(length - 3);
  watch.SeePart(kServer, bytes, length, 0, 2 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_TRUE(watch.completions[0].transaction.truncated);
  EXPECT_EQ(watch.completions[0].transaction.answers, std::vector<std::string>{"192.0.2.1"});
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 0u);
}

TEST(DnsTracker, BrokenAnswer_IsAnAnswerAndNamesNothing) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 1, {DnsAddress(1), Bytes(20, 0xff)}), 2 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.latency_ns, 1 * kS);
  EXPECT_EQ(watch.tracker.names().size(), 0u);
}

TEST(DnsTracker, NoAnswerInTime_IsATimeoutOnce) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.tracker.Advance(6 * kS - 1, 100);
  EXPECT_TRUE(watch.completions.empty());
  watch.tracker.Advance(6 * kS, 100);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_TRUE(watch.completions[0].transaction.timed_out);
  EXPECT_EQ(watch.completions[0].mono_ns, 6 * kS);
  EXPECT_FALSE(watch.completions[0].transaction.latency_ns.has_value());
  EXPECT_FALSE(watch.completions[0].transaction.rcode.has_value());
  EXPECT_EQ(watch.tracker.Find(1)->timeouts, 1u);
  EXPECT_TRUE(watch.tracker.Find(1)->last.timed_out);

  // A late one is an answer to nothing, and names nothing.
  watch.See(kServer, DnsResponse(7, "example.com", 1, {DnsAddress(1)}), 7 * kS);
  watch.tracker.Advance(60 * kS, 100);
  EXPECT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.tracker.Find(1)->responses, 1u);
  EXPECT_EQ(watch.tracker.names().size(), 0u);
}

TEST(DnsTracker, LateAnswerBeforeTheClockWasAdvanced_IsATimeoutToo) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.See(kServer, DnsResponse(7, "example.com", 1, {DnsAddress(1)}), 6 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_TRUE(watch.completions[0].transaction.timed_out);
  EXPECT_EQ(watch.tracker.Find(1)->timeouts, 1u);
  EXPECT_EQ(watch.tracker.Find(1)->responses, 1u);

  // Asked again after the time is a new question.
  watch.See(kClient, DnsQuery(8, "example.com"), 10 * kS);
  watch.See(kClient, DnsQuery(8, "example.com"), 1000 * kS);
  watch.See(kServer, DnsResponse(8, "example.com", 1, {}), 1001 * kS);
  ASSERT_EQ(watch.completions.size(), 3u);
  EXPECT_TRUE(watch.completions[1].transaction.timed_out);
  EXPECT_EQ(watch.completions[2].transaction.latency_ns, 1 * kS);
}

TEST(DnsTracker, Advance_DoesAtMostWhatItIsAllowed) {
  DnsWatch watch;
  for (std::uint16_t i = 0; i < 10; ++i) watch.See(kClient, DnsQuery(i, "example.com"), 1 * kS);
  watch.tracker.Advance(60 * kS, 4);
  EXPECT_EQ(watch.completions.size(), 4u);
  watch.tracker.Advance(60 * kS, 100);
  EXPECT_EQ(watch.completions.size(), 10u);
}

TEST(DnsTracker, Finish_TellsOnlyTimeoutsThatHaveCome) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "old.example.com"), 1 * kS);
  watch.See(kClient, DnsQuery(8, "new.example.com"), 5 * kS);
  watch.tracker.Finish(6 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.name, "old.example.com");
  watch.tracker.Advance(100 * kS, 100);
  EXPECT_EQ(watch.completions.size(), 1u);
}

TEST(DnsTracker, SeveralInterfaces_CountOnce) {
  DnsWatch watch;
  for (const InterfaceId interface : {3u, 1u, 2u}) {
    watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS + interface * kMs, 1, interface, Direction::kIngress);
    watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS + interface * kMs, 1, interface, Direction::kEgress);
  }
  for (const InterfaceId interface : {1u, 2u, 3u})
    watch.See(kServer, DnsResponse(7, "example.com", 1, {}), 2 * kS + interface * kMs, 1, interface);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].interface, 3u);
  EXPECT_EQ(watch.completions[0].transaction.latency_ns, 1 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 1u);
  EXPECT_EQ(watch.tracker.Find(1)->responses, 1u);
}

TEST(DnsTracker, InterfaceThatWentAway_IsReplaced) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS, 1, 3);
  watch.See(kClient, DnsQuery(8, "example.com"), 20 * kS, 1, 4);
  watch.See(kServer, DnsResponse(8, "example.com", 1, {}), 21 * kS, 1, 4);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 2u);
  ASSERT_EQ(watch.completions.size(), 2u);
  EXPECT_EQ(watch.completions[1].transaction.latency_ns, 1 * kS);
}

TEST(DnsTracker, OtherServicesAndConversationsWithoutId_AreIgnored) {
  DnsWatch watch;
  watch.See(DnsClient(1, IPPROTO_UDP, 40000, 123), DnsQuery(7, "example.com"), 1 * kS);
  watch.See(DnsClient(1, IPPROTO_SCTP), DnsQuery(7, "example.com"), 1 * kS, 2);
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS, 0);
  EXPECT_EQ(watch.tracker.Find(1), nullptr);
  EXPECT_EQ(watch.tracker.Find(2), nullptr);
  EXPECT_EQ(watch.tracker.Find(0), nullptr);
  EXPECT_EQ(watch.tracker.statistics().messages, 0u);
}

TEST(DnsTracker, NoDnsOnItsPort_IsMalformed) {
  DnsWatch watch;
  watch.See(kClient, Bytes(40, 0xff), 1 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 1u);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 0u);
  EXPECT_EQ(watch.tracker.statistics().malformed, 1u);
}

TEST(DnsTracker, Updates_AreCountedAndNotWaitedFor) {
  DnsWatch watch;
  watch.See(kClient, Join({DnsHeader(7, 5u << 11, 1, 0), DnsQuestion("example.com", 6)}), 1 * kS);
  watch.tracker.Advance(60 * kS, 10);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 1u);
  EXPECT_TRUE(watch.completions.empty());
}

TEST(DnsTracker, MulticastNames_HaveNoLatencyAndNoTimeouts) {
  for (const std::uint16_t port : {5353, 5355}) {
    DnsWatch watch;
    const FlowTuple client = DnsClient(1, IPPROTO_UDP, port == 5353 ? port : 40000, port);
    watch.See(client, DnsQuery(0, "printer.local"), 1 * kS);
    EXPECT_EQ(watch.tracker.Find(1)->last.name, "printer.local");
    watch.See(Backwards(client),
              Join({DnsHeader(0, 0x8400, 0, 1), DnsRecord(DnsName("desk.local"), 1, 120, {192, 0, 2, 7})}), 2 * kS);
    EXPECT_EQ(watch.tracker.Find(1)->last.name, "desk.local");
    EXPECT_EQ(watch.tracker.Find(1)->last.answers, std::vector<std::string>{"192.0.2.7"});
    watch.tracker.Advance(100 * kS, 100);
    EXPECT_TRUE(watch.completions.empty());
    EXPECT_EQ(watch.tracker.Find(1)->timeouts, 0u);
    EXPECT_EQ(watch.tracker.names().size(), 0u);
  }
}

TEST(DnsTracker, OutstandingQuestions_AreBounded) {
  Tracker::Options options;
  options.queries = 100;
  DnsWatch watch(options);
  for (std::uint16_t i = 0; i < 1000; ++i) watch.See(kClient, DnsQuery(i, "example.com"), 1 * kS);
  EXPECT_EQ(watch.tracker.statistics().evicted_queries, 900u);
  watch.See(kServer, DnsResponse(999, "example.com", 1, {}), 2 * kS);
  watch.See(kServer, DnsResponse(0, "example.com", 1, {}), 2 * kS);
  EXPECT_EQ(watch.completions.size(), 1u);
  watch.tracker.Advance(100 * kS, 10000);
  EXPECT_EQ(watch.completions.size(), 100u);
}

TEST(DnsTracker, ManyNamesUnderOneId_AreBounded) {
  DnsWatch watch;
  for (int i = 0; i < 1000; ++i) watch.See(kClient, DnsQuery(7, std::to_string(i)), 1 * kS);
  EXPECT_EQ(watch.tracker.statistics().evicted_queries, 992u);
  for (int i = 0; i < 1000; ++i) watch.See(kServer, DnsResponse(7, std::to_string(i), 1, {}), 2 * kS);
  EXPECT_EQ(watch.completions.size(), 8u);
  EXPECT_EQ(watch.completions[0].transaction.name, "992");
}

TEST(DnsTracker, Conversations_AreBoundedByNumber) {
  Tracker::Options options;
  options.flows = 10;
  DnsWatch watch(options);
  for (std::uint16_t i = 1; i <= 100; ++i)
    watch.See(DnsClient(1, IPPROTO_UDP, static_cast<std::uint16_t>(40000 + i)), DnsQuery(7, "example.com"), 1 * kS, i);
  EXPECT_EQ(watch.tracker.statistics().evicted_flows, 90u);
  EXPECT_EQ(watch.tracker.Find(90), nullptr);
  EXPECT_NE(watch.tracker.Find(91), nullptr);
  // Its question is not lost with it.
  watch.tracker.Advance(60 * kS, 1000);
  EXPECT_EQ(watch.completions.size(), 100u);
}

TEST(DnsTracker, Conversations_AreBoundedByTheirTexts) {
  Tracker::Options options;
  options.flow_text_bytes = 10'000;
  DnsWatch watch(options);
  const std::string name(60, 'x');
  for (std::uint16_t i = 1; i <= 1000; ++i)
    watch.See(DnsClient(1, IPPROTO_UDP, static_cast<std::uint16_t>(30000 + i)), DnsQuery(7, name), 1 * kS, i);
  EXPECT_EQ(watch.tracker.statistics().evicted_flows, 1000u - 10'000 / 60);
  EXPECT_NE(watch.tracker.Find(1000), nullptr);
}

TEST(DnsTracker, Forget_LeavesNothing) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "example.com"), 1 * kS);
  watch.tracker.Forget(1);
  watch.tracker.Forget(1);
  EXPECT_EQ(watch.tracker.Find(1), nullptr);
  watch.tracker.Advance(60 * kS, 100);
  EXPECT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.tracker.Find(1), nullptr);
}

TEST(DnsTracker, Names_ComeFromAnswersThatWereAskedFor) {
  DnsWatch watch;
  watch.See(kClient, DnsQuery(7, "www.example.com"), 1 * kS);
  watch.See(kServer, DnsResponse(7, "www.example.com", 1, {DnsAddress(1)}), 2 * kS);
  EXPECT_EQ(watch.tracker.names().Find(Ip("10.0.0.1"), Ip("192.0.2.1"), 3 * kS), "www.example.com");
  EXPECT_EQ(watch.tracker.names().Find(Ip("10.0.0.2"), Ip("192.0.2.1"), 3 * kS), "");
  // The same answer again, with another address: nobody asked.
  watch.See(kServer, DnsResponse(7, "www.example.com", 1, {DnsAddress(66)}), 3 * kS);
  EXPECT_EQ(watch.tracker.names().Find(Ip("10.0.0.1"), Ip("192.0.2.66"), 3 * kS), "");
}

}  // namespace
}  // namespace knp::dns
