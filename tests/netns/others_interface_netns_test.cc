// What happens to a watched interface itself: renamed, taken down, moved to another network namespace, deleted and made
// again, its offloads and its MTU changed, all under traffic.
#include <fcntl.h>
#include <linux/ethtool.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "src/datapath/netlink.h"
#include "tests/support/others_test.h"
#include "tests/support/traffic.h"

namespace knp::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OthersInterfaceTest : public OthersTest {
 protected:
  // As of now, by the kernel.
  std::uint64_t PacketsBy(const InterfaceStats& stats) { return stats.rx.packets + stats.tx.packets; }
};

TEST_P(OthersInterfaceTest, Renamed_StatisticsFollowAndTheOldNameIsFree) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0) << "else it would go under traffic, and packets with it";
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  // Before Linux 6.2 only one that is down may be renamed.
  if (In([&] { return Rename(ifindex(), "uplink"); }) == -EBUSY) {
    traffic_->WhileKernelMayDrop([&] {
      ASSERT_EQ(In([&] { return SetLinkUp(ifindex(), false); }), 0);
      ASSERT_EQ(In([&] { return Rename(ifindex(), "uplink"); }), 0);
      ASSERT_EQ(In([&] { return SetLinkUp(ifindex(), true); }), 0);
      ASSERT_TRUE(traffic_->Flow());
    });
  }
  const std::vector<Event> told = Await(EventType::kInterfaceRenamed, 1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].interface, "uplink");
  EXPECT_THAT(told[0].detail, AllOf(HasSubstr("veth_b"), HasSubstr("uplink")));
  const std::uint64_t then = PacketsBy(Stats("uplink"));
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_GT(PacketsBy(Stats("uplink")), then);
  for (const ProgramInfo& ours : monitor().ListPrograms()) EXPECT_EQ(ours.interface, "uplink");

  EXPECT_TRUE(absl::IsNotFound(monitor().DetachFromInterface("veth_b"))) << "nobody is called so";
  ASSERT_EQ(In([&] { return AddVethPair("veth_b", "veth_c"); }), 0);
  const std::uint32_t second = In([&] { return IndexOf("veth_b"); });
  EXPECT_TRUE(absl::IsNotFound(monitor().DetachFromInterface("veth_b"))) << "that is another, and not attached";
  ASSERT_EQ(In([&] { return SetLinkUp(second, true); }), 0);
  const absl::Status attached = monitor().AttachToInterface("veth_b");
  EXPECT_TRUE(attached.ok()) << attached;
  EXPECT_TRUE(absl::IsAlreadyExists(monitor().AttachToInterface("uplink")));
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_TRUE(monitor().DetachFromInterface("uplink").ok());
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
  EXPECT_GT(In([&] { return OursLeft(second); }), 0);

  traffic_->StopAndExpectNoLoss();
  ASSERT_TRUE(monitor().Finish().ok());
  const auto stats = monitor().GetPacketStats();
  ASSERT_TRUE(stats.ok());
  ASSERT_EQ(stats->interfaces.size(), 2u);
  for (const InterfaceStats& one : stats->interfaces) EXPECT_TRUE(one.ledger.Balanced()) << one.name;
  EXPECT_EQ(stats->interfaces[0].name, "uplink");
  EXPECT_EQ(stats->interfaces[0].unseen.rx_packets, 0u);
  EXPECT_EQ(stats->interfaces[1].name, "veth_b");
  EXPECT_EQ(watched_->book().Total().packets, stats->total.in_flows.packets);
  EXPECT_EQ(watched_->book().Violations(), "");
}

TEST_P(OthersInterfaceTest, DetachedByItsNewName_BeforeTheRenamingIsNoticed_Works) {
  ASSERT_NO_FATAL_FAILURE(Watch());
  ASSERT_TRUE(monitor().StopEventProcessing().ok());
  if (In([&] { return Rename(ifindex(), "uplink"); }) == -EBUSY) {
    ASSERT_EQ(In([&] { return SetLinkUp(ifindex(), false); }), 0);
    ASSERT_EQ(In([&] { return Rename(ifindex(), "uplink"); }), 0);
  }
  ASSERT_EQ(In([&] { return AddVethPair("veth_b", "veth_c"); }), 0);
  EXPECT_TRUE(absl::IsNotFound(monitor().DetachFromInterface("veth_b"))) << "its old name is another's now";
  EXPECT_TRUE(monitor().DetachFromInterface("uplink").ok());
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
}

TEST_P(OthersInterfaceTest, DownAndUpAgain_GoesOnAsBefore) {
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  traffic_->WhileKernelMayDrop([&] {
    ASSERT_TRUE(rig_->SetUp(Side::kB, false).ok());
    std::this_thread::sleep_for(2 * kCheckInterval);  // a check sees it down
    ASSERT_TRUE(rig_->SetUp(Side::kB, true).ok());
    ASSERT_TRUE(traffic_->Flow());
  });
  AwaitChecks(1);
  traffic_->StopAndExpectNoLoss();
  const PacketStats stats = watched_->Finish();
  const InterfaceStats& ours = stats.interfaces.at(0);
  EXPECT_EQ(stats.interfaces.size(), 1u);
  EXPECT_EQ(ours.hook_repairs, 0u) << "hooks stay where they are";
  ExpectAll(ours.rx.skbs + ours.unseen.rx_packets, watched_->Moved().rx_packets);
  for (EventType type : {EventType::kHookShadowed, EventType::kHookRepaired, EventType::kInterfaceGone})
    EXPECT_THAT(witness_.Events(type), IsEmpty());
}

TEST_P(OthersInterfaceTest, MovedToAnotherNamespace_IsToldAndNothingOfOursGoesAlong) {
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  absl::StatusOr<NetnsRig> elsewhere = NetnsRig::Create();
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();
  const UniqueFd there(open(elsewhere->NamespacePath(Side::kB).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(there.valid());
  std::uint32_t index_there = 0;
  traffic_->WhileKernelMayDrop([&] {  // it goes down with its addresses, and the connection with it
    ASSERT_EQ(elsewhere->RunIn(Side::kB, [&] { return DeleteLink(IndexOf("veth_b")); }), 0) << "it has our name";
    ASSERT_EQ(In([&] { return MoveTo(ifindex(), there.get()); }), 0);
    index_there = elsewhere->RunIn(Side::kB, [&] { return IndexOf("veth_b"); });
    ASSERT_NE(index_there, 0u);
    const std::vector<Event> told = Await(EventType::kInterfaceMoved, 1);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0].detail, AllOf(HasSubstr("another network namespace"), HasSubstr(std::to_string(index_there))));
    elsewhere->RunIn(Side::kB, [&] {
      EXPECT_EQ(OursLeft(index_there), 0);
      EXPECT_EQ(AddAddress(index_there, rig_->ipv4(Side::kB), 24), 0);
      EXPECT_EQ(SetLinkUp(index_there, true), 0);
    });
    ASSERT_TRUE(traffic_->FlowOfPings()) << "it lives on there";
  });
  ASSERT_TRUE(traffic_->FlowOfPings());
  const SteadyTraffic::Result passed = traffic_->Stop();
  EXPECT_EQ(passed.lost_pings, 0u) << passed.Text();
  ASSERT_TRUE(monitor().Finish().ok());
  const auto stats = monitor().GetPacketStats();
  ASSERT_TRUE(stats.ok());
  const InterfaceStats& ours = stats->interfaces.at(0);
  EXPECT_TRUE(ours.gone);
  EXPECT_FALSE(ours.attached);
  EXPECT_TRUE(stats->total.Balanced());
  EXPECT_GT(ours.rx.packets, 200u);
  EXPECT_LT(ours.rx.packets, passed.pings + passed.sent_bytes / 500 * 2) << "not what passed there";
  EXPECT_THAT(witness_.Events(EventType::kInterfaceGone), IsEmpty());
}

TEST_P(OthersInterfaceTest, DeletedAndMadeAgain_BothAreToldAndItCanBeAttachedAgain) {
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  traffic_->WhileKernelMayDrop([&] {
    ASSERT_TRUE(rig_->DeleteInterfaces().ok());
    ASSERT_EQ(In([&] { return AddVethPair("veth_b", "veth_c"); }), 0);
  });
  ASSERT_EQ(Await(EventType::kInterfaceGone, 1).size(), 1u);
  const std::uint32_t index = In([&] { return IndexOf("veth_b"); });
  const std::vector<Event> back = Await(EventType::kInterfaceReturned, 1);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].interface, "veth_b");
  EXPECT_THAT(back[0].detail, HasSubstr(std::to_string(index)));
  ASSERT_EQ(In([&] { return SetLinkUp(index, true); }), 0);
  EXPECT_EQ(In([&] { return OursLeft(index); }), 0) << "watching does not resume by itself";
  const absl::Status attached = monitor().AttachToInterface("veth_b");
  EXPECT_TRUE(attached.ok()) << attached;
  EXPECT_GT(In([&] { return OursLeft(index); }), 0);
  traffic_->Abandon();
  ASSERT_TRUE(monitor().Finish().ok());
  const auto stats = monitor().GetPacketStats();
  ASSERT_TRUE(stats.ok());
  ASSERT_EQ(stats->interfaces.size(), 2u);
  EXPECT_TRUE(stats->interfaces[0].gone);
  EXPECT_GT(stats->interfaces[0].rx.packets, 200u);
  ExpectExact(*stats, watched_->book(), "veth_b twice");
  EXPECT_EQ(In([&] { return OursLeft(index); }), 0);
}

TEST_P(OthersInterfaceTest, OffloadsAndMtu_ChangedWhileWeRun_InventNothingUnseen) {
  NetnsRig::Options options;
  options.offload = true;
  ASSERT_NO_FATAL_FAILURE(MakeRig(options));
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const auto bulk = [&] {
    for (Side from : {Side::kA, Side::kB}) {
      const absl::Status sent = TcpBulk(*rig_, from, from == Side::kA ? Side::kB : Side::kA, 1 << 20);
      EXPECT_TRUE(sent.ok()) << sent;
    }
    AwaitChecks(1);
  };
  const auto set = [&](std::uint32_t command, bool on) {
    // GRO on a veth (Linux 5.13) is a ring of its own; what stands in it when it goes the kernel throws away.
    traffic_->WhileKernelMayDrop([&] {
      for (Side side : {Side::kA, Side::kB})
        EXPECT_EQ(rig_->RunIn(side, [&] { return SetOffload(rig_->interface(side), command, on); }), 0);
    });
    bulk();
  };
  const auto set_mtu = [&](std::uint32_t mtu) {
    for (Side side : {Side::kA, Side::kB})
      EXPECT_EQ(rig_->RunIn(side, [&] { return SetMtu(rig_->ifindex(side), mtu); }), 0);
    bulk();
  };
  bulk();
  set(ETHTOOL_SGRO, true);   // merged between the counter and the hook
  set(ETHTOOL_STSO, false);  // cut between the hook and the counter
  set_mtu(9000);
  set(ETHTOOL_SGRO, false);
  set(ETHTOOL_SGSO, false);
  set(ETHTOOL_STSO, true);
  set_mtu(1400);
  traffic_->StopAndExpectNoLoss();
  const InterfaceStats ours = StatsOf(watched_->Finish(), "veth_b");
  // What the kernel threw away with the ring it had counted; what was merged would be a thousand times as much.
  EXPECT_LT(ours.unseen.rx_packets, 200u) << ours.unseen.cause;
  // Some are left over where packets are few (up to four on emulated 6.1, 6.12 and 7.2): not explained yet.
  EXPECT_LT(ours.unseen.tx_packets, 20u) << ours.unseen.cause;
  EXPECT_GT(ours.rx.skb_bytes, 3000 * (ours.rx.skbs / 10)) << "no super-packet came: nothing was tested";
  EXPECT_THAT(witness_.Events(EventType::kHookShadowed), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ways, OthersInterfaceTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
