// Drops on a live interface, by tcx and by clsact: exactly the rule's packets and no others, all of them counted before,
// within the caps, and no longer than the rule lasts, whoever dies. A foreign program behind ours tells what passed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/mitigation.h"
#include "tests/support/expect_error.h"
#include "tests/support/others_test.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/traffic.h"

namespace knp::test {
namespace {

using datapath::HookPlace;
using datapath::Mitigation;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

Prefix P(const std::string& text) { return *Prefix::Parse(text); }
Prefix SourceOf(int ip_version, std::uint32_t flow) { return Prefix::Host(FloodSource(ip_version, flow).ip); }

class MitigationTest : public OthersTest {
 protected:
  void SetUp() override {
    OthersTest::SetUp();
    if (std::string(GetParam()).empty() && !KernelHasTcx()) GTEST_SKIP() << "this kernel has no tcx";
    ASSERT_NO_FATAL_FAILURE(Watch());
    // At the end of the chain; the kernel's stack comes after it.
    behind_ = std::make_unique<TestProgram>(Load("other_behind"));
    In([&] {
      if (Mechanism() == "tcx")
        behind_link_ = AttachTcx(ifindex(), Direction::kIngress, behind_->fd(), false);
      else
        EXPECT_EQ(PutBpfFilter(ifindex(), Direction::kIngress, behind_->fd(), 1000), 0);
    });
  }

  std::vector<HookPlace> Places() {
    std::vector<HookPlace> places;
    for (const ProgramInfo& program : monitor().ListPrograms())
      places.push_back(
          {.ifindex = ifindex(),
           .interface = program.interface,
           .direction = program.direction,
           .program_id = program.id,
           .mechanism = program.mechanism == "tcx" ? datapath::Mechanism::kTcx : datapath::Mechanism::kClsact});
    return places;
  }
  static MitigationOptions Dropping() {
    MitigationOptions options;
    options.mode = MitigationMode::kDrop;
    return options;
  }
  void Make(const MitigationOptions& options) {
    auto mitigation = In([&] { return Mitigation::Create(options, GetParam()); });
    ASSERT_TRUE(mitigation.ok()) << mitigation.status();
    mitigation_ = *std::move(mitigation);
  }
  std::uint64_t Drop(const Prefix& prefix, milliseconds duration = milliseconds(60'000)) {
    const auto id = mitigation_->Drop(prefix, duration, "ALERT", "a test", Now());
    EXPECT_TRUE(id.ok()) << id.status();
    Sync();
    return id.value_or(0);
  }
  void Sync() {
    const absl::Status status = mitigation_->Sync(Places(), Now());
    EXPECT_TRUE(status.ok()) << status;
  }
  // How many of them passed.
  std::uint64_t Send(const FloodOptions& options) {
    const std::uint64_t before = behind_->Count();
    const auto sent = rig_->RunIn(Side::kA, [&] { return Flood("veth_a", options); });
    EXPECT_TRUE(sent.ok()) << sent.status();
    EXPECT_TRUE(rig_->WaitUntilSilent().ok());
    sent_ += sent.ok() ? sent->frames : 0;
    return behind_->Count() - before;
  }
  Mitigation::Rule Rule(std::uint64_t id) {
    for (const Mitigation::Rule& rule : mitigation_->Rules())
      if (rule.id == id) return rule;
    ADD_FAILURE() << "no rule " << id;
    return {};
  }
  // The counting hook saw all that was sent, dropped or not, and all of it is in the ledger.
  void ExpectAllWasCounted() {
    const PacketStats stats = watched_->Finish();
    EXPECT_EQ(StatsOf(stats, "veth_b").rx.packets, sent_);
    EXPECT_EQ(stats.total.in_flows.packets, sent_);
    EXPECT_TRUE(stats.total.Balanced());
  }
  std::vector<std::string> Chain() {
    std::vector<std::string> names;
    const auto chain = In([&] { return datapath::ReadChain(ifindex(), Direction::kIngress); });
    EXPECT_TRUE(chain.ok()) << chain.status();
    for (const datapath::ChainLink& link : *chain) names.push_back(link.program_name);
    return names;
  }

  std::unique_ptr<TestProgram> behind_;
  UniqueFd behind_link_;
  std::unique_ptr<Mitigation> mitigation_;
  std::uint64_t sent_ = 0;
};

TEST_P(MitigationTest, Drop_OneSourceOfFour_DropsItAloneAndTheLedgerHasAll) {
  ASSERT_NO_FATAL_FAILURE(Make(Dropping()));
  EXPECT_EQ(Send({.flows = 4, .frames = 400}), 400u);
  const std::uint64_t id = Drop(SourceOf(4, 1));
  EXPECT_EQ(Send({.flows = 4, .frames = 4000}), 3000u);
  EXPECT_EQ(Send({.ip_version = 6, .flows = 4, .frames = 400}), 400u) << "the same bytes are another IPv6 address";
  EXPECT_EQ(Send({.flows = 4, .vlan = 7, .frames = 400}), 300u) << "a VLAN tag changes nothing";
  const Mitigation::Rule rule = Rule(id);
  EXPECT_EQ(rule.counts.dropped, (Count{1100, 1100ull * kFloodFrameBytes}));
  EXPECT_EQ(rule.counts.would_drop, Count{});
  EXPECT_EQ(mitigation_->Totals().dropped.packets, 1100u);
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, Drop_Ipv6SourceAndPrefix_DropsWhatLiesWithin) {
  ASSERT_NO_FATAL_FAILURE(Make(Dropping()));
  Drop(SourceOf(6, 1));
  EXPECT_EQ(Send({.ip_version = 6, .flows = 4, .frames = 400}), 300u);
  const std::uint64_t wide = Drop(Prefix::Of(FloodSource(4, 0).ip, 30));
  EXPECT_EQ(Send({.flows = 8, .frames = 800}), 400u);
  EXPECT_EQ(Rule(wide).counts.dropped.packets, 400u);
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, Drop_AllowListWithinThePrefix_Wins) {
  MitigationOptions options = Dropping();
  options.allow = {SourceOf(4, 2)};
  ASSERT_NO_FATAL_FAILURE(Make(options));
  const std::uint64_t id = Drop(Prefix::Of(FloodSource(4, 0).ip, 30));
  EXPECT_EQ(Send({.flows = 8, .frames = 800}), 500u);
  EXPECT_EQ(Rule(id).counts.dropped.packets, 300u);
  EXPECT_EQ(Rule(id).counts.allowed.packets, 100u);
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, DryRun_CountsAndPassesAll) {
  MitigationOptions options = Dropping();
  options.mode = MitigationMode::kDryRun;
  ASSERT_NO_FATAL_FAILURE(Make(options));
  const std::uint64_t id = Drop(SourceOf(4, 1));
  EXPECT_EQ(Send({.flows = 4, .frames = 400}), 400u);
  EXPECT_EQ(Rule(id).counts.would_drop, (Count{100, 100ull * kFloodFrameBytes}));
  EXPECT_EQ(Rule(id).counts.dropped, Count{});
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, Rule_ItsTimeIsOver_TheKernelPassesThePacketsByItself) {
  ASSERT_NO_FATAL_FAILURE(Make(Dropping()));
  const std::uint64_t id = Drop(SourceOf(4, 0), milliseconds(1500));
  EXPECT_EQ(Send({.frames = 100}), 0u);
  std::this_thread::sleep_for(milliseconds(1600));
  EXPECT_EQ(Send({.frames = 100}), 100u) << "nobody called Expire";
  EXPECT_EQ(Rule(id).state, MitigationRuleState::kActive);
  EXPECT_EQ(mitigation_->Expire(Now()).size(), 1u);
  EXPECT_EQ(Rule(id).state, MitigationRuleState::kExpired);
  EXPECT_EQ(Rule(id).counts.dropped.packets, 100u);
  Sync();
  EXPECT_TRUE(mitigation_->Programs().empty()) << "without rules there is no program";
  EXPECT_EQ(Drop(SourceOf(4, 0)), id + 1) << "a new rule, with counts of its own";
  EXPECT_EQ(Rule(id + 1).counts.dropped, Count{});
  ExpectAllWasCounted();
}

// The owner is killed; a child of it, which inherited all descriptors, keeps the tcx link. With clsact the watchdog ends it.
TEST_P(MitigationTest, Owner_Killed_TrafficFlowsAgainWhenTheRuleExpires) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const std::vector<HookPlace> places = Places();
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    if (!rig_->Enter(Side::kB).ok()) _exit(10);
    auto mitigation = Mitigation::Create(Dropping(), GetParam());
    if (!mitigation.ok()) _exit(11);
    if (!(*mitigation)->Drop(SourceOf(4, 0), milliseconds(4000), "ALERT", "a test", Now()).ok()) _exit(12);
    if (!(*mitigation)->Sync(places, Now()).ok()) _exit(13);
    const pid_t heir = fork();
    if (heir == 0) {
      sleep(20);
      _exit(0);
    }
    if (write(to.get(), &heir, sizeof heir) != sizeof heir) _exit(14);
    for (;;) pause();
  }
  to.Reset();
  pid_t heir = -1;
  ASSERT_EQ(read(from.get(), &heir, sizeof heir), static_cast<ssize_t>(sizeof heir)) << "the owner failed";
  const std::uint64_t began = Now();
  EXPECT_EQ(Send({.frames = 100}), 0u);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  if (Mechanism() == "tcx") {
    EXPECT_EQ(Send({.frames = 100}), 0u) << "the link was to live on";
    EXPECT_LT(Now() - began, 3'500'000'000u) << "too slow a machine for this test";
    std::this_thread::sleep_for(milliseconds(4100) - std::chrono::nanoseconds(Now() - began));
    EXPECT_EQ(Chain().size(), 3u) << "it still stands, and drops nothing";
  } else {
    EXPECT_TRUE(WaitFor(kSoon, [&] { return Chain().size() == 2; })) << "the watchdog was to take it away";
  }
  EXPECT_EQ(Send({.frames = 100}), 100u);
  kill(heir, SIGKILL);
  EXPECT_TRUE(WaitFor(kSoon, [&] { return Chain().size() == 2; }));
}

TEST_P(MitigationTest, Cap_UsedUp_TheRestPassesAndIsCounted) {
  MitigationOptions options = Dropping();
  options.packets_per_second = 100;
  ASSERT_NO_FATAL_FAILURE(Make(options));
  const std::uint64_t id = Drop(SourceOf(4, 0));
  const std::uint64_t began = Now();
  const std::uint64_t passed = Send({.frames = 2000});
  const std::uint64_t seconds = (Now() - began) / 1'000'000'000 + 2;  // begun ones count
  const Mitigation::Rule rule = Rule(id);
  EXPECT_GE(rule.counts.dropped.packets, 100u);
  EXPECT_LE(rule.counts.dropped.packets, seconds * (100 + std::thread::hardware_concurrency()));
  EXPECT_EQ(rule.counts.over_cap.packets, passed);
  EXPECT_EQ(rule.counts.dropped.packets + passed, 2000u);
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, Drop_WhatMayNotBe_IsRefusedByNameAndReason) {
  ASSERT_EQ(In([&] { return std::system("ip route add default via 10.200.0.77"); }), 0);
  MitigationOptions options = Dropping();
  options.allow = {P("192.0.2.0/24")};
  options.max_rules = 1;
  ASSERT_NO_FATAL_FAILURE(Make(options));
  const auto drop = [&](const std::string& prefix, milliseconds duration = milliseconds(60'000)) {
    return mitigation_->Drop(P(prefix), duration, "ALERT", "a test", Now()).status();
  };
  EXPECT_ERROR(drop("100.0.0.0/15"), IsInvalidArgument, AllOf(HasSubstr("100.0.0.0/15"), HasSubstr("/16")));
  EXPECT_ERROR(drop("2001::/31"), IsInvalidArgument, AllOf(HasSubstr("2001::/31"), HasSubstr("/32")));
  EXPECT_ERROR(drop("100.0.0.1", milliseconds(600'001)), IsInvalidArgument, HasSubstr("at most for 600 s"));
  EXPECT_ERROR(drop("100.0.0.1", milliseconds(0)), IsInvalidArgument, HasSubstr("100.0.0.1"));
  EXPECT_ERROR(drop("10.200.0.2"), IsFailedPrecondition, AllOf(HasSubstr("10.200.0.2"), HasSubstr("this node")));
  EXPECT_ERROR(drop("fd00:200::2"), IsFailedPrecondition, HasSubstr("this node"));
  EXPECT_ERROR(drop("10.200.0.77"), IsFailedPrecondition, HasSubstr("gateway"));
  EXPECT_ERROR(drop("192.0.2.9"), IsFailedPrecondition, HasSubstr("allow list"));
  EXPECT_ERROR(drop("127.0.0.1"), IsFailedPrecondition, HasSubstr("127.0.0.0/8"));
  EXPECT_ERROR(drop("fe80::1"), IsFailedPrecondition, HasSubstr("fe80::/10"));
  EXPECT_TRUE(drop("100.0.0.1").ok());
  EXPECT_TRUE(drop("100.0.0.1").ok()) << "renewed";
  EXPECT_ERROR(drop("100.0.0.2"), IsResourceExhausted, HasSubstr("max_rules"));
  EXPECT_ERROR(mitigation_->Lift(4711, Now()), IsNotFound, HasSubstr("4711"));
}

TEST_P(MitigationTest, Drop_PrefixAroundOurOwnAddress_LeavesThatAlone) {
  ASSERT_NO_FATAL_FAILURE(Make(Dropping()));
  ASSERT_EQ(In([&] { return std::system("ip address add 100.0.0.2/32 dev lo"); }), 0);
  Drop(Prefix::Of(FloodSource(4, 0).ip, 30));
  EXPECT_EQ(Send({.flows = 4, .frames = 400}), 100u);
}

TEST_P(MitigationTest, Hooks_InAnyOrder_StandBehindCountingAndGoWithoutATrace) {
  const std::vector<std::string> before = Chain();
  ASSERT_NO_FATAL_FAILURE(Make(Dropping()));
  EXPECT_EQ(Chain(), before) << "nothing stands where nothing is dropped";
  const std::uint64_t id = Drop(SourceOf(4, 0));
  const std::vector<std::string> with = Chain();
  ASSERT_EQ(with.size(), 3u);
  EXPECT_EQ(with[0].substr(0, 11), "knp_ingress");
  EXPECT_EQ(with[1].substr(0, 12), "knp_mitigate");
  EXPECT_EQ(with[2], before[1]) << "the foreign one keeps its place";

  // A second monitor comes first; it too counts what is dropped behind it.
  auto second = WatchedLink::Start(*rig_, Side::kB, Options());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(Send({.flows = 2, .frames = 200}), 100u);
  EXPECT_EQ(StatsOf((*second)->Finish(), "veth_b").rx.packets, 200u);

  // Somebody takes ours away; the next Sync puts it back.
  const ProgramInfo ours = mitigation_->Programs().at(0);
  EXPECT_EQ(In([&] { return TakeAway(ifindex(), ours); }), 1);
  EXPECT_EQ(Send({.frames = 100}), 100u);
  Sync();
  EXPECT_EQ(Send({.frames = 100}), 0u);
  EXPECT_EQ(Chain().size(), 3u);

  EXPECT_TRUE(mitigation_->Lift(id, Now()).ok());
  EXPECT_EQ(Send({.frames = 100}), 100u) << "lifted at once";
  Sync();
  EXPECT_EQ(Chain(), before);
  EXPECT_EQ(Rule(id).state, MitigationRuleState::kLifted);
  mitigation_.reset();
  EXPECT_EQ(Chain(), before);
  ExpectAllWasCounted();
}

TEST_P(MitigationTest, Drop_ProgramsForOlderKernels_DropTheSame) {
  const std::string disabled = std::string(GetParam()) + ",jiffies";
  auto mitigation = In([&] { return Mitigation::Create(Dropping(), disabled); });
  ASSERT_TRUE(mitigation.ok()) << mitigation.status();
  mitigation_ = *std::move(mitigation);
  const std::uint64_t id = Drop(SourceOf(4, 1));
  Drop(SourceOf(6, 1));
  EXPECT_EQ(Send({.flows = 4, .frames = 400}), 300u);
  EXPECT_EQ(Send({.ip_version = 6, .flows = 4, .frames = 400}), 300u);
  EXPECT_EQ(Rule(id).counts.dropped.packets, 100u);
  ExpectAllWasCounted();
}

// ---- the whole: an alert leads to a drop -----------------------------------------------------------------------------

class MonitorMitigationTest : public OthersTest {
 protected:
  void WatchForScans(MitigationMode mode) {
    MonitorOptions options = Options();
    options.events_per_second = 50'000;  // the detector lives on them
    options.mitigation.mode = mode;
    options.mitigation.min_severity = "medium";
    ASSERT_NO_FATAL_FAILURE(Watch(options));
    ASSERT_TRUE(monitor().SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 10).ok());
  }
  // SYNs of 10.0.0.1 to so many ports.
  void Scan(unsigned first_port, unsigned ports) {
    using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
    auto sender = rig_->RunIn(Side::kA, [] { return FrameSender::Open("veth_a"); });
    ASSERT_TRUE(sender.ok()) << sender.status();
    for (unsigned port = first_port; port < first_port + ports; port++)
      ASSERT_TRUE(sender->Send(Join({Ethernet(0x0800), Ipv4({}, Tcp({.flags = 2, .dport = port}))})).ok());
    sent_ += ports;
  }
  MitigationReport Report() {
    const auto stats = monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok() && stats->mitigation) << stats.status();
    return stats.ok() && stats->mitigation ? *stats->mitigation : MitigationReport();
  }
  std::uint64_t sent_ = 0;
};

TEST_P(MonitorMitigationTest, Monitor_ScanIsFound_ItsSourceIsDroppedUntilTheEnd) {
  ASSERT_NO_FATAL_FAILURE(WatchForScans(MitigationMode::kDrop));
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 2) << "nothing more stands in peace";
  Scan(1, 50);
  const std::vector<Event> told = Await(EventType::kMitigation, 1);
  ASSERT_FALSE(told.empty());
  EXPECT_THAT(told[0].detail, AllOf(HasSubstr("10.0.0.1 is dropped"), HasSubstr("scan.vertical")));
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 3);
  Scan(1000, 100);
  EXPECT_TRUE(WaitFor(kSoon, [&] { return Report().dropped.packets >= 100; }));
  const MitigationReport report = Report();
  ASSERT_EQ(report.rules.size(), 1u);
  EXPECT_EQ(report.active, 1u);
  EXPECT_EQ(report.rules[0].prefix.ToString(), "10.0.0.1");
  EXPECT_EQ(report.rules[0].alert_id, witness_.Alerts().at(0).id);
  EXPECT_GT(report.rules[0].until_unix_ns, report.rules[0].since_unix_ns);

  const PacketStats stats = watched_->Finish();
  EXPECT_EQ(StatsOf(stats, "veth_b").rx.packets, sent_) << "what was dropped has been counted before";
  ASSERT_TRUE(stats.mitigation);
  EXPECT_EQ(stats.mitigation->active, 0u);
  EXPECT_EQ(stats.mitigation->rules.at(0).state, MitigationRuleState::kLifted);
  EXPECT_EQ(stats.mitigation->dropped.packets, report.dropped.packets);
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
}

TEST_P(MonitorMitigationTest, Monitor_DryRun_TellsAndCountsAndDropsNothing) {
  ASSERT_NO_FATAL_FAILURE(WatchForScans(MitigationMode::kDryRun));
  Scan(1, 50);
  EXPECT_THAT(Await(EventType::kMitigation, 1).at(0).detail, HasSubstr("dry run"));
  Scan(1000, 100);
  EXPECT_TRUE(WaitFor(kSoon, [&] { return Report().would_drop.packets >= 100; }));
  EXPECT_EQ(Report().dropped, Count{});
  EXPECT_TRUE(monitor().DetachFromInterface("veth_b").ok());
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0) << "what drops goes with what counts";
  watched_->Finish();
}

INSTANTIATE_TEST_SUITE_P(Ways, MonitorMitigationTest, ::testing::Values("", "tcx"), WayName);
INSTANTIATE_TEST_SUITE_P(Ways, MitigationTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
