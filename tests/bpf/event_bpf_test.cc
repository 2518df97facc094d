// Which packets cause which event, and that the event budget holds without a count depending on it; by ring buffer and by
// perf buffer alike.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
constexpr unsigned kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

Bytes TcpFrame(unsigned flags, unsigned sport = 40000, int version = 4) {
  const Bytes tcp = Tcp({.flags = flags, .sport = sport});
  return version == 4 ? Join({Ethernet(0x0800), Ipv4({}, tcp)}) : Join({Ethernet(0x86dd), Ipv6({}, tcp)});
}

// By ring buffer, and by perf buffer.
class EventBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(PinTo(UsableCpus().at(0)).ok());
    MonitorOptions options;
    options.ring_bytes = std::size_t{1} << 20;
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    SetBudget(1 << 20, 1 << 20);
  }
  void TearDown() override {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
  }
  knp_cpu_state cpu() { return runner_->Cpu(UsableCpus().at(0)); }
  void SetBudget(std::uint32_t per_tick_q8, std::uint32_t burst_q8) {
    knp_cpu_state state = cpu();
    state.tokens_per_tick_q8 = per_tick_q8;
    state.token_burst_q8 = burst_q8;
    state.tokens = burst_q8;
    runner_->SetCpu(UsableCpus().at(0), state);
  }
  void Run(const Bytes& frame, int repeat = 1) {
    const auto outcome = runner_->Run(frame, {.repeat = repeat});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  std::vector<knp_packet_event> PacketEvents() {
    std::vector<knp_packet_event> all;
    for (const auto& record : runner_->Events()) {
      knp_event_header header;
      std::memcpy(&header, record.data(), sizeof header);
      if (header.type < KNP_EVENT_flow_started || header.type > KNP_EVENT_security_candidate) continue;
      EXPECT_EQ(header.size, sizeof(knp_packet_event));
      EXPECT_GE(record.size(), sizeof(knp_packet_event));
      std::memcpy(&all.emplace_back(), record.data(), sizeof(knp_packet_event));
    }
    return all;
  }
  std::vector<int> Kinds() {
    std::vector<int> kinds;
    for (const knp_packet_event& e : PacketEvents()) kinds.push_back(e.h.type);
    return kinds;
  }

  std::unique_ptr<ProgramRunner> runner_;
};

TEST_P(EventBpfTest, FirstPacket_OfAFlow_IsToldOnceWithAllThatIsKnown) {
  const Bytes frame = TcpFrame(kSyn);
  Run(frame, 5);
  const auto events = PacketEvents();
  ASSERT_EQ(events.size(), 1u);
  const knp_packet_event& e = events[0];
  EXPECT_EQ(e.h.type, KNP_EVENT_flow_started);
  EXPECT_EQ(e.ip_version, 4);
  EXPECT_EQ(e.tcp_flags, kSyn);
  EXPECT_EQ(e.bytes, frame.size());
  EXPECT_NE(e.time_ns, 0u);
  const std::uint8_t source[] = {10, 0, 0, 1}, target[] = {10, 0, 0, 2};
  EXPECT_EQ(std::memcmp(e.key.saddr, source, 4), 0);
  EXPECT_EQ(std::memcmp(e.key.daddr, target, 4), 0);
  EXPECT_EQ(e.key.sport_be, __builtin_bswap16(40000));
  EXPECT_EQ(e.key.dport_be, __builtin_bswap16(443));
  EXPECT_EQ(e.key.meta, KNP_META(6, 0, 0, ProgramRunner::kSlot));
}

TEST_P(EventBpfTest, FirstPacket_Ipv6_CarriesTheWholeKey) {
  Run(TcpFrame(kSyn, 40000, 6));
  const auto events = PacketEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].ip_version, 6);
  const auto flows = runner_->Flows6();
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(std::memcmp(&events[0].key, &flows[0].key, sizeof(knp_key6)), 0);
}

TEST_P(EventBpfTest, Reset_OfAKnownFlow_IsToldOnce) {
  Run(TcpFrame(kSyn));
  Run(TcpFrame(kRst | kAck), 3);
  EXPECT_EQ(Kinds(), (std::vector<int>{KNP_EVENT_flow_started, KNP_EVENT_connection_reset}));
}

TEST_P(EventBpfTest, Reset_AsFirstPacket_IsToldOnceBesideTheStart) {
  Run(TcpFrame(kRst), 3);
  EXPECT_EQ(Kinds(), (std::vector<int>{KNP_EVENT_flow_started, KNP_EVENT_connection_reset}));
}

TEST_P(EventBpfTest, OddFlags_EachPacket_IsACandidate) {
  unsigned port = 1000;
  for (unsigned flags : {0u, kFin, kSyn | kFin, kSyn | kRst, kFin | kPsh | kUrg, kFin | kRst}) {
    Run(TcpFrame(flags, ++port), 2);
    EXPECT_EQ(Kinds(),
              (std::vector<int>{KNP_EVENT_flow_started, KNP_EVENT_security_candidate, KNP_EVENT_security_candidate}))
        << "flags " << flags;
  }
  for (unsigned flags : {kSyn, kSyn | kAck, kAck, kAck | kPsh, kAck | kFin, kAck | kPsh | kUrg}) {
    Run(TcpFrame(flags, ++port), 2);
    EXPECT_EQ(Kinds(), (std::vector<int>{KNP_EVENT_flow_started})) << "flags " << flags;
  }
}

TEST_P(EventBpfTest, Remainder_AnyPacket_IsNoEvent) {
  Run(Join({Ethernet(0x0806), Bytes(46, 0)}));
  Run(Join({Ethernet(0x0800), Ipv4({}, Tcp({.data_offset = 4}))}));
  EXPECT_TRUE(Kinds().empty());
}

TEST_P(EventBpfTest, Budget_Empty_EventsAreSuppressedAndCountedFlowsAreNot) {
  SetBudget(0, 10 * 256);
  for (unsigned port = 1; port <= 100; port++) Run(TcpFrame(kSyn, port));
  EXPECT_EQ(PacketEvents().size(), 10u);
  EXPECT_EQ(cpu().events_suppressed, 90u);
  EXPECT_EQ(cpu().events_ring_full, 0u);
  EXPECT_EQ(runner_->Flows4().size(), 100u);
}

TEST_P(EventBpfTest, Budget_RefilledByTicks_LetsThatManyThroughAndNoMore) {
  SetBudget(256, 5 * 256);  // one a tick, five at most
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  for (unsigned port = 1; port <= 50; port++) Run(TcpFrame(kSyn, port));
  const std::size_t burst = PacketEvents().size();
  EXPECT_GE(burst, 5u) << "what was saved up";
  EXPECT_LE(burst, 15u) << "saved up more than the burst allows (a few ticks may have passed meanwhile)";
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  Run(TcpFrame(kSyn, 1000));
  EXPECT_EQ(PacketEvents().size(), 1u) << "no refill";
}

TEST_P(EventBpfTest, Ring_Full_OptionalEventsAreCountedAsLost) {
  SetBudget(1 << 22, 1u << 30);
  std::uint64_t runs = 0;
  for (; runs < 40000 && cpu().events_ring_full == 0; runs++) Run(TcpFrame(0, 1 + runs % 4));
  EXPECT_GT(cpu().events_ring_full, 0u);
  const std::uint64_t read = PacketEvents().size();
  // Each run is one candidate; the first of each of the four ports is a start besides.
  EXPECT_EQ(read + cpu().events_ring_full + cpu().events_suppressed, runs + 4);
}

INSTANTIATE_TEST_SUITE_P(Ways, EventBpfTest, ::testing::ValuesIn(kWays), WayName);

}  // namespace
}  // namespace knp::test
