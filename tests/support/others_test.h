// What the tests of living with others start from: a rig whose side b is watched, a ping flood and a TCP stream through
// it from the first moment to the last, and who else touches it. The parameter: MonitorOptions::disable_features.
#ifndef KNP_TESTS_SUPPORT_OTHERS_TEST_H_
#define KNP_TESTS_SUPPORT_OTHERS_TEST_H_

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/netns_rig.h"
#include "tests/support/others.h"
#include "tests/support/steady_traffic.h"
#include "tests/support/test_program.h"
#include "tests/support/watched_link.h"
#include "tests/support/witness.h"

namespace knp::test {

inline constexpr Direction kDirections[] = {Direction::kIngress, Direction::kEgress};
inline constexpr std::chrono::milliseconds kCheckInterval{200};
inline constexpr std::chrono::milliseconds kSoon{15'000};  // for slow guests; what must be fast is measured

class OthersTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }

  void SetUp() override { MakeRig({}); }
  void TearDown() override {
    if (traffic_) traffic_->Abandon();
  }
  void MakeRig(const NetnsRig::Options& options) {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create(options);
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }
  void StartTraffic() {
    auto traffic = SteadyTraffic::Start(*rig_);
    ASSERT_TRUE(traffic.ok()) << traffic.status();
    traffic_ = *std::move(traffic);
    ASSERT_TRUE(traffic_->Flow());
  }
  MonitorOptions Options() const {
    MonitorOptions options;
    options.events_per_second = 0;
    options.disable_features = GetParam();
    options.hook_check_interval = kCheckInterval;
    return options;
  }
  void Watch() { Watch(Options()); }
  void Watch(const MonitorOptions& options) {
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    ASSERT_TRUE(watched.ok()) << watched.status();
    watched_ = *std::move(watched);
    witness_.Listen(&watched_->monitor());
  }
  void WatchAndStartTraffic() {
    ASSERT_NO_FATAL_FAILURE(Watch());
    ASSERT_NO_FATAL_FAILURE(StartTraffic());
  }
  void WatchAndStartTraffic(const MonitorOptions& options) {
    ASSERT_NO_FATAL_FAILURE(Watch(options));
    ASSERT_NO_FATAL_FAILURE(StartTraffic());
  }
  template <typename F>
  std::invoke_result_t<F> In(F&& f) const {
    return rig_->RunIn(Side::kB, std::forward<F>(f));
  }
  std::uint32_t ifindex() const { return rig_->ifindex(Side::kB); }
  NetworkMonitor& monitor() { return watched_->monitor(); }
  // How ours are attached: "tcx" or "clsact".
  std::string Mechanism() { return monitor().ListPrograms().at(0).mechanism; }

  static TestProgram Load(const std::string& name, int verdict = kVerdictNext, int one_in = 1) {
    auto program = TestProgram::Load(name, verdict, one_in);
    if (!program.ok()) {
      ADD_FAILURE() << program.status();
      std::abort();
    }
    return *std::move(program);
  }

  InterfaceStats Stats(const std::string& interface = "veth_b") {
    const auto stats = monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() ? StatsOf(*stats, interface) : InterfaceStats();
  }
  std::vector<Event> Await(EventType type, std::size_t how_many) {
    EXPECT_TRUE(WaitFor(kSoon, [&] { return witness_.Events(type).size() >= how_many; }))
        << how_many << " of " << EventTypeName(type);
    return witness_.Events(type);
  }
  // Lets traffic flow until the watch has looked `checks` times since now.
  void AwaitChecks(int checks) {
    std::this_thread::sleep_for(kCheckInterval * checks + kCheckInterval / 4);
    EXPECT_TRUE(traffic_->Flow());
  }
  // Ours and the unseen ones are all, but for one packet a CPU that was between hook and counter when we attached
  // (UnseenMeter::Start).
  static void ExpectAll(std::uint64_t ours_and_unseen, std::uint64_t moved) {
    EXPECT_LE(ours_and_unseen, moved);
    EXPECT_GE(ours_and_unseen + std::thread::hardware_concurrency(), moved);
  }
  // Ends all: nothing was lost, the ledger balances, ours and unseen together are what the interface counted.
  PacketStats End() {
    traffic_->StopAndExpectNoLoss();
    PacketStats stats = watched_->Finish();
    const InterfaceStats ours = StatsOf(stats, "veth_b");
    const datapath::LinkInfo moved = watched_->Moved();
    ExpectAll(ours.rx.skbs + ours.unseen.rx_packets, moved.rx_packets);
    ExpectAll(ours.tx.skbs + ours.unseen.tx_packets, moved.tx_packets);
    EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
    return stats;
  }

  std::unique_ptr<NetnsRig> rig_;
  Witness witness_;
  std::unique_ptr<WatchedLink> watched_;
  std::unique_ptr<SteadyTraffic> traffic_;
};

inline std::string WayName(const ::testing::TestParamInfo<const char*>& test) { return *test.param ? "Clsact" : "Tcx"; }

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_OTHERS_TEST_H_
