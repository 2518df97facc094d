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
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/clsact.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
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

struct Place {
  const char* name;
  bool tcx;
  Direction direction;
};

// Side b is watched; a steady flood passes the hook in question.
class HookTest : public ::testing::TestWithParam<Place> {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }

  void SetUp() override {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    MonitorOptions options;
    options.events_per_second = 0;
    if (!GetParam().tcx) options.disable_features = "tcx";
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    ASSERT_TRUE(watched.ok()) << watched.status();
    watched_ = *std::move(watched);
    witness_.Listen(&watched_->monitor());
    flood_ = std::thread([this] {
      const Side side = ingress() ? Side::kA : Side::kB;
      const auto sent = rig_->RunIn(
          side, [&] { return Flood(rig_->interface(side), {.flows = 10, .frames_per_second = 5000, .stop = &stop_}); });
      EXPECT_TRUE(sent.ok()) << sent.status();
    });
    std::this_thread::sleep_for(milliseconds(300));
  }
  void TearDown() override {
    stop_ = true;
    if (flood_.joinable()) flood_.join();
  }

  bool ingress() const { return GetParam().direction == Direction::kIngress; }
  InterfaceStats Stats() {
    const auto stats = watched_->monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return StatsOf(*stats, "veth_b");
  }
  std::uint64_t Seen() { return (ingress() ? Stats().rx : Stats().tx).packets; }
  std::uint64_t Unseen() { return ingress() ? Stats().unseen.rx_packets : Stats().unseen.tx_packets; }
  // Waits for the first event of a type and expects it soon enough.
  Event Await(EventType type) {
    const auto start = steady_clock::now();
    EXPECT_TRUE(WaitFor(milliseconds(4000), [&] { return !witness_.Events(type).empty(); }))
        << EventTypeName(type) << " was not told";
    EXPECT_LE(steady_clock::now() - start, milliseconds(2500));
    const auto events = witness_.Events(type);
    if (events.empty()) return {};
    EXPECT_EQ(events[0].interface, "veth_b");
    return events[0];
  }
  void ExpectSeeingAgain() {
    const std::uint64_t before = Seen();
    std::this_thread::sleep_for(milliseconds(1200));
    EXPECT_GT(Seen(), before + 3000) << "we do not see the packets again";
  }
  void End() {
    stop_ = true;
    flood_.join();
    watched_->Finish();
  }
  // Puts a program before ours.
  void PutBefore(const TestProgram& program) {
    rig_->RunIn(Side::kB, [&] {
      if (GetParam().tcx) {
        constexpr std::uint32_t kBefore = 1u << 3;
        std::uint32_t arguments[8] = {static_cast<std::uint32_t>(program.fd()), rig_->ifindex(Side::kB),
                                      ingress() ? 46u : 47u, kBefore};
        link_ = UniqueFd(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, arguments, sizeof arguments)));
        EXPECT_TRUE(link_.valid());
        return;
      }
      bpf_tc_hook hook{};
      hook.sz = sizeof hook;
      hook.ifindex = static_cast<int>(rig_->ifindex(Side::kB));
      hook.attach_point = ingress() ? BPF_TC_INGRESS : BPF_TC_EGRESS;
      bpf_tc_opts options{};
      options.sz = sizeof options;
      options.prog_fd = program.fd();
      options.priority = 1;
      EXPECT_EQ(bpf_tc_attach(&hook, &options), 0);
    });
  }
  // Takes ours away, as an administrator might: the link by its id, the filter by its program.
  void TakeOursAway() {
    std::uint32_t ours = 0;
    for (const ProgramInfo& program : watched_->monitor().ListPrograms())
      if (program.direction == GetParam().direction) ours = program.id;
    ASSERT_NE(ours, 0u);
    if (!GetParam().tcx) {
      rig_->RunIn(Side::kB, [&] {
        auto socket = datapath::NetlinkSocket::Open();
        ASSERT_TRUE(socket.ok()) << socket.status();
        EXPECT_EQ(datapath::DeleteFiltersOf(*socket, rig_->ifindex(Side::kB),
                                            datapath::ClsactParent(GetParam().direction), ours),
                  1);
      });
      return;
    }
    bool detached = false;
    for (__u32 id = 0; bpf_link_get_next_id(id, &id) == 0;) {
      const UniqueFd link(bpf_link_get_fd_by_id(id));
      bpf_link_info info{};
      __u32 size = sizeof info;
      if (!link.valid() || bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0 || info.prog_id != ours) continue;
      EXPECT_EQ(bpf_link_detach(link.get()), 0);
      detached = true;
    }
    EXPECT_TRUE(detached);
  }

  std::unique_ptr<NetnsRig> rig_;
  std::unique_ptr<WatchedLink> watched_;
  Witness witness_;
  std::atomic<bool> stop_ = false;
  std::thread flood_;
  UniqueFd link_;
};

TEST_P(HookTest, ForeignProgram_EndsTheChainBeforeUs_IsNamedAndPassed) {
  auto program = TestProgram::Load("foreign_pass", kVerdictPass);
  ASSERT_TRUE(program.ok()) << program.status();
  PutBefore(*program);
  const Event event = Await(EventType::kHookShadowed);
  EXPECT_THAT(event.detail,
              AllOf(HasSubstr("foreign_pass"), HasSubstr(std::to_string(program->id())), HasSubstr("first again")));
  ExpectSeeingAgain();
  const InterfaceStats stats = Stats();
  EXPECT_TRUE(stats.hook_shadowed);
  EXPECT_GT(Unseen(), 1000u);
  EXPECT_THAT(stats.unseen.cause, HasSubstr("foreign_pass"));
  EXPECT_EQ(witness_.Events(EventType::kHookShadowed).size(), 1u);
  EXPECT_GT(program->Count(), 0u) << "theirs still runs: we have only gone before it";
  End();
}

TEST_P(HookTest, ForeignProgram_ThatLetsUsSee_IsLeftAlone) {
  auto program = TestProgram::Load("foreign_next", kVerdictNext);
  ASSERT_TRUE(program.ok()) << program.status();
  PutBefore(*program);
  std::this_thread::sleep_for(milliseconds(2500));
  EXPECT_TRUE(witness_.Events(EventType::kHookShadowed).empty());
  EXPECT_FALSE(Stats().hook_shadowed);
  EXPECT_GT(program->Count(), 5000u);
  End();
}

TEST_P(HookTest, OurHook_TakenAway_IsToldAndPutBack) {
  TakeOursAway();
  const Event event = Await(EventType::kHookRepaired);
  EXPECT_THAT(event.detail, AllOf(HasSubstr("veth_b"), HasSubstr("stands again")));
  ExpectSeeingAgain();
  EXPECT_EQ(witness_.Events(EventType::kHookRepaired).size(), 1u);
  EXPECT_EQ(watched_->monitor().ListPrograms().size(), 2u);
  EXPECT_GT(Unseen(), 0u);
  End();
}

INSTANTIATE_TEST_SUITE_P(Ways, HookTest,
                         ::testing::Values(Place{"TcxIngress", true, Direction::kIngress},
                                           Place{"TcxEgress", true, Direction::kEgress},
                                           Place{"ClsactIngress", false, Direction::kIngress},
                                           Place{"ClsactEgress", false, Direction::kEgress}),
                         [](const auto& test) { return std::string(test.param.name); });

// ---- what no hook can see ------------------------------------------------------------------------------------------

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
  EXPECT_EQ(ours.unseen.tx_packets, 100u);
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
  EXPECT_EQ(ours.unseen.rx_packets, 300u);
  EXPECT_THAT(ours.unseen.cause, HasSubstr("XDP"));
  EXPECT_FALSE(ours.hook_shadowed);
}

}  // namespace
}  // namespace knp::test
