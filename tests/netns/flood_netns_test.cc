// A flood from sources that are made up, on a live veth pair: its detail is given up, its counts are not, and who is not
// concerned, a slow scan of the very victim among them, is told of as ever.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/program_runner.h"
#include "tests/support/scale.h"
#include "tests/support/witness.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using std::chrono::milliseconds;

constexpr unsigned kScanner = 33333;

class FloodTest : public LedgerTest, public ::testing::WithParamInterface<int> {
 protected:
  std::unique_ptr<WatchedLink> WatchFlood(const MonitorOptions& options = {}) {
    auto link = Watch(Side::kA, options);
    if (!link) return link;
    witness_.Listen(&link->monitor());
    link->monitor().SetFlowHandler([this, book = &link->book_to_fill()](const FlowRecord& record) {
      book->Add(record);
      const std::lock_guard lock(mutex_);
      if (record.folded) folded_[record.id] = record;
    });
    return link;
  }
  std::vector<FlowRecord> Folded() {
    const std::lock_guard lock(mutex_);
    std::vector<FlowRecord> last;
    for (const auto& [id, record] : folded_) last.push_back(record);
    return last;
  }
  // A SYN to each of `ports` ports of the flood's victim, one each 100 ms, while it lasts.
  void Scan(int version, unsigned ports) {
    const bool sent = rig_->RunIn(Side::kA, [&] {
      auto sender = FrameSender::Open(rig_->interface(Side::kA));
      if (!sender.ok()) return false;
      for (unsigned port = 1; port <= ports; port++) {
        std::this_thread::sleep_for(milliseconds(100));
        const Bytes tcp = Tcp({.sport = kScanner, .dport = port});
        if (!sender
                 ->Send(version == 4 ? Join({Ethernet(0x0800), Ipv4({}, tcp)})
                                     : Join({Ethernet(0x86dd), Ipv6({}, tcp)}))
                 .ok())
          return false;
      }
      return true;
    });
    EXPECT_TRUE(sent);
  }
  std::set<std::uint16_t> PortsTold() const {
    std::set<std::uint16_t> ports;
    for (const Event& event : witness_.Events(EventType::kFlowStarted))
      if (event.source.port == kScanner) ports.insert(event.destination.port);
    return ports;
  }

  Witness witness_;

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, FlowRecord> folded_;
};

TEST_P(FloodTest, SpoofedFlood_WithAScanInside_IsExactAndTheScanIsTold) {
  if (!CountsSegments()) GTEST_SKIP() << "nothing is folded here: no programs, jiffies or gso";
  const int version = GetParam();
  MakeRig();
  MonitorOptions options;
  options.new_flows_per_second = static_cast<std::uint32_t>(Scaled(10'000, 1000));
  const auto a = WatchFlood(options);
  ASSERT_TRUE(a);
  std::atomic<bool> stop = false;
  FloodResult sent;
  std::thread flood([&] { sent = FloodFrom(Side::kA, {.ip_version = version, .flows = 8'000'000, .stop = &stop}); });
  constexpr unsigned kPorts = 25;
  Scan(version, kPorts);
  stop = true;
  flood.join();
  const PacketStats stats = a->Finish();
  const std::uint64_t budget = options.new_flows_per_second;
  ASSERT_GT(sent.frames, 10 * budget) << "no flood";
  EXPECT_EQ(stats.total.seen.packets, sent.frames + kPorts);
  EXPECT_EQ(stats.total.in_flows.packets, sent.frames + kPorts);
  EXPECT_TRUE(stats.total.lost.empty());
  EXPECT_EQ(PortsTold().size(), kPorts);

  const std::vector<FlowRecord> folded = Folded();
  EXPECT_EQ(folded.size(), 3u) << "the sender's source ports hold two that amplifiers have, 1900 and 3702";
  Count all;
  for (const FlowRecord& one : folded) {
    all += one.sent;
    EXPECT_EQ(one.source.ip.version, 0);
    EXPECT_TRUE(one.source.port == 0 || one.source.port == 1900 || one.source.port == 3702) << one.source.port;
    EXPECT_EQ(one.destination.ip.ToString(), version == 4 ? "10.0.0.2" : "2001:db8::2");
    EXPECT_EQ(one.destination.port, 9);
    EXPECT_EQ(one.protocol, 17);
    EXPECT_EQ(one.state, FlowState::kActive);
    EXPECT_EQ(one.received, Count{});
  }
  EXPECT_EQ(all, stats.folded);
  // A second's worth at once, then the rate: on each CPU that the sender was on.
  const double most = static_cast<double>(budget) * (sent.seconds + 1.5) * static_cast<double>(UsableCpus().size());
  EXPECT_GT(static_cast<double>(stats.folded.packets), static_cast<double>(sent.frames) - most);
}

TEST_P(FloodTest, LoadBelowTheBudget_NothingIsFolded) {
  MakeRig();
  const auto a = WatchFlood();
  ASSERT_TRUE(a);
  const std::uint64_t frames = Scaled(12'000, 2000);
  const FloodResult sent =
      FloodFrom(Side::kA, {.ip_version = GetParam(), .flows = 100'000, .frames = frames, .frames_per_second = 6000});
  const PacketStats stats = a->Finish();
  EXPECT_EQ(sent.frames, frames);
  EXPECT_EQ(stats.folded, Count{});
  EXPECT_EQ(a->book().flows(), frames);
  EXPECT_EQ(witness_.Events(EventType::kFlowStarted).size(), frames);
}

INSTANTIATE_TEST_SUITE_P(Families, FloodTest, ::testing::Values(4, 6), ::testing::PrintToStringParamName());

}  // namespace
}  // namespace knp::test
