// The replay in the kernel against the replay on the host: the same frames give the same counts, flows and notices.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/datapath/features.h"
#include "src/datapath/reasons.h"
#include "src/datapath/replay_engine.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/recording_sink.h"
#include "tests/support/replay_frames.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using datapath::KernelCounters;
using datapath::ReplayEngine;

constexpr std::uint32_t kInterfaces = 3;

// An engine and what it told. No budget stands in the way: the two parts of a kernel replay have one each.
struct Replay {
  RecordingSink sink;
  std::unique_ptr<ReplayEngine> engine;

  explicit Replay(ReplayEngine::Mode mode, std::uint32_t new_flows_per_second = 0) {
    MonitorOptions options;
    options.new_flows_per_second = new_flows_per_second;
    options.events_per_second = 100'000'000;
    options.sample_bytes_per_second = std::uint64_t{1} << 40;
    auto created = ReplayEngine::Create(options, &sink, mode);
    EXPECT_TRUE(created.ok()) << created.status();
    if (!created.ok()) return;
    engine = *std::move(created);
    for (std::uint32_t i = 0; i < kInterfaces; i++) EXPECT_EQ(*engine->AddInterface(), i);
  }
  void Run(const OwnedFrame& frame) const {
    const absl::Status status = engine->Run(frame.View());
    ASSERT_TRUE(status.ok()) << status;
  }
  void Finish() const {
    ASSERT_TRUE(engine->Consume().ok());
    engine->ScanAll();
  }
  std::string Ledger(InterfaceId interface) const {
    const KernelCounters sum = engine->Read(interface);
    std::string text = fmt::format("rx {}/{} tx {}/{}", sum.rx.packets, sum.rx.bytes, sum.tx.packets, sum.tx.bytes);
    for (unsigned i = 0; i < KNP_REASONS; i++)
      if (sum.remainder[i].packets != 0)
        text += fmt::format(" {} {}/{}", datapath::ReasonName(i), sum.remainder[i].packets, sum.remainder[i].bytes);
    for (unsigned i = 0; i < KNP_LOSSES; i++)
      if (sum.lost[i].packets != 0) text += fmt::format(" lost {}", sum.lost[i].packets);
    return text;
  }
};

std::string TextOf(const RecordingSink::Flow& flow) {
  return fmt::format("{}/{} from {} to {} flags {} fragments {}", flow.count.packets, flow.count.bytes, flow.first_ns,
                     flow.last_ns, flow.tcp_flags, flow.fragments);
}

// A flow of which the kernel's part and the host's had one packet each ends at a packet's time, not at a tick's.
bool SameTick(std::uint64_t a_ns, std::uint64_t b_ns) { return a_ns / KNP_REPLAY_TICK_NS == b_ns / KNP_REPLAY_TICK_NS; }

bool KernelCanReplay() {
  const auto features = datapath::Features::Probe("");
  return features.ok() && features->TakesCurrentPrograms() && features->Has(datapath::Feature::kRingbuf);
}

// Both have one set of meters and one hash: they fold the same packets.
TEST(ReplayBpfTest, Floods_KernelAndHost_FoldTheSame) {
  if (!KernelCanReplay()) GTEST_SKIP() << "the replay's program needs Linux 5.8";
  const Replay kernel(ReplayEngine::Mode::kKernel, 100), native(ReplayEngine::Mode::kNative, 100);
  ASSERT_TRUE(kernel.engine && native.engine);
  for (unsigned i = 0; i < 6000; i++) {
    // A port, a host's ports, and anything at all, in turn.
    const unsigned dport = i < 2000 ? 443 : 1 + i * 7919 % 60000;
    Bytes bytes =
        Join({Ethernet(0x0800), Ipv4({}, Tcp({.flags = i % 5 == 0 ? 16u : 2u, .sport = 1 + i, .dport = dport}))});
    bytes[28] = static_cast<std::uint8_t>(i >> 8);
    bytes[29] = static_cast<std::uint8_t>(i);
    if (i >= 4000) bytes[33] = static_cast<std::uint8_t>(i * 31);
    datapath::ReplayFrame frame;
    frame.data = bytes;
    frame.length = static_cast<std::uint32_t>(bytes.size());
    frame.time_ns = 1'700'000'000'000'000'000 + i * 500'000ull;
    for (const Replay* replay : {&kernel, &native}) ASSERT_TRUE(replay->engine->Run(frame).ok());
  }
  kernel.Finish();
  native.Finish();
  EXPECT_GT(native.engine->ReadEventCounters().folded.packets, 4000u);
  EXPECT_EQ(kernel.engine->ReadEventCounters().folded, native.engine->ReadEventCounters().folded);
  EXPECT_EQ(kernel.engine->ReadEventCounters().inserted, native.engine->ReadEventCounters().inserted);
  EXPECT_EQ(kernel.sink.notices.size(), native.sink.notices.size());
  ASSERT_EQ(kernel.sink.flows.size(), native.sink.flows.size());
  for (const auto& [name, flow] : native.sink.flows) {
    const auto same = kernel.sink.flows.find(name);
    ASSERT_NE(same, kernel.sink.flows.end()) << name;
    EXPECT_EQ(TextOf(same->second), TextOf(flow)) << name;
  }
}

TEST(ReplayBpfTest, RandomFrames_KernelAndHost_TellTheSame) {
  if (!KernelCanReplay()) GTEST_SKIP() << "the replay's program needs Linux 5.8";
  const Replay kernel(ReplayEngine::Mode::kKernel), native(ReplayEngine::Mode::kNative);
  ASSERT_TRUE(kernel.engine && native.engine);
  const std::size_t count = Scaled(20'000, 5'000);
  Count sent;
  for (const OwnedFrame& frame : RandomFrames(5, count, kInterfaces)) {
    kernel.Run(frame);
    native.Run(frame);
    sent += {1, frame.frame.length};
    if (HasFailure()) return;
  }
  kernel.Finish();
  native.Finish();
  Count seen;
  for (InterfaceId i = 0; i < kInterfaces; i++) {
    EXPECT_EQ(kernel.Ledger(i), native.Ledger(i));
    const KernelCounters sum = kernel.engine->Read(i);
    seen += {sum.rx.packets + sum.tx.packets, sum.rx.bytes + sum.tx.bytes};
  }
  EXPECT_TRUE(seen == sent) << seen.packets << " of " << sent.packets << " packets, " << seen.bytes << " bytes";
  EXPECT_EQ(kernel.sink.flows.size(), native.sink.flows.size());
  for (const auto& [name, flow] : native.sink.flows) {
    const RecordingSink::Flow& other = kernel.sink.flows.at(name);
    EXPECT_TRUE(other.count == flow.count && other.first_ns == flow.first_ns && SameTick(other.last_ns, flow.last_ns) &&
                other.tcp_flags == flow.tcp_flags && other.fragments == flow.fragments)
        << name << ": in the kernel " << TextOf(other) << ", on the host " << TextOf(flow);
  }
  bool tunnels[5] = {};
  for (const FlowDelta& delta : native.sink.deltas) tunnels[static_cast<int>(delta.tuple.tunnel.type)] = true;
  for (const bool tunnel : tunnels) EXPECT_TRUE(tunnel) << "a kind of tunnel that the frames do not have";
  const datapath::EventCounters counters = native.engine->ReadEventCounters();
  EXPECT_EQ(kernel.engine->ReadEventCounters().inner_malformed, counters.inner_malformed);
  EXPECT_GT(counters.inner_malformed, count / 100);
  EXPECT_EQ(counters.inner_lost, 0u);
  EXPECT_EQ(counters.malformed_records, 0u);
  EXPECT_EQ(kernel.engine->ReadEventCounters().malformed_records, 0u);
  EXPECT_GT(kernel.engine->native_frames().too_short, 0u);
  EXPECT_GT(kernel.engine->native_frames().too_long, 0u);
  EXPECT_LT(kernel.engine->native_frames().all, count / 4);
  EXPECT_EQ(native.engine->native_frames().all, count);
}

std::vector<std::string> NoticesOf(const RecordingSink& sink) {
  std::vector<std::string> texts;
  for (const PacketNotice& notice : sink.notices) texts.push_back(RecordingSink::TextOf(notice));
  return texts;
}

std::vector<std::string> SamplesOf(const RecordingSink& sink) {
  std::vector<std::string> texts;
  for (const RecordingSink::Sample& sample : sink.samples)
    texts.push_back(fmt::format("{} at {}: flags {} sequence {} length {}: {:02x}",
                                RecordingSink::NameOf(sample.head.tuple, sample.head.interface, sample.head.direction),
                                sample.head.mono_ns, sample.head.tcp_flags, sample.head.sequence, sample.head.length,
                                fmt::join(sample.data, "")));
  return texts;
}

// Of frames that all go into the kernel, one by one and in order.
TEST(ReplayBpfTest, RandomFrames_KernelAndHost_TellTheSameNoticesAndSamples) {
  if (!KernelCanReplay()) GTEST_SKIP() << "the replay's program needs Linux 5.8";
  const Replay kernel(ReplayEngine::Mode::kKernel), native(ReplayEngine::Mode::kNative);
  ASSERT_TRUE(kernel.engine && native.engine);
  for (const OwnedFrame& frame : RandomFrames(6, Scaled(20'000, 8'000), kInterfaces)) {
    if (frame.bytes.size() < 54 || frame.bytes.size() > 3600) continue;
    kernel.Run(frame);
    native.Run(frame);
    if (HasFailure()) return;
  }
  kernel.Finish();
  native.Finish();
  EXPECT_EQ(kernel.engine->native_frames().all, 0u);
  EXPECT_EQ(NoticesOf(kernel.sink), NoticesOf(native.sink));
  EXPECT_EQ(SamplesOf(kernel.sink), SamplesOf(native.sink));
  bool told[5] = {};
  for (const PacketNotice& notice : native.sink.notices) told[static_cast<int>(notice.kind)] = true;
  for (const bool kind : told) EXPECT_TRUE(kind) << "a kind of notice that the frames do not cause";
  EXPECT_GT(native.sink.samples.size(), 1000u);
  EXPECT_GT(native.engine->ReadEventCounters().evicted, 100u) << "no connection came again";
}

}  // namespace
}  // namespace knp::test
