// What the data plane tells of packets beyond counts: the end of a handshake, echoes, headers' fields, payload samples; and
// that a reused 5-tuple never shares a record with the connection before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
constexpr unsigned kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;

Bytes TcpFrame(unsigned flags, std::size_t payload = 0, int version = 4) {
  const Bytes tcp = Join({Tcp({.flags = flags}), Fill(payload)});
  return version == 4 ? Join({Ethernet(0x0800), Ipv4({}, tcp)}) : Join({Ethernet(0x86dd), Ipv6({}, tcp)});
}

Bytes UdpFrame(std::size_t payload, unsigned sport, unsigned dport) {
  return Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(payload, sport, dport))});
}

struct Sample {
  knp_payload_sample head;
  Bytes data;
};

class DetailBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(PinTo(UsableCpus().at(0)).ok()); }
  void TearDown() override {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
  }
  // A budget that no test uses up, unless it says so.
  void Load(std::size_t ring_bytes = std::size_t{1} << 20, std::uint64_t sample_bytes_per_second = 1) {
    MonitorOptions options;
    options.ring_bytes = ring_bytes;
    options.sample_bytes_per_second = sample_bytes_per_second;
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    knp_cpu_state state = cpu();
    state.tokens_per_tick_q8 = state.token_burst_q8 = 1 << 24;
    state.samples_per_tick_q8 = state.sample_burst_q8 = 0x7fffffff;
    runner_->SetCpu(UsableCpus().at(0), state);
  }
  knp_cpu_state cpu() { return runner_->Cpu(UsableCpus().at(0)); }
  void Run(const Bytes& frame, int repeat = 1) {
    const auto outcome = runner_->Run(frame, {.repeat = repeat});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  void Read() {
    events_.clear();
    samples_.clear();
    evicted_.clear();
    for (const auto& record : runner_->Events()) {
      knp_event_header header;
      std::memcpy(&header, record.data(), sizeof header);
      ASSERT_LE(header.size, record.size());
      if (header.type == KNP_EVENT_payload) {
        Sample sample{};
        ASSERT_GE(header.size, sizeof sample.head);
        std::memcpy(&sample.head, record.data(), sizeof sample.head);
        ASSERT_EQ(header.size, sizeof sample.head + sample.head.captured);
        const auto* data = reinterpret_cast<const std::uint8_t*>(record.data()) + sizeof sample.head;
        sample.data.assign(data, data + sample.head.captured);
        samples_.push_back(sample);
      } else if (header.type == KNP_EVENT_flow_evicted4) {
        ASSERT_EQ(header.size, sizeof(knp_flow_evicted4));
        std::memcpy(&evicted_.emplace_back(), record.data(), sizeof(knp_flow_evicted4));
      } else if (header.type == KNP_EVENT_flow_evicted6) {
        ADD_FAILURE() << "an IPv6 eviction";
      } else {
        ASSERT_EQ(header.size, sizeof(knp_packet_event));
        std::memcpy(&events_.emplace_back(), record.data(), sizeof(knp_packet_event));
      }
    }
  }
  std::vector<int> Kinds() const {
    std::vector<int> kinds;
    for (const knp_packet_event& e : events_) kinds.push_back(e.h.type);
    return kinds;
  }

  std::unique_ptr<ProgramRunner> runner_;
  std::vector<knp_packet_event> events_;
  std::vector<Sample> samples_;
  std::vector<knp_flow_evicted4> evicted_;
};

TEST_P(DetailBpfTest, Handshake_ThirdPacket_IsToldOnce) {
  for (int version : {4, 6}) {
    Load();
    Run(TcpFrame(kSyn, 0, version), 2);
    Run(TcpFrame(kAck, 0, version), 3);
    Read();
    EXPECT_EQ(Kinds(), (std::vector<int>{KNP_EVENT_flow_started, KNP_EVENT_handshake_acked})) << "IPv" << version;
  }
}

TEST_P(DetailBpfTest, Handshake_SideThatWasAsked_IsNotTold) {
  Load();
  Run(TcpFrame(kSyn | kAck));
  Run(TcpFrame(kAck), 3);
  Read();
  EXPECT_EQ(Kinds(), (std::vector<int>{KNP_EVENT_flow_started}));
}

TEST_P(DetailBpfTest, Event_OfAPacket_CarriesItsHeadersFields) {
  Load();
  Bytes v4 = TcpFrame(kSyn);
  v4[15] = 0xb8;  // DSCP 46
  v4[22] = 57;    // TTL
  const std::uint8_t sequence[] = {0xde, 0xad, 0xbe, 0xef};
  std::copy_n(sequence, 4, v4.begin() + 38);
  Run(v4);
  Bytes v6 = TcpFrame(kSyn, 0, 6);
  v6[14] = 0x6b;
  v6[15] = 0x80;
  v6[21] = 33;
  Run(v6);
  Read();
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[0].tos, 0xb8);
  EXPECT_EQ(events_[0].ttl, 57);
  EXPECT_EQ(events_[0].sequence, 0xdeadbeefu);
  EXPECT_EQ(std::memcmp(events_[0].destination_mac, v4.data(), 6), 0);
  EXPECT_EQ(std::memcmp(events_[0].source_mac, v4.data() + 6, 6), 0);
  EXPECT_EQ(events_[0].tunnel_type, KNP_T_NONE);
  EXPECT_EQ(events_[1].tos, 0xb8);
  EXPECT_EQ(events_[1].ttl, 33);
  EXPECT_EQ(events_[1].sequence, 1u);
}

TEST_P(DetailBpfTest, Echo_InALaterTick_IsToldWithItsSequence) {
  for (int version : {4, 6}) {
    Load();
    Bytes frame = version == 4 ? Join({Ethernet(0x0800), Ipv4({.protocol = 1}, Icmp(8))})
                               : Join({Ethernet(0x86dd), Ipv6({.next = 58}, Icmp(128))});
    Run(frame);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    frame[(version == 4 ? 34 : 54) + 7] = 9;
    Run(frame, 50);
    Read();
    ASSERT_GE(events_.size(), 2u);
    EXPECT_LE(events_.size(), 10u) << "more than one a tick";
    EXPECT_EQ(events_[0].h.type, KNP_EVENT_flow_started);
    EXPECT_EQ(events_[0].sequence, 1u);
    EXPECT_EQ(events_[1].h.type, KNP_EVENT_echo);
    EXPECT_EQ(events_[1].sequence, 9u);
  }
}

TEST_P(DetailBpfTest, Incarnation_SynAfterOthers_EvictsTheOldTotals) {
  Load();
  for (unsigned again : {kSyn, kSyn | kAck}) {
    runner_->Clear();
    Read();
    Run(TcpFrame(again));
    Run(TcpFrame(kAck), 4);
    Run(TcpFrame(kFin | kAck));
    Run(TcpFrame(again), 3);
    Read();
    ASSERT_EQ(evicted_.size(), 1u);
    EXPECT_EQ(evicted_[0].flow.packets, 6u);
    EXPECT_EQ(evicted_[0].flow.tcp_flags, again | kAck | kFin);
    const auto flows = runner_->Flows4();
    ASSERT_EQ(flows.size(), 1u);
    EXPECT_EQ(flows[0].flow.packets, 3u);
    EXPECT_EQ(flows[0].flow.bytes, 3 * TcpFrame(kSyn).size());
    EXPECT_EQ(flows[0].flow.tcp_flags, again);
    EXPECT_EQ(flows[0].flow.generation, evicted_[0].flow.generation + 2);
    EXPECT_EQ(std::memcmp(&flows[0].key, &evicted_[0].key, sizeof(knp_key4)), 0);
    const std::vector<int> kinds = Kinds();
    EXPECT_EQ(std::count(kinds.begin(), kinds.end(), KNP_EVENT_flow_started), 2);
  }
}

TEST_P(DetailBpfTest, Incarnation_RepeatedSyn_IsTheSameConnection) {
  Load();
  Run(TcpFrame(kSyn), 5);
  Read();
  EXPECT_TRUE(evicted_.empty());
  EXPECT_EQ(runner_->Flows4().at(0).flow.packets, 5u);
}

TEST_P(DetailBpfTest, Incarnation_RingFull_CountsOnInTheOldSlot) {
  Load(1);
  std::uint64_t runs = 0, evictions = 0;
  for (; runs < 4000; runs += 2) {  // each pair is a connection, and nobody reads
    Run(TcpFrame(kSyn));
    Run(TcpFrame(kAck));
  }
  Read();
  std::uint64_t packets = runner_->Flows4().at(0).flow.packets;
  for (const knp_flow_evicted4& e : evicted_) {
    packets += e.flow.packets;
    evictions++;
  }
  EXPECT_GT(evictions, 10u);
  EXPECT_LT(evictions, 1500u) << "the ring was never full";
  EXPECT_EQ(packets, runs);
  EXPECT_EQ(runner_->Counters().lost[KNP_L_RING_FULL].packets, 0u);
}

TEST_P(DetailBpfTest, Sample_FirstPayloads_AreFourOfTwoLengths) {
  Load();
  Run(TcpFrame(kSyn));
  for (std::size_t payload : {3000u, 10u, 1000u, 256u, 5u, 900u}) {
    Bytes frame = TcpFrame(kAck | kPsh, payload);
    frame[54] = static_cast<std::uint8_t>(payload);
    frame[41] = 77;
    Run(frame);
    Run(TcpFrame(kAck));
  }
  Read();
  ASSERT_EQ(samples_.size(), 4u);
  const std::size_t lengths[] = {3000, 10, 1000, 256}, captured[] = {1536, 10, 256, 256};
  for (std::size_t i = 0; i < 4; i++) {
    EXPECT_EQ(samples_[i].head.length, lengths[i]);
    EXPECT_EQ(samples_[i].head.captured, captured[i]);
    EXPECT_EQ(samples_[i].head.sequence, 77u);
    EXPECT_EQ(samples_[i].head.ip_version, 4);
    EXPECT_EQ(samples_[i].head.tcp_flags, kAck | kPsh);
    EXPECT_EQ(samples_[i].head.key.sport_be, __builtin_bswap16(40000));
    Bytes want = Fill(captured[i]);
    want[0] = static_cast<std::uint8_t>(lengths[i]);
    EXPECT_EQ(samples_[i].data, want);
  }
  EXPECT_EQ(runner_->Flows4().at(0).flow.packets, 13u);
}

TEST_P(DetailBpfTest, Sample_NameService_IsEveryMessage) {
  Load();
  for (unsigned port : {53u, 5353u, 5355u}) {
    Run(UdpFrame(40, 40000, port), 10);
    Run(UdpFrame(60, port, 40000), 10);
  }
  Read();
  EXPECT_EQ(samples_.size(), 60u);
  Run(UdpFrame(40, 40000, 54), 10);
  Run(UdpFrame(0, 40000, 53), 10);
  Read();
  EXPECT_EQ(samples_.size(), 4u);
}

TEST_P(DetailBpfTest, Sample_Budget_IsKeptAndWhatIsBeyondIsCounted) {
  Load();
  knp_cpu_state state = cpu();
  state.samples_per_tick_q8 = 0;
  state.sample_tokens_q8 = state.sample_burst_q8 = 5 * (sizeof(knp_payload_sample) + 100) * 256;
  runner_->SetCpu(UsableCpus().at(0), state);
  Run(UdpFrame(100, 40000, 53), 20);
  Read();
  EXPECT_EQ(samples_.size(), 5u);
  EXPECT_EQ(cpu().samples_suppressed, 15u);
  EXPECT_EQ(runner_->Flows4().at(0).flow.packets, 20u);
}

TEST_P(DetailBpfTest, Sample_SwitchedOff_IsNone) {
  Load(std::size_t{1} << 20, 0);
  Run(UdpFrame(100, 40000, 53), 5);
  Run(TcpFrame(kAck, 100), 5);
  Read();
  EXPECT_TRUE(samples_.empty());
  EXPECT_EQ(cpu().samples_suppressed, 0u);
}

// What no count hangs on leaves half of the ring to the rest.
TEST_P(DetailBpfTest, Ring_FilledBySamples_HasRoomForEvictions) {
  Load(std::size_t{64} << 10);
  for (int i = 0; i < 300; i++) Run(UdpFrame(1000, 40000, 53));
  const std::uint64_t refused = cpu().events_ring_full;
  EXPECT_GT(refused, 200u);
  for (int i = 0; i < 20; i++) {
    Run(TcpFrame(kSyn));
    Run(TcpFrame(kRst | kAck));
  }
  EXPECT_GT(cpu().events_ring_full, refused);
  Read();
  EXPECT_EQ(evicted_.size(), 19u);
  EXPECT_EQ(samples_.size(), 300 - refused);
}

INSTANTIATE_TEST_SUITE_P(Ways, DetailBpfTest, ::testing::ValuesIn(kWays), WayName);

}  // namespace
}  // namespace knp::test
