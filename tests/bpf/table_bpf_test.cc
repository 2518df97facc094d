// The flow table as the kernel keeps it and as user space reads it: who gives up a slot to whom, what a full ring costs,
// and that every packet is handed on exactly once however reads, evictions and rewrites meet.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <tuple>
#include <vector>

#include "src/datapath/table_reader.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using datapath::TableReader;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kPortAt = 34;  // of the source port in an IPv4 frame; 54 in an IPv6 one

// UDP of either family whose flow is told by its source port.
Bytes UdpFrame(int version, unsigned port, std::size_t payload = 22) {
  return version == 4 ? Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(payload, port, 9))})
                      : Join({Ethernet(0x86dd), Ipv6({.next = 17}, Udp(payload, port, 9))});
}

std::uint16_t PortOf(__be16 port_be) { return static_cast<std::uint16_t>(port_be << 8 | port_be >> 8); }

// What user space has been told, by source port.
struct Told {
  std::map<std::uint16_t, Count> flows;
  std::uint64_t evictions = 0, out_of_step = 0;

  template <typename Key>
  auto Emit() {
    return [this](const Key& key, const knp_flow&, std::uint64_t packets, std::uint64_t bytes) {
      flows[PortOf(key.sport_be)] += {packets, bytes};
    };
  }
  Count Sum() const {
    Count sum;
    for (const auto& [port, count] : flows) sum += count;
    return sum;
  }
};

// The reading side of one family, as Datapath does it.
template <typename Bucket, typename Key, typename Evicted>
class Reader {
 public:
  Reader(ProgramRunner* runner, const datapath::Array<Bucket>& buckets, std::uint16_t type)
      : runner_(runner), table_(buckets), type_(type) {}
  Told told;

  void Consume(std::size_t limit) {
    runner_->Consume(limit, [this](const std::byte* record, std::size_t size) {
      knp_event_header header;
      std::memcpy(&header, record, sizeof header);
      if (header.type != type_) return;
      Evicted e;
      ASSERT_GE(size, sizeof e);
      std::memcpy(&e, record, sizeof e);
      told.evictions++;
      if (!table_.Evicted(e.index, e.key, e.flow, told.Emit<Key>())) told.out_of_step++;
    });
  }
  void Scan() { table_.Scan(0, table_.buckets(), told.Emit<Key>()); }
  void ReadAll() {
    for (std::uint64_t before = ~0ull; before != told.evictions;) {
      before = told.evictions;
      Consume(65536);
    }
    Scan();
  }

 private:
  ProgramRunner* runner_;
  TableReader<Bucket, Key> table_;
  std::uint16_t type_;
};

using Reader4 = Reader<knp_bucket4, knp_key4, knp_flow_evicted4>;
using Reader6 = Reader<knp_bucket6, knp_key6, knp_flow_evicted6>;

class TableBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    cpus_ = UsableCpus();
    ASSERT_FALSE(cpus_.empty());
    ASSERT_TRUE(PinTo(cpus_[0]).ok());
  }
  void TearDown() override {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (unsigned cpu : cpus_) CPU_SET(cpu, &all);
    sched_setaffinity(0, sizeof all, &all);
  }

  void Load(std::size_t ring_bytes = std::size_t{4} << 20) {
    MonitorOptions options;
    options.table_budget_bytes = TinyTableBytes();
    options.ring_bytes = ring_bytes;
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
  }
  Reader4 MakeReader4() { return {runner_.get(), runner_->buckets4(), KNP_EVENT_flow_evicted4}; }
  Reader6 MakeReader6() { return {runner_.get(), runner_->buckets6(), KNP_EVENT_flow_evicted6}; }
  void Run(const Bytes& frame, int repeat = 1) {
    const auto outcome = runner_->Run(frame, {.repeat = repeat});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }

  std::vector<unsigned> cpus_;
  std::unique_ptr<ProgramRunner> runner_;
};

TEST_P(TableBpfTest, Flow_ManyPackets_AreOneSlot) {
  Load();
  Run(UdpFrame(4, 5000), 100000);
  const auto flows = runner_->Flows4();
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].flow.packets, 100000u);
  EXPECT_EQ(flows[0].flow.bytes, 6400000u);
  EXPECT_EQ(flows[0].flow.generation, 2u);
  EXPECT_EQ(runner_->Cpu(cpus_[0]).inserted, 1u);
}

// A connection that goes on must not lose its slot to a flood of one-packet flows.
TEST_P(TableBpfTest, Elephant_FloodOfOnePacketFlows_IsNeverEvicted) {
  for (int version : {4, 6}) {
    Load();
    constexpr unsigned kElephant = 65535;
    Run(UdpFrame(version, kElephant), 1000);
    Bytes mouse = UdpFrame(version, 1);
    const std::size_t at = version == 4 ? kPortAt : 54;
    std::uint64_t evicted = 0, elephant_evicted = 0;
    for (unsigned port = 1; port <= 20000; port++) {
      mouse[at] = static_cast<std::uint8_t>(port >> 8);
      mouse[at + 1] = static_cast<std::uint8_t>(port);
      Run(mouse);
      if (port % 64 == 0) Run(UdpFrame(version, kElephant));  // every few milliseconds: not idle
      if (port % 1024 == 0) {
        runner_->Consume(65536, [&](const std::byte* record, std::size_t) {
          knp_event_header header;
          std::memcpy(&header, record, sizeof header);
          const std::size_t sport_at = header.type == KNP_EVENT_flow_evicted4
                                           ? offsetof(knp_flow_evicted4, key.sport_be)
                                           : offsetof(knp_flow_evicted6, key.sport_be);
          if (header.type != KNP_EVENT_flow_evicted4 && header.type != KNP_EVENT_flow_evicted6) return;
          __be16 sport_be;
          std::memcpy(&sport_be, record + sport_at, sizeof sport_be);
          evicted++;
          elephant_evicted += PortOf(sport_be) == kElephant;
        });
      }
    }
    EXPECT_GT(evicted, 15000u) << "IPv" << version;
    EXPECT_EQ(elephant_evicted, 0u) << "IPv" << version;
  }
}

// Longest idle goes first, whatever it has carried: an elephant that has fallen silent must not hold its slot for ever.
TEST_P(TableBpfTest, SilentElephant_NewFlowsAfterAWhile_IsEvictedFirst) {
  Load();
  constexpr unsigned kElephant = 65535;
  Run(UdpFrame(6, kElephant), 1000);               // IPv6 has one bucket a CPU here: all flows meet in it
  std::this_thread::sleep_for(milliseconds(700));  // more than 64 ticks, also where a tick is 10 ms
  std::vector<std::uint16_t> victims;
  for (unsigned port = 1; port <= 8; port++) Run(UdpFrame(6, port));
  Reader6 reader = MakeReader6();
  runner_->Consume(65536, [&](const std::byte* record, std::size_t) {
    knp_flow_evicted6 e;
    std::memcpy(&e, record, sizeof e.h);
    if (e.h.type != KNP_EVENT_flow_evicted6) return;
    std::memcpy(&e, record, sizeof e);
    victims.push_back(PortOf(e.key.sport_be));
  });
  ASSERT_EQ(victims.size(), 5u) << "eight and the elephant in four slots";
  EXPECT_EQ(victims[0], kElephant);
}

// Among equals every way must age: a way that is never chosen would hold dead flows for ever.
TEST_P(TableBpfTest, EqualFlows_ManyEvictions_EveryWayIsChosen) {
  Load();
  std::map<std::uint64_t, int> ways;
  for (unsigned port = 1; port <= 4000; port++) {
    Run(UdpFrame(6, port));
    if (port % 500 != 0) continue;
    runner_->Consume(65536, [&](const std::byte* record, std::size_t) {
      knp_flow_evicted6 e;
      std::memcpy(&e, record, sizeof e.h);
      if (e.h.type != KNP_EVENT_flow_evicted6) return;
      std::memcpy(&e, record, sizeof e);
      ways[e.index % KNP_WAYS]++;
    });
  }
  ASSERT_EQ(ways.size(), std::size_t{KNP_WAYS});
  for (const auto& [way, times] : ways) EXPECT_GT(times, 500) << "way " << way;
}

// The generation protocol, one thread: flows of random size in a table of 64 slots, records and slots read at random
// times and in random amounts.
TEST_P(TableBpfTest, Reader_RandomEvictionsAndReads_HandsOnEveryPacketOnce) {
  Load(std::size_t{16} << 20);  // a perf buffer's part of one CPU must hold what is not read
  Reader4 reader = MakeReader4();
  std::mt19937 random(7);
  std::map<std::uint16_t, Count> sent;
  Bytes frame = UdpFrame(4, 0);
  const std::uint64_t runs = Scaled(60'000, 12'000);
  for (std::uint64_t i = 0; i < runs; i++) {
    const unsigned port = random() % 400 + 1;
    const int repeat = random() % 16 == 0 ? static_cast<int>(random() % 50) + 1 : 1;
    frame[kPortAt] = static_cast<std::uint8_t>(port >> 8);
    frame[kPortAt + 1] = static_cast<std::uint8_t>(port);
    Run(frame, repeat);
    sent[static_cast<std::uint16_t>(port)] +=
        {static_cast<std::uint64_t>(repeat), frame.size() * static_cast<std::uint64_t>(repeat)};
    if (random() % 50 == 0) reader.Consume(random() % 40 + 1);
    if (random() % 20 == 0) reader.Scan();
  }
  reader.ReadAll();
  EXPECT_EQ(reader.told.out_of_step, 0u);
  EXPECT_GT(reader.told.evictions, runs / 6);
  EXPECT_EQ(runner_->Counters().lost[KNP_L_RING_FULL].packets, 0u);
  for (const auto& [port, count] : sent) EXPECT_TRUE(reader.told.flows[port] == count) << "flow " << port;
  EXPECT_EQ(reader.told.flows.size(), sent.size());
}

// The same with the kernel writing on another CPU while user space reads: torn reads must cost nothing.
template <typename R>
void ReadWhileWritten(ProgramRunner* runner, R* reader, const std::vector<unsigned>& cpus, int version) {
  std::atomic<bool> done = false;
  std::map<std::uint16_t, Count> sent;
  std::thread writer([&] {
    ASSERT_TRUE(PinTo(cpus[1]).ok());
    std::mt19937 random(11);
    Bytes frame = UdpFrame(version, 0, 40);
    const std::size_t at = version == 4 ? kPortAt : 54;
    const auto end = steady_clock::now() + Scaled(milliseconds(1500), milliseconds(400));
    while (steady_clock::now() < end) {
      const unsigned port = random() % 100 + 1;
      const int repeat = static_cast<int>(random() % 200) + 1;
      frame[at] = 0;
      frame[at + 1] = static_cast<std::uint8_t>(port);
      const auto outcome = runner->Run(frame, {.repeat = repeat});
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      sent[static_cast<std::uint16_t>(port)] +=
          {static_cast<std::uint64_t>(repeat), frame.size() * static_cast<std::uint64_t>(repeat)};
    }
    done = true;
  });
  while (!done) {
    reader->Consume(1000);
    for (int i = 0; i < 50; i++) reader->Scan();
  }
  writer.join();
  reader->ReadAll();
  EXPECT_EQ(reader->told.out_of_step, 0u);
  const knp_count lost = runner->Counters().lost[KNP_L_RING_FULL];
  Count all;
  for (const auto& [port, count] : sent) all += count;
  EXPECT_EQ(reader->told.Sum().packets + lost.packets, all.packets);
  EXPECT_EQ(reader->told.Sum().bytes + lost.bytes, all.bytes);
  if (lost.packets != 0) return;
  for (const auto& [port, count] : sent) EXPECT_TRUE(reader->told.flows[port] == count) << "flow " << port;
}

TEST_P(TableBpfTest, Reader_WhileAnotherCpuWritesIpv4_HandsOnEveryPacketOnce) {
  if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  Load();
  Reader4 reader = MakeReader4();
  ReadWhileWritten(runner_.get(), &reader, cpus_, 4);
}

TEST_P(TableBpfTest, Reader_WhileAnotherCpuWritesIpv6_HandsOnEveryPacketOnce) {
  if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  Load();
  Reader6 reader = MakeReader6();
  ReadWhileWritten(runner_.get(), &reader, cpus_, 6);
}

// The generation has 16 bits: it wraps after 32,768 owners of one slot.
TEST_P(TableBpfTest, Generation_ManyOwnersOfOneBucket_WrapsUnnoticed) {
  Load();
  Reader6 reader = MakeReader6();
  Bytes frame = UdpFrame(6, 0);
  Count sent;
  constexpr unsigned kFlows = 4 * 33000 + 4;  // in four ways
  for (unsigned i = 0; i < kFlows; i++) {
    frame[54] = static_cast<std::uint8_t>(i >> 8);
    frame[55] = static_cast<std::uint8_t>(i);
    frame[56] = static_cast<std::uint8_t>(i >> 16);
    Run(frame);
    sent += {1, frame.size()};
    if (i % 1000 == 0) reader.Consume(65536);
    if (i % 7000 == 0) reader.Scan();
  }
  reader.ReadAll();
  EXPECT_EQ(reader.told.out_of_step, 0u);
  EXPECT_TRUE(reader.told.Sum() == sent) << reader.told.Sum().packets << " of " << sent.packets;
}

// A ring of one page and nobody who reads it: what finds no slot is lost, counted, and nothing else is touched.
TEST_P(TableBpfTest, Ring_FullAndUnread_LossIsCountedAndTheRestExact) {
  Load(1);
  ASSERT_EQ(runner_->sizes().ring_bytes, static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE)));
  Reader4 reader = MakeReader4();
  Bytes frame = UdpFrame(4, 0);
  Count sent;
  for (unsigned port = 1; port <= 3000; port++) {
    frame[kPortAt] = static_cast<std::uint8_t>(port >> 8);
    frame[kPortAt + 1] = static_cast<std::uint8_t>(port);
    Run(frame);
    sent += {1, frame.size()};
  }
  const knp_count lost = runner_->Counters().lost[KNP_L_RING_FULL];
  EXPECT_GT(lost.packets, 2000u);
  EXPECT_EQ(lost.bytes, lost.packets * frame.size());
  reader.ReadAll();
  EXPECT_EQ(reader.told.out_of_step, 0u);
  EXPECT_EQ(reader.told.Sum().packets + lost.packets, sent.packets);
  EXPECT_EQ(reader.told.Sum().bytes + lost.bytes, sent.bytes);
  EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].packets, sent.packets);

  // Once the ring has room again, new flows get slots again.
  const std::uint64_t before = runner_->Counters().lost[KNP_L_RING_FULL].packets;
  for (unsigned port = 5001; port <= 5020; port++) Run(UdpFrame(4, port));
  EXPECT_EQ(runner_->Counters().lost[KNP_L_RING_FULL].packets, before);
}

INSTANTIATE_TEST_SUITE_P(Ways, TableBpfTest, ::testing::ValuesIn(kWays), WayName);

}  // namespace
}  // namespace knp::test
