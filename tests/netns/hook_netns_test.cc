// The watch over our hooks, through the public API: somebody ends the chain before us, takes us away, or packets pass
// where no hook can see them. Each is told, named, and put right where that can be.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/clsact.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
#include "tests/support/kernel_features.h"
#include "tests/support/scale.h"
#include "tests/support/test_program.h"
#include "tests/support/traffic.h"
#include "tests/support/watched_link.h"
#include "tests/support/witness.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Direction kDirections[] = {Direction::kIngress, Direction::kEgress};

// Side b is watched; a steady flood passes each of its hooks.
class HookTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }

  void SetUp() override {
    if (*GetParam() == '\0' && !tcx()) GTEST_SKIP() << "no tcx here, and clsact has its own case";
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    MonitorOptions options;
    options.events_per_second = 0;
    options.disable_features = GetParam();
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    ASSERT_TRUE(watched.ok()) << watched.status();
    watched_ = *std::move(watched);
    witness_.Listen(&watched_->monitor());
    for (Side side : {Side::kA, Side::kB}) floods_.emplace_back([this, side] { FloodFrom(side); });
    std::this_thread::sleep_for(milliseconds(200));
  }
  void TearDown() override { StopFloods(); }

  bool tcx() const { return KernelHas(datapath::Feature::kTcx, GetParam()); }
  void FloodFrom(Side side) {
    const FloodOptions options{
        .ip_version = side == Side::kA ? 4 : 6, .flows = 10, .frames_per_second = 5000, .stop = &stop_};
    const auto sent = rig_->RunIn(side, [&] { return Flood(rig_->interface(side), options); });
    EXPECT_TRUE(sent.ok()) << sent.status();
  }
  void StopFloods() {
    stop_ = true;
    for (std::thread& flood : floods_) flood.join();
    floods_.clear();
  }

  InterfaceStats Stats() {
    const auto stats = watched_->monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return StatsOf(*stats, "veth_b");
  }
  // Waits for one event of each hook, which must come soon enough.
  std::vector<Event> AwaitBoth(EventType type) {
    const auto start = steady_clock::now();
    WaitFor(Patience(milliseconds(4000)), [&] { return witness_.Events(type).size() >= 2; });
    EXPECT_LE(steady_clock::now() - start, Patience(milliseconds(2500)));
    std::vector<Event> events = witness_.Events(type);
    EXPECT_GE(events.size(), 2u) << EventTypeName(type) << " of each hook";
    for (const Event& event : events) EXPECT_EQ(event.interface, "veth_b");
    return events;
  }
  void ExpectSeeing() {
    const InterfaceStats before = Stats();
    InterfaceStats after = before;
    const auto saw = [&](const TrafficCount& now, const TrafficCount& then) {
      return now.packets > then.packets + 1000;
    };
    WaitFor(Patience(milliseconds(400)), [&] {
      after = Stats();
      return saw(after.rx, before.rx) && saw(after.tx, before.tx);
    });
    EXPECT_TRUE(saw(after.rx, before.rx)) << "we do not see what comes";
    EXPECT_TRUE(saw(after.tx, before.tx)) << "we do not see what goes";
  }
  void End() {
    StopFloods();
    watched_->Finish();
  }

  // Puts a program before ours at both hooks.
  void PutBefore(const TestProgram& program) {
    for (Direction direction : kDirections)
      rig_->RunIn(Side::kB, [&] { tcx() ? PutTcxBefore(program, direction) : PutFilterBefore(program, direction); });
  }
  void PutTcxBefore(const TestProgram& program, Direction direction) {
    constexpr std::uint32_t kBefore = 1u << 3, kIngress = 46, kEgress = 47;
    std::uint32_t arguments[8] = {static_cast<std::uint32_t>(program.fd()), rig_->ifindex(Side::kB),
                                  direction == Direction::kIngress ? kIngress : kEgress, kBefore};
    links_.emplace_back(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, arguments, sizeof arguments)));
    EXPECT_TRUE(links_.back().valid());
  }
  void PutFilterBefore(const TestProgram& program, Direction direction) {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = static_cast<int>(rig_->ifindex(Side::kB));
    hook.attach_point = direction == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    bpf_tc_opts options{};
    options.sz = sizeof options;
    options.prog_fd = program.fd();
    options.priority = 1;
    EXPECT_EQ(bpf_tc_attach(&hook, &options), 0);
  }

  // Takes ours away, as an administrator might: a link by its id, a filter by its program.
  void TakeOursAway() {
    const std::vector<ProgramInfo> programs = watched_->monitor().ListPrograms();
    ASSERT_EQ(programs.size(), 2u);
    // More than one each, where we are back before it has looked at all.
    for (const ProgramInfo& ours : programs) EXPECT_GT(tcx() ? DetachLinksOf(ours.id) : DeleteFilter(ours), 0);
  }
  int DeleteFilter(const ProgramInfo& ours) {
    return rig_->RunIn(Side::kB, [&] {
      auto socket = datapath::NetlinkSocket::Open();
      EXPECT_TRUE(socket.ok()) << socket.status();
      return datapath::DeleteFiltersOf(*socket, rig_->ifindex(Side::kB), datapath::ClsactParent(ours.direction),
                                       ours.id);
    });
  }
  static int DetachLinksOf(std::uint32_t program) {
    int detached = 0;
    for (__u32 id = 0; bpf_link_get_next_id(id, &id) == 0;) {
      const UniqueFd link(bpf_link_get_fd_by_id(id));
      bpf_link_info info{};
      __u32 size = sizeof info;
      if (!link.valid() || bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0 || info.prog_id != program) continue;
      detached += bpf_link_detach(link.get()) == 0;
    }
    return detached;
  }

  std::unique_ptr<NetnsRig> rig_;
  std::unique_ptr<WatchedLink> watched_;
  Witness witness_;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> floods_;
  std::vector<UniqueFd> links_;
};

TEST_P(HookTest, ForeignProgram_EndsTheChainBeforeUs_IsNamedAndPassed) {
  auto program = TestProgram::Load("foreign_pass", kVerdictPass);
  ASSERT_TRUE(program.ok()) << program.status();
  PutBefore(*program);
  for (const Event& event : AwaitBoth(EventType::kHookShadowed))
    EXPECT_THAT(event.detail,
                AllOf(HasSubstr("foreign_pass"), HasSubstr(std::to_string(program->id())), HasSubstr("first again")));
  ExpectSeeing();
  const InterfaceStats stats = Stats();
  EXPECT_TRUE(stats.hook_shadowed);
  EXPECT_GT(stats.unseen.rx_packets, 500u);
  EXPECT_GT(stats.unseen.tx_packets, 500u);
  EXPECT_THAT(stats.unseen.cause, HasSubstr("foreign_pass"));
  const std::uint64_t ran = program->Count();
  EXPECT_TRUE(WaitFor(Patience(milliseconds(100)), [&] { return program->Count() > ran; }))
      << "theirs must still run: we only go before it";
  EXPECT_EQ(witness_.Events(EventType::kHookShadowed).size(), 2u);
  End();
}

TEST_P(HookTest, ForeignProgram_ThatLetsUsSee_IsLeftAlone) {
  auto program = TestProgram::Load("foreign_next", kVerdictNext);
  ASSERT_TRUE(program.ok()) << program.status();
  PutBefore(*program);
  std::this_thread::sleep_for(milliseconds(1600));
  EXPECT_TRUE(witness_.Events(EventType::kHookShadowed).empty());
  EXPECT_FALSE(Stats().hook_shadowed);
  EXPECT_GT(program->Count(), Scaled(5000, 500));
  End();
}

TEST_P(HookTest, OurHooks_TakenAway_AreToldAndPutBack) {
  TakeOursAway();
  for (const Event& event : AwaitBoth(EventType::kHookRepaired))
    EXPECT_THAT(event.detail, AllOf(HasSubstr("veth_b"), HasSubstr("stands again")));
  ExpectSeeing();
  EXPECT_EQ(watched_->monitor().ListPrograms().size(), 2u);
  const InterfaceStats stats = Stats();
  EXPECT_GT(stats.unseen.rx_packets + stats.unseen.tx_packets, 0u);
  EXPECT_FALSE(stats.hook_shadowed);
  End();
}

INSTANTIATE_TEST_SUITE_P(Ways, HookTest, ::testing::Values("", "tcx"),
                         [](const auto& test) { return std::string(*test.param ? "Clsact" : "Tcx"); });

// ---- what no hook can see ------------------------------------------------------------------------------------------

// All of them, but for one a CPU, if the first reading fell between them (UnseenMeter::Start).
void ExpectUnseen(std::uint64_t unseen, std::uint64_t sent) {
  EXPECT_LE(unseen, sent);
  EXPECT_GE(unseen + std::thread::hardware_concurrency(), sent);
}

TEST(UnseenTest, FramesPastTheEgressHook_AreUnseenAndOutsideTheLedger) {
  absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
  ASSERT_TRUE(rig.ok()) << rig.status();
  auto watched = WatchedLink::Start(*rig, Side::kA);
  ASSERT_TRUE(watched.ok()) << watched.status();
  const auto sent = rig->RunIn(Side::kA, [] { return Flood("veth_a", {.flows = 5, .frames = 200}); });
  ASSERT_TRUE(sent.ok());
  auto sender = rig->RunIn(Side::kA, [] { return FrameSender::Open("veth_a"); });
  ASSERT_TRUE(sender.ok() && sender->BypassHooks().ok());
  const Frame frame = testing::Join({testing::Ethernet(ETH_P_IP), testing::Ipv4({}, testing::Tcp())});
  for (int i = 0; i < 100; i++) ASSERT_TRUE(sender->Send(frame).ok());
  std::this_thread::sleep_for(milliseconds(1200));
  const PacketStats stats = (*watched)->Finish();
  const InterfaceStats& ours = stats.interfaces.at(0);
  EXPECT_EQ(ours.tx.packets, 200u);
  ExpectUnseen(ours.unseen.tx_packets, 100);
  EXPECT_EQ(ours.unseen.rx_packets, 0u);
  EXPECT_EQ(ours.unseen.cause, "") << "nobody can know";
  EXPECT_FALSE(ours.hook_shadowed);
}

TEST(UnseenTest, FramesDroppedByXdp_AreUnseenAndItIsNamed) {
  absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
  ASSERT_TRUE(rig.ok()) << rig.status();
  auto watched = WatchedLink::Start(*rig, Side::kB);
  ASSERT_TRUE(watched.ok()) << watched.status();
  const bpf_insn drop[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_DROP},
                           {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_XDP, "test_drop", "GPL", drop, 2, nullptr));
  ASSERT_TRUE(program.valid());
  const int attached = rig->RunIn(Side::kB, [&] {
    return bpf_xdp_attach(static_cast<int>(rig->ifindex(Side::kB)), program.get(), XDP_FLAGS_SKB_MODE, nullptr);
  });
  ASSERT_EQ(attached, 0);
  const auto sent = rig->RunIn(Side::kA, [] { return Flood("veth_a", {.flows = 5, .frames = 300}); });
  ASSERT_TRUE(sent.ok());
  std::this_thread::sleep_for(milliseconds(1200));
  const PacketStats stats = (*watched)->Finish();
  const InterfaceStats& ours = stats.interfaces.at(0);
  EXPECT_EQ(ours.rx.packets, 0u);
  ExpectUnseen(ours.unseen.rx_packets, 300);
  EXPECT_THAT(ours.unseen.cause, HasSubstr("XDP"));
  EXPECT_FALSE(ours.hook_shadowed);
}

}  // namespace
}  // namespace knp::test
