// When an end has spent its budget of new flows, the packets of further ones are in one folded flow: exactly, apart by what
// a detector tells floods by, and without anybody else noticing. The meters of bpf/lib/meter.h, in the kernel.
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

#include "src/datapath/decoder.h"
#include "src/datapath/replay_clock.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"
#include "tests/support/recording_sink.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
constexpr unsigned kSyn = 2, kRst = 4, kAck = 16;
constexpr std::uint32_t kEndpointBudget = 50, kAddressBudget = 200, kTotalBudget = 400;

// Who sends to whom. The last two bytes of an address tell hosts apart.
struct Between {
  unsigned source = 0x0101, destination = 0x0202;
  unsigned sport = 40000, dport = 80;
  int version = 4;
};

Bytes WithAddresses(Bytes frame, const Between& b) {
  const std::size_t source_at = b.version == 4 ? 28 : 36, destination_at = b.version == 4 ? 32 : 52;
  const auto put = [&frame](std::size_t at, unsigned value) {
    frame[at] = static_cast<std::uint8_t>(value >> 8);
    frame[at + 1] = static_cast<std::uint8_t>(value);
  };
  put(source_at, b.source);
  put(destination_at, b.destination);
  return frame;
}

Bytes TcpFrame(const Between& b, unsigned flags = kSyn) {
  const Bytes tcp = Tcp({.flags = flags, .sport = b.sport, .dport = b.dport});
  return WithAddresses(
      b.version == 4 ? Join({Ethernet(0x0800), Ipv4({}, tcp)}) : Join({Ethernet(0x86dd), Ipv6({}, tcp)}), b);
}

Bytes UdpFrame(const Between& b) {
  const Bytes udp = Udp(30, b.sport, b.dport);
  return WithAddresses(b.version == 4 ? Join({Ethernet(0x0800), Ipv4({.protocol = 17}, udp)})
                                      : Join({Ethernet(0x86dd), Ipv6({.next = 17}, udp)}),
                       b);
}

class FoldBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(PinTo(cpu_).ok());
    MonitorOptions options;
    options.ring_bytes = std::size_t{1} << 20;
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    SetBudgets(0);
  }
  void TearDown() override {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
  }
  // Flows that each bucket lets go a tick; 0: the test decides alone how much is spent.
  void SetBudgets(std::uint32_t per_tick_q8) {
    knp_cpu_state state{};
    const std::uint32_t budgets[KNP_BUDGETS] = {kEndpointBudget, kAddressBudget, kTotalBudget};
    for (int i = 0; i < KNP_BUDGETS; i++) {
      state.flow_burst_q8[i] = budgets[i] * 256;
      state.flows_per_tick_q8[i] = per_tick_q8;
    }
    state.tokens_per_tick_q8 = state.token_burst_q8 = 1 << 28;
    runner_->SetCpu(cpu_, state);
  }
  void Run(const Bytes& frame, Direction direction = Direction::kIngress) {
    const auto outcome = runner_->Run(frame, {.direction = direction});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    sent_ += {1, frame.size()};
  }
  // What user space is told, by the code that tells it.
  std::vector<FlowDelta> Deltas() {
    RecordingSink sink;
    datapath::Decoder decoder(&sink);
    EXPECT_TRUE(decoder.Open(runner_->buckets4(), runner_->buckets6()).ok());
    datapath::ReplayClock clock;  // nothing here is about times
    decoder.SetClock(&clock);
    decoder.SetInterface(ProgramRunner::kSlot, 0);
    decoder.Scan(decoder.total_buckets());
    return sink.deltas;
  }
  static std::vector<FlowDelta> Folded(const std::vector<FlowDelta>& deltas) {
    std::vector<FlowDelta> folded;
    std::copy_if(deltas.begin(), deltas.end(), std::back_inserter(folded), [](const FlowDelta& d) { return d.folded; });
    return folded;
  }
  // Everything that was sent is in a flow, and what is folded is what the CPU says.
  void ExpectExact(const std::vector<FlowDelta>& deltas) {
    Count all, folded;
    for (const FlowDelta& delta : deltas) {
      all += delta.count;
      if (delta.folded) folded += delta.count;
    }
    EXPECT_EQ(all, sent_);
    const knp_cpu_state cpu = runner_->Cpu(cpu_);
    EXPECT_EQ(folded, (Count{cpu.folded_packets, cpu.folded_bytes}));
    for (const knp_count& lost : runner_->Counters().lost) EXPECT_EQ(lost.packets, 0u);
  }
  std::vector<knp_packet_event> Starts() {
    std::vector<knp_packet_event> starts;
    for (const auto& record : runner_->Events()) {
      knp_packet_event event;
      if (record.size() < sizeof event) continue;
      std::memcpy(&event, record.data(), sizeof event);
      if (event.h.type == KNP_EVENT_flow_started) starts.push_back(event);
    }
    return starts;
  }

  const unsigned cpu_ = UsableCpus().at(0);
  std::unique_ptr<ProgramRunner> runner_;
  Count sent_;
};

const std::array<std::uint8_t, 16> kNobody{};

TEST_P(FoldBpfTest, SpoofedFlood_BeyondTheEndpointsBudget_IsOneFlowOfIt) {
  for (const int version : {4, 6}) {
    const unsigned before = static_cast<unsigned>(runner_->Flows4().size() + runner_->Flows6().size());
    for (unsigned i = 0; i < 1000; i++) Run(TcpFrame({.source = i, .sport = 1000 + i, .version = version}));
    const auto deltas = Deltas();
    ExpectExact(deltas);
    EXPECT_EQ(runner_->Flows4().size() + runner_->Flows6().size() - before, kEndpointBudget + 1);
    std::vector<FlowDelta> folded = Folded(deltas);
    std::erase_if(folded, [&](const FlowDelta& d) { return d.tuple.ip_version != version; });
    ASSERT_EQ(folded.size(), 1u);
    EXPECT_EQ(folded[0].count.packets, 1000 - kEndpointBudget);
    EXPECT_EQ(folded[0].tuple.source, kNobody);
    EXPECT_EQ(folded[0].tuple.source_port, 0);
    EXPECT_EQ(folded[0].tuple.destination[version == 4 ? 3 : 15], 2);
    EXPECT_EQ(folded[0].tuple.destination_port, 80);
    EXPECT_EQ(folded[0].tuple.protocol, 6);
    EXPECT_EQ(folded[0].tcp_flags, kSyn);
    EXPECT_FALSE(folded[0].fragments);
  }
}

TEST_P(FoldBpfTest, Answers_ToWhoDoesNotExist_AreOneFlowOfWhoAnswers) {
  for (unsigned i = 0; i < 1000; i++)
    Run(TcpFrame({.source = 0x0202, .destination = i, .sport = 80, .dport = 1000 + i}, kSyn | kAck),
        Direction::kEgress);
  const auto deltas = Deltas();
  ExpectExact(deltas);
  const auto folded = Folded(deltas);
  ASSERT_EQ(folded.size(), 1u);
  EXPECT_EQ(folded[0].direction, Direction::kEgress);
  EXPECT_EQ(folded[0].tuple.source[3], 2);
  EXPECT_EQ(folded[0].tuple.source_port, 80);
  EXPECT_EQ(folded[0].tuple.destination, kNobody);
  EXPECT_EQ(folded[0].tuple.destination_port, 0);
  EXPECT_EQ(folded[0].tcp_flags, kSyn | kAck);
}

TEST_P(FoldBpfTest, Flags_AndFragments_AreFoldedApart) {
  for (unsigned i = 0; i < 1200; i++)
    Run(TcpFrame({.source = i, .sport = 1000 + i}, i % 3 == 0 ? kSyn : i % 3 == 1 ? kAck : kRst));
  for (unsigned i = 0; i < 300; i++) {
    const Bytes later = Join({Ethernet(0x0800), Ipv4({.fragment = 0x2064}, Fill(64))});
    Run(WithAddresses(later, {.source = i}));
  }
  const auto deltas = Deltas();
  ExpectExact(deltas);
  std::multiset<unsigned> flags;
  unsigned fragments = 0;
  for (const FlowDelta& delta : Folded(deltas)) {
    if (delta.fragments)
      fragments++;
    else
      flags.insert(delta.tcp_flags);
  }
  EXPECT_EQ(flags, (std::multiset<unsigned>{kSyn, kRst, kAck}));
  EXPECT_EQ(fragments, 1u);
}

TEST_P(FoldBpfTest, ManyPorts_BeyondTheAddresssBudget_AreOneFlowOfTheAddress) {
  for (unsigned i = 0; i < 1000; i++) Run(TcpFrame({.source = i, .sport = 1000 + i, .dport = 2000 + i}));
  const auto deltas = Deltas();
  ExpectExact(deltas);
  const auto folded = Folded(deltas);
  ASSERT_EQ(folded.size(), 1u);
  EXPECT_EQ(folded[0].count.packets, 1000 - kAddressBudget);
  EXPECT_EQ(folded[0].tuple.destination[3], 2);
  EXPECT_EQ(folded[0].tuple.destination_port, 0);
}

TEST_P(FoldBpfTest, ManyHosts_BeyondTheTotal_AreFoldedByHostAndThenAltogether) {
  for (unsigned i = 0; i < 5000; i++)
    Run(TcpFrame({.source = i, .destination = 10000 + i % 1000, .sport = 1000 + i, .dport = 2000 + i % 997}));
  const auto deltas = Deltas();
  ExpectExact(deltas);
  const auto folded = Folded(deltas);
  EXPECT_EQ(folded.size(), (kEndpointBudget + 3) / 4 + 1) << "addresses that may have a slot, and all others";
  std::uint64_t of_nobody = 0;
  for (const FlowDelta& delta : folded)
    if (delta.tuple.destination == kNobody) {
      of_nobody++;
      EXPECT_EQ(delta.tuple.source, kNobody);
    }
  EXPECT_EQ(of_nobody, 1u);
}

TEST_P(FoldBpfTest, Amplifiers_KeepThePortThatTheyAnswerFrom) {
  for (unsigned i = 0; i < 500; i++) Run(UdpFrame({.source = i, .sport = 53, .dport = 9999}));
  const auto folded = Folded(Deltas());
  ASSERT_EQ(folded.size(), 1u);
  EXPECT_EQ(folded[0].tuple.source, kNobody);
  EXPECT_EQ(folded[0].tuple.source_port, 53);
  EXPECT_EQ(folded[0].tuple.destination_port, 9999);
}

TEST_P(FoldBpfTest, Echo_FromEverywhere_KeepsTypeAndVictim) {
  for (unsigned i = 0; i < 500; i++) {
    Run(WithAddresses(Join({Ethernet(0x0800), Ipv4({.protocol = 1}, Icmp(8, 0, i))}), {.source = i}));
    Run(WithAddresses(Join({Ethernet(0x0800), Ipv4({.protocol = 1}, Icmp(0, 0, i))}),
                      {.source = 0x0202, .destination = i}),
        Direction::kEgress);
  }
  const auto deltas = Deltas();
  ExpectExact(deltas);
  const auto folded = Folded(deltas);
  ASSERT_EQ(folded.size(), 2u);
  for (const FlowDelta& delta : folded) {
    const bool request = delta.direction == Direction::kIngress;
    EXPECT_EQ(delta.tuple.destination_port, request ? 8 << 8 : 0);
    EXPECT_EQ(delta.tuple.source_port, 0);
    EXPECT_EQ((request ? delta.tuple.destination : delta.tuple.source)[3], 2);
    EXPECT_EQ(request ? delta.tuple.source : delta.tuple.destination, kNobody);
  }
}

// What the flood is not about keeps its slots and its events, on the victim's other ports, too.
TEST_P(FoldBpfTest, ScanInsideTheFlood_EveryProbe_HasItsSlotAndIsTold) {
  Run(TcpFrame({.source = 0x0707, .sport = 5000}, kAck));  // a connection that goes on
  for (unsigned i = 0; i < 20000; i++) {
    Run(TcpFrame({.source = i & 0xfff, .sport = 1000 + i}));
    if (i % 1000 == 0) Run(TcpFrame({.source = 0x0909, .sport = 33333, .dport = 100 + i / 1000}));
    if (i % 100 == 0) Run(TcpFrame({.source = 0x0707, .sport = 5000}, kAck));
  }
  const auto deltas = Deltas();
  ExpectExact(deltas);
  unsigned probes = 0;
  for (const FlowDelta& delta : deltas) {
    probes += delta.tuple.source_port == 33333 && !delta.folded;
    if (delta.tuple.source_port == 5000) {
      EXPECT_EQ(delta.count.packets, 201u);
    }
  }
  EXPECT_EQ(probes, 20u);
  unsigned told = 0, of_the_flood = 0;
  for (const knp_packet_event& event : Starts()) {
    if (event.key.sport_be == htons(33333))
      told++;
    else
      of_the_flood++;
  }
  EXPECT_EQ(told, 20u);
  EXPECT_LE(of_the_flood, kEndpointBudget / 2 + 2) << "from half of the budget on it is quiet";
  EXPECT_GT(of_the_flood, kEndpointBudget / 4);
}

// Each SYN behind an ACK begins another connection in the slot, which hands the old one over: not without end.
TEST_P(FoldBpfTest, PortsUsedAgain_BeyondTheBudget_GoOnInTheSameFlow) {
  for (unsigned i = 0; i < 1000; i++)
    for (const unsigned flags : {kSyn, kAck}) Run(TcpFrame({}, flags));
  EXPECT_EQ(runner_->Cpu(cpu_).evicted, kEndpointBudget - 1);
  const auto slots = runner_->Flows4();
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0].flow.packets, 2 * (1000 - (kEndpointBudget - 1)));
  EXPECT_EQ(slots[0].flow.bits & KNP_F_FOLDED, 0);
}

TEST_P(FoldBpfTest, Budget_AfterAWhile_IsThereAgain) {
  SetBudgets(4 * 256);  // four a tick
  for (unsigned i = 0; i < 1000; i++) Run(TcpFrame({.source = i, .sport = 1000 + i}));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));  // 40 ticks at least
  const knp_cpu_state before = runner_->Cpu(cpu_);
  EXPECT_GT(before.folded_packets, 0u);
  for (unsigned i = 0; i < kEndpointBudget; i++) Run(TcpFrame({.source = 5000 + i, .sport = 1000 + i}));
  EXPECT_EQ(runner_->Cpu(cpu_).folded_packets, before.folded_packets);
  ExpectExact(Deltas());
}

TEST_P(FoldBpfTest, NoBudgetSet_Flood_IsNotFolded) {
  runner_->SetCpu(cpu_, {});
  for (unsigned i = 0; i < 1000; i++) Run(TcpFrame({.source = i, .sport = 1000 + i}));
  const auto deltas = Deltas();
  EXPECT_EQ(deltas.size(), 1000u);
  ExpectExact(deltas);
}

INSTANTIATE_TEST_SUITE_P(Ways, FoldBpfTest, ::testing::Values("", "ringbuf", "mmap", "mmap,batch"), WayName);

// The programs for 4.18 have no room for it, and say so.
TEST(FoldVariantBpfTest, OldPrograms_Flood_IsNotFolded) {
  const unsigned cpu = UsableCpus().at(0);
  ASSERT_TRUE(PinTo(cpu).ok());
  auto runner = ProgramRunner::Load({}, "programs");
  ASSERT_TRUE(runner.ok()) << runner.status();
  knp_cpu_state state{};
  state.flow_burst_q8[0] = state.flow_burst_q8[1] = state.flow_burst_q8[2] = 256;
  (*runner)->SetCpu(cpu, state);
  for (unsigned i = 0; i < 300; i++) ASSERT_TRUE((*runner)->Run(TcpFrame({.source = i, .sport = 1000 + i})).ok());
  EXPECT_EQ((*runner)->Flows4().size(), 300u);
  EXPECT_EQ((*runner)->Cpu(cpu).folded_packets, 0u);
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

}  // namespace
}  // namespace knp::test
