// DNS over TCP: messages put together from segments, whatever happens to these.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/dns_samples.h"

namespace knp::dns {
namespace {

using knp::testing::Backwards;
using knp::testing::Be16;
using knp::testing::Bytes;
using knp::testing::DnsAddress;
using knp::testing::DnsClient;
using knp::testing::DnsQuery;
using knp::testing::DnsResponse;
using knp::testing::DnsWatch;
using knp::testing::Join;
using knp::testing::kS;

const FlowTuple kClient = DnsClient(1, IPPROTO_TCP);
const FlowTuple kServer = Backwards(kClient);

Bytes Framed(const Bytes& message) { return Join({Be16(static_cast<unsigned>(message.size())), message}); }

Bytes Part(const Bytes& bytes, std::size_t from, std::size_t to) {
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

const Bytes kTwoQueries = Join({Framed(DnsQuery(1, "one.example.com")), Framed(DnsQuery(2, "two.example.com"))});

TEST(DnsStream, SplitAnywhere_MessagesAreWhole) {
  for (std::size_t first = 0; first <= kTwoQueries.size(); ++first)
    for (std::size_t second = first; second <= kTwoQueries.size(); ++second) {
      DnsWatch watch;
      const std::uint32_t start = 0xfffffff0;  // the numbers wrap
      std::size_t from = 0;
      for (const std::size_t to : {first, second, kTwoQueries.size()}) {
        const Bytes part = Part(kTwoQueries, from, to);
        watch.SeePart(kClient, part, part.size(), start + static_cast<std::uint32_t>(from), 1 * kS);
        from = to;
      }
      ASSERT_EQ(watch.tracker.Find(1)->queries, 2u) << first << ' ' << second;
      ASSERT_EQ(watch.tracker.Find(1)->malformed, 0u);
      ASSERT_EQ(watch.tracker.Find(1)->last.name, "two.example.com");
    }
}

TEST(DnsStream, QuestionAndAnswer_AreMatched) {
  DnsWatch watch;
  const Bytes query = Framed(DnsQuery(1, "example.com"));
  const Bytes answer = Framed(DnsResponse(1, "example.com", 1, {DnsAddress(1)}));
  watch.SeePart(kClient, query, query.size(), 1000, 1 * kS);
  watch.SeePart(kServer, Part(answer, 0, 2), 2, 77, 2 * kS);  // as some servers do
  watch.SeePart(kServer, Part(answer, 2, answer.size()), answer.size() - 2, 79, 3 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.latency_ns, 2 * kS);
  EXPECT_EQ(watch.completions[0].transaction.answers, std::vector<std::string>{"192.0.2.1"});
}

TEST(DnsStream, SentAgain_CountsOnce) {
  const std::size_t half = 20, size = kTwoQueries.size();
  DnsWatch watch;
  const auto see = [&](std::size_t from, std::size_t to) {
    const Bytes part = Part(kTwoQueries, from, to);
    watch.SeePart(kClient, part, part.size(), static_cast<std::uint32_t>(5000 + from), 1 * kS);
  };
  see(0, half);
  see(0, half);
  see(5, half + 7);  // overlaps
  see(half, size);
  see(half + 10, size);
  see(0, size);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 2u);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 0u);
}

TEST(DnsStream, CutSegment_GivesACutMessageAndGoesOnBehindIt) {
  DnsWatch watch;
  const Bytes query = Framed(DnsQuery(1, "example.com"));
  watch.SeePart(kClient, query, query.size(), 1, 1 * kS);
  std::vector<Bytes> records;
  for (std::uint8_t i = 0; i < 12; ++i) records.push_back(DnsAddress(i));
  const Bytes answer = Framed(DnsResponse(1, "example.com", 1, records));
  watch.SeePart(kServer, Part(answer, 0, 60), answer.size(), 1, 2 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.answers.size(), 1u);
  // It ended with the segment, so the next one begins with a message.
  const Bytes next = Framed(DnsResponse(2, "example.org", 1, {}));
  watch.SeePart(kServer, next, next.size(), static_cast<std::uint32_t>(1 + answer.size()), 3 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->responses, 2u);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 0u);
}

TEST(DnsStream, MissingSegmentWithinAMessage_GivesACutMessage) {
  DnsWatch watch;
  const Bytes query = Framed(DnsQuery(1, "example.com"));
  watch.SeePart(kClient, query, query.size(), 1, 1 * kS);
  const Bytes answer = Framed(DnsResponse(1, "example.com", 1, {DnsAddress(1), DnsAddress(2), DnsAddress(3)}));
  watch.SeePart(kServer, Part(answer, 0, 50), 50, 1, 2 * kS);
  watch.SeePart(kServer, Part(answer, 60, answer.size()), answer.size() - 60, 61, 2 * kS);
  ASSERT_EQ(watch.completions.size(), 1u);
  EXPECT_EQ(watch.completions[0].transaction.answers.size(), 1u);
  watch.SeePart(kServer, Part(answer, 50, 60), 10, 51, 2 * kS);  // late: of no use any more
  watch.SeePart(kServer, query, query.size(), static_cast<std::uint32_t>(1 + answer.size()), 3 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 2u);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 0u);
}

TEST(DnsStream, GapThatHidesABoundary_GivesTheDirectionUp) {
  DnsWatch watch;
  const Bytes query = Framed(DnsQuery(1, "example.com"));
  const auto size = static_cast<std::uint32_t>(query.size());
  watch.SeePart(kClient, query, size, 1, 1 * kS);
  watch.SeePart(kClient, query, size, 1 + 2 * size, 1 * kS);
  watch.SeePart(kClient, query, size, 1 + 3 * size, 1 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 1u);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 0u);
  EXPECT_EQ(watch.tracker.statistics().given_up_streams, 1u);
  // The other direction is not affected, and a new connection between the same ports begins anew.
  const Bytes answer = Framed(DnsResponse(1, "example.com", 1, {}));
  watch.SeePart(kServer, answer, answer.size(), 9, 2 * kS);
  EXPECT_EQ(watch.completions.size(), 1u);
  watch.SeePart(kClient, query, size, 0x80000000, 3 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 2u);
}

TEST(DnsStream, NoDns_IsCountedOnce) {
  DnsWatch watch;
  const std::string text = "GET / HTTP/1.1\r\n";
  Bytes bytes;
  for (int i = 0; i < 2000; ++i) bytes.insert(bytes.end(), text.begin(), text.end());
  for (std::size_t at = 0; at < bytes.size(); at += 1000)
    watch.SeePart(kClient, Part(bytes, at, at + 1000), 1000, static_cast<std::uint32_t>(at), 1 * kS);
  EXPECT_EQ(watch.tracker.Find(1)->malformed, 1u);
  EXPECT_EQ(watch.tracker.Find(1)->queries, 0u);
  for (const Bytes& tiny : {Bytes{0, 0, 0, 0}, Bytes{0, 11, 1}}) {
    DnsWatch other;
    other.SeePart(kClient, tiny, tiny.size(), 1, 1 * kS);
    EXPECT_EQ(other.tracker.Find(1)->malformed, 1u);
    EXPECT_EQ(other.tracker.statistics().given_up_streams, 1u);
  }
}

TEST(DnsStream, UnfinishedMessages_AreBounded) {
  Tracker::Options options;
  options.stream_bytes = 10'000;
  DnsWatch watch(options);
  const Bytes begun = Join({Be16(0xffff), DnsQuery(1, "example.com"), Bytes(900, 0)});
  for (std::uint16_t i = 1; i <= 100; ++i)
    watch.SeePart(DnsClient(1, IPPROTO_TCP, static_cast<std::uint16_t>(40000 + i)), begun, begun.size(), 1, 1 * kS, i);
  EXPECT_EQ(watch.tracker.statistics().given_up_streams, 100 - 10'000 / (begun.size() - 2));
  // Who is forgotten makes room.
  for (std::uint16_t i = 1; i <= 100; ++i) watch.tracker.Forget(i);
  watch.SeePart(DnsClient(1, IPPROTO_TCP), begun, begun.size(), 1, 1 * kS, 101);
  EXPECT_EQ(watch.tracker.statistics().given_up_streams, 100 - 10'000 / (begun.size() - 2));
}

}  // namespace
}  // namespace knp::dns
