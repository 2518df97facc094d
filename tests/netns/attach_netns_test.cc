// Attachment on a live veth pair, both mechanisms and both directions: what runs, in which order, what is left behind,
// and that no packet is lost or counted twice meanwhile. The foreign programs are attached without our code.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <vector>

#include "src/datapath/attachment.h"
#include "src/datapath/netlink.h"
#include "src/datapath/tcx_attachment.h"
#include "src/datapath/watchdog.h"
#include "tests/support/netns_rig.h"
#include "tests/support/test_program.h"
#include "tests/support/udp_stream.h"

namespace knp::datapath {
namespace {

using test::NetnsRig;
using test::Side;
using test::TestProgram;
using test::UdpStream;

// A program that somebody else attached; goes with the object (tcx), or with the namespace (clsact).
struct Foreign {
  TestProgram program;
  UniqueFd link;
};

class AttachTest : public testing::TestWithParam<std::tuple<Mechanism, Direction>> {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }

  void SetUp() override {
    if (mechanism() == Mechanism::kTcx && !KernelHasTcx()) GTEST_SKIP() << "this kernel has no tcx";
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    if (mechanism() == Mechanism::kClsact) {
      absl::StatusOr<std::unique_ptr<Watchdog>> watchdog = In([] { return Watchdog::Start(); });
      ASSERT_TRUE(watchdog.ok()) << watchdog.status();
      watchdog_ = *std::move(watchdog);
    }
  }

  Mechanism mechanism() const { return std::get<0>(GetParam()); }
  Direction direction() const { return std::get<1>(GetParam()); }
  // Traffic goes from a to b: it is egress here or ingress there.
  Side side() const { return direction() == Direction::kEgress ? Side::kA : Side::kB; }
  std::uint32_t ifindex() const { return rig_->ifindex(side()); }
  Attachment::Target target() const { return {ifindex(), rig_->interface(side()), direction()}; }

  template <typename F>
  std::invoke_result_t<F> In(F&& f) const {
    return rig_->RunIn(side(), std::forward<F>(f));
  }

  // To an interface that cannot be: a kernel with tcx looks for it, one without does not know the kind of link.
  bool KernelHasTcx() const {
    const TestProgram probe = Load("probe");
    std::uint32_t arguments[8] = {static_cast<std::uint32_t>(probe.fd()), 0x7fffffff, TcxType(), 0};
    return syscall(SYS_bpf, BPF_LINK_CREATE, arguments, sizeof(arguments)) < 0 && errno == ENODEV;
  }

  static TestProgram Load(const std::string& name, int verdict = test::kVerdictNext) {
    absl::StatusOr<TestProgram> program = TestProgram::Load(name, verdict);
    if (!program.ok()) {
      ADD_FAILURE() << program.status();
      std::abort();
    }
    return *std::move(program);
  }

  absl::StatusOr<std::unique_ptr<Attachment>> Attach(const TestProgram& program) const {
    return In([&] { return Attachment::Attach(target(), program.fd(), mechanism(), watchdog_.get()); });
  }

  std::uint32_t TcxType() const { return direction() == Direction::kIngress ? 46 : 47; }
  UniqueFd AddTcx(int program_fd, std::uint32_t flags) const {
    std::uint32_t arguments[8] = {static_cast<std::uint32_t>(program_fd), ifindex(), TcxType(), flags};
    return UniqueFd(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, arguments, sizeof(arguments))));
  }

  int AddClsactFilter(int program_fd, std::uint32_t priority) const {
    bpf_tc_hook hook{};
    hook.sz = sizeof(hook);
    hook.ifindex = static_cast<int>(ifindex());
    hook.attach_point = direction() == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    const int created = bpf_tc_hook_create(&hook);
    if (created != 0 && created != -EEXIST) return created;
    bpf_tc_opts options{};
    options.sz = sizeof(options);
    options.prog_fd = program_fd;
    options.priority = priority;
    return bpf_tc_attach(&hook, &options);
  }

  // Puts a program of somebody else where it runs before (or after) all that is there.
  Foreign AddForeign(const std::string& name, bool before, int verdict = test::kVerdictNext) const {
    Foreign foreign{Load(name, verdict), UniqueFd()};
    In([&] {
      if (mechanism() == Mechanism::kTcx) {
        foreign.link = AddTcx(foreign.program.fd(), before ? 1u << 3 : 1u << 4);
        EXPECT_TRUE(foreign.link.valid());
      } else {
        EXPECT_EQ(AddClsactFilter(foreign.program.fd(), before ? 1 : 10), 0);
      }
    });
    return foreign;
  }

  // Ids in run order, as Chain() tells them; ours is negative.
  std::vector<std::int64_t> ChainIds(const Attachment& attachment) const {
    absl::StatusOr<std::vector<ChainLink>> chain = In([&] { return attachment.Chain(); });
    EXPECT_TRUE(chain.ok()) << chain.status();
    std::vector<std::int64_t> ids;
    if (!chain.ok()) return ids;
    for (const ChainLink& link : *chain) ids.push_back(link.ours ? -std::int64_t{link.program_id} : link.program_id);
    return ids;
  }

  static std::int64_t Id(const Foreign& foreign) { return foreign.program.id(); }
  static std::int64_t OurId(const TestProgram& program) { return -std::int64_t{program.id()}; }

  std::size_t FiltersLeft() const {
    return In([&] { return ListFilters(ifindex(), ClsactParent(direction()))->size(); });
  }
  bool ClsactLeft() const {
    return In([&] { return *HasClsact(ifindex()); });
  }
  std::size_t TcxLeft() const {
    return In([&] { return ListTcxPrograms(ifindex(), direction())->size(); });
  }
  void ExpectNothingLeft() const {
    EXPECT_EQ(FiltersLeft(), 0u);
    EXPECT_FALSE(ClsactLeft());
    EXPECT_EQ(TcxLeft(), 0u);
  }

  void ExpectCounts(const TestProgram& program, std::uint64_t datagrams) const {
    const std::uint64_t before = program.Count();
    absl::StatusOr<std::uint64_t> received = UdpStream::SendAndCount(*rig_, datagrams);
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_EQ(*received, datagrams);
    EXPECT_EQ(program.Count() - before, datagrams);
  }

  std::unique_ptr<NetnsRig> rig_;
  std::unique_ptr<Watchdog> watchdog_;
};

TEST_P(AttachTest, Attach_EmptyHook_SeesEveryPacketAndDetachLeavesNothing) {
  const TestProgram program = Load("knp_test");
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_TRUE((*attachment)->Stands());
  EXPECT_EQ((*attachment)->mechanism(), mechanism());
  EXPECT_EQ(ChainIds(**attachment), std::vector{OurId(program)});
  ExpectCounts(program, 100);

  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_TRUE((*attachment)->Detach().ok()) << "a second time";
  EXPECT_FALSE((*attachment)->Stands());
  ExpectNothingLeft();
  EXPECT_EQ(program.Count(), 100u);
}

TEST_P(AttachTest, Destructor_Attached_Detaches) {
  const TestProgram program = Load("knp_test");
  {
    auto attachment = Attach(program);
    ASSERT_TRUE(attachment.ok()) << attachment.status();
  }
  ExpectNothingLeft();
}

TEST_P(AttachTest, Chain_ForeignBeforeAndAfter_NamesAllInRunOrder) {
  const TestProgram program = Load("knp_test");
  const Foreign last = AddForeign("other_last", false);
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_EQ(ChainIds(**attachment), (std::vector{OurId(program), Id(last)})) << "we attach at the head";
  const Foreign first = AddForeign("other_first", true);
  auto chain = In([&] { return (*attachment)->Chain(); });
  ASSERT_TRUE(chain.ok()) << chain.status();
  ASSERT_EQ(chain->size(), 3u);
  EXPECT_EQ((*chain)[0].program_name, "other_first");
  EXPECT_EQ((*chain)[1].program_name, "knp_test");
  EXPECT_EQ((*chain)[2].program_name, "other_last");
  EXPECT_EQ((*chain)[0].tcx, mechanism() == Mechanism::kTcx);
  ExpectCounts(program, 10);
  EXPECT_EQ(first.program.Count(), 10u);
  EXPECT_EQ(last.program.Count(), 10u) << "ours does not end the chain";
}

TEST_P(AttachTest, MoveToHead_ForeignEndsTheChainBeforeUs_SeesPacketsAgain) {
  const TestProgram program = Load("knp_test");
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  const Foreign first = AddForeign("other_first", true, test::kVerdictPass);
  ASSERT_TRUE(UdpStream::SendAndCount(*rig_, 10).ok());
  EXPECT_EQ(program.Count(), 0u) << "the foreign program was to end the chain";

  const absl::Status moved = In([&] { return (*attachment)->MoveToHead(); });
  EXPECT_TRUE(moved.ok()) << moved;
  EXPECT_TRUE((*attachment)->Stands());
  EXPECT_EQ(ChainIds(**attachment), (std::vector{OurId(program), Id(first)}));
  ExpectCounts(program, 10);
  EXPECT_EQ(first.program.Count(), 20u);
}

TEST_P(AttachTest, Replace_BetweenForeign_KeepsThePlace) {
  const TestProgram old_program = Load("knp_old"), new_program = Load("knp_new");
  const Foreign last = AddForeign("other_last", false);
  auto attachment = Attach(old_program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  const Foreign first = AddForeign("other_first", true);
  const absl::Status replaced = In([&] { return (*attachment)->Replace(new_program.fd()); });
  EXPECT_TRUE(replaced.ok()) << replaced;
  EXPECT_TRUE((*attachment)->Stands());
  EXPECT_EQ((*attachment)->program_id(), new_program.id());
  EXPECT_EQ(ChainIds(**attachment), (std::vector{Id(first), OurId(new_program), Id(last)}));
  ExpectCounts(new_program, 10);
  EXPECT_EQ(old_program.Count(), 0u);
  EXPECT_EQ(first.program.Count(), 10u);
  EXPECT_EQ(last.program.Count(), 10u);
}

TEST_P(AttachTest, Detach_ForeignPresent_LeavesTheirs) {
  const TestProgram program = Load("knp_test");
  const Foreign last = AddForeign("other_last", false);
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  const Foreign first = AddForeign("other_first", true);
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_EQ(ChainIds(**attachment), (std::vector{Id(first), Id(last)}));
  ASSERT_TRUE(UdpStream::SendAndCount(*rig_, 10).ok());
  EXPECT_EQ(first.program.Count(), 10u);
  EXPECT_EQ(last.program.Count(), 10u);
}

TEST_P(AttachTest, Attach_SameProgramTwice_AlreadyExists) {
  const TestProgram program = Load("knp_test");
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  auto second = Attach(program);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE((*attachment)->Stands());
  ExpectCounts(program, 10);
}

TEST_P(AttachTest, Attach_TwoInstances_BothSeeEveryPacketAndLeaveNothing) {
  const TestProgram one = Load("knp_one"), two = Load("knp_two");
  auto first = Attach(one);
  auto second = Attach(two);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  ExpectCounts(one, 10);
  EXPECT_EQ(two.Count(), 10u);
  EXPECT_TRUE((*first)->Detach().ok());  // it made the qdisc, the other needs it
  EXPECT_TRUE((*second)->Stands());
  ExpectCounts(two, 10);
  EXPECT_TRUE((*second)->Detach().ok());
  ExpectNothingLeft();
}

TEST_P(AttachTest, Attach_NoSuchInterface_NotFound) {
  const TestProgram program = Load("knp_test");
  Attachment::Target nowhere = target();
  nowhere.ifindex = 4711;
  auto attachment = In([&] { return Attachment::Attach(nowhere, program.fd(), mechanism(), watchdog_.get()); });
  EXPECT_TRUE(absl::IsNotFound(attachment.status())) << attachment.status();
}

TEST_P(AttachTest, Detach_InterfaceDeleted_IsOk) {
  const TestProgram program = Load("knp_test");
  auto attachment = Attach(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  ASSERT_TRUE(rig_->DeleteInterfaces().ok());
  EXPECT_FALSE((*attachment)->Stands());
  const absl::Status replaced = In([&] { return (*attachment)->Replace(Load("knp_new").fd()); });
  EXPECT_TRUE(absl::IsFailedPrecondition(replaced)) << replaced;
  const absl::Status detached = (*attachment)->Detach();  // from another namespace, on purpose
  EXPECT_TRUE(detached.ok()) << detached;
  const absl::Status moved = In([&] { return (*attachment)->MoveToHead(); });
  EXPECT_TRUE(absl::IsNotFound(moved)) << moved;
  EXPECT_TRUE((*attachment)->Detach().ok());
}

TEST_P(AttachTest, Lifecycle_UnderTraffic_LosesNoPacketAndCountsNoneTwice) {
  const TestProgram one = Load("knp_one"), two = Load("knp_two");
  // The kernel itself drops what is sent in the millisecond in which a clsact qdisc comes or goes, whoever does it
  // (tc(8) too: dev_deactivate in net/sched/sch_generic.c). So here the qdisc is somebody else's and stays.
  const Foreign last = AddForeign("other_last", false);
  auto stream = UdpStream::Start(*rig_);
  ASSERT_TRUE(stream.ok()) << stream.status();
  for (int round = 0; round < 5; ++round) {
    auto attachment = Attach(one);
    ASSERT_TRUE(attachment.ok()) << attachment.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const absl::Status replaced = In([&] { return (*attachment)->Replace(two.fd()); });
    ASSERT_TRUE(replaced.ok()) << replaced;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (int i = 0; i < 5; ++i) {
      const absl::Status moved = In([&] { return (*attachment)->MoveToHead(); });
      ASSERT_TRUE(moved.ok()) << moved;
    }
    EXPECT_TRUE((*attachment)->Detach().ok());
  }
  const UdpStream::Result result = (*stream)->Stop();
  EXPECT_EQ(result.received, result.sent);
  EXPECT_EQ(last.program.Count(), result.sent);
  EXPECT_GT(one.Count(), 0u);
  EXPECT_GT(two.Count(), 0u);
  EXPECT_LE(one.Count() + two.Count(), result.sent);
}

TEST_P(AttachTest, Replace_UnderTraffic_EveryPacketIsSeenByExactlyOne) {
  const TestProgram one = Load("knp_one"), two = Load("knp_two");
  auto attachment = Attach(one);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  auto stream = UdpStream::Start(*rig_);
  ASSERT_TRUE(stream.ok()) << stream.status();
  for (int i = 0; i < 100; ++i) {
    const TestProgram& next = i % 2 == 0 ? two : one;
    const absl::Status replaced = In([&] { return (*attachment)->Replace(next.fd()); });
    ASSERT_TRUE(replaced.ok()) << replaced;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const UdpStream::Result result = (*stream)->Stop();
  EXPECT_EQ(result.received, result.sent);
  EXPECT_EQ(one.Count() + two.Count(), result.sent);
  EXPECT_GT(one.Count(), 0u);
  EXPECT_GT(two.Count(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Hooks, AttachTest,
                         testing::Combine(testing::Values(Mechanism::kTcx, Mechanism::kClsact),
                                          testing::Values(Direction::kIngress, Direction::kEgress)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param) == Mechanism::kTcx ? "tcx_" : "clsact_") +
                                  DirectionName(std::get<1>(instance.param));
                         });

}  // namespace
}  // namespace knp::datapath
