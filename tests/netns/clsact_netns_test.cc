// What only clsact brings with it: whose the qdisc is, other kinds of classifiers, the older ingress qdisc, and what dead
// processes have left. The opposite parties are libbpf's and our own plain netlink requests.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "src/datapath/attachment.h"
#include "src/datapath/clsact.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
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

class ClsactTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    absl::StatusOr<std::unique_ptr<Watchdog>> watchdog = In([] { return Watchdog::Start(); });
    ASSERT_TRUE(watchdog.ok()) << watchdog.status();
    watchdog_ = *std::move(watchdog);
  }

  template <typename F>
  std::invoke_result_t<F> In(F&& f) const {
    return rig_->RunIn(Side::kB, std::forward<F>(f));
  }

  static TestProgram Load(const std::string& name) {
    absl::StatusOr<TestProgram> program = TestProgram::Load(name);
    if (!program.ok()) {
      ADD_FAILURE() << program.status();
      std::abort();
    }
    return *std::move(program);
  }

  std::uint32_t ifindex() const { return rig_->ifindex(Side::kB); }

  absl::StatusOr<std::unique_ptr<Attachment>> Attach(const TestProgram& program, Direction direction) const {
    const Attachment::Target target{ifindex(), rig_->interface(Side::kB), direction};
    return In([&] { return Attachment::Attach(target, program.fd(), Mechanism::kClsact, watchdog_.get()); });
  }
  absl::StatusOr<std::unique_ptr<Attachment>> AttachIngress(const TestProgram& program) const {
    return Attach(program, Direction::kIngress);
  }

  int Request(NetlinkRequest& request) const {
    return In([&] { return NetlinkSocket::Open()->Transact(request); });
  }

  // tc qdisc add|del dev veth_b clsact|ingress
  int ChangeQdisc(int type, int flags, const char* kind) const {
    tcmsg header{};
    header.tcm_ifindex = static_cast<int>(ifindex());
    header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    header.tcm_parent = TC_H_CLSACT;
    NetlinkRequest request(static_cast<std::uint16_t>(type), flags, header);
    request.PutString(TCA_KIND, kind);
    return Request(request);
  }
  int AddQdisc(const char* kind) const { return ChangeQdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, kind); }
  int DeleteQdisc(const char* kind) const { return ChangeQdisc(RTM_DELQDISC, 0, kind); }

  // A u32 classifier that decides nothing.
  int AddU32(std::uint32_t preference) const {
    tcmsg header{};
    header.tcm_ifindex = static_cast<int>(ifindex());
    header.tcm_parent = ClsactParent(Direction::kIngress);
    header.tcm_info = TC_H_MAKE(preference << 16, htons(ETH_P_ALL));
    NetlinkRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, header);
    request.PutString(TCA_KIND, "u32");
    const std::size_t options = request.BeginNest(TCA_OPTIONS);
    std::byte match[sizeof(tc_u32_sel) + sizeof(tc_u32_key)]{};  // one key, whose mask is 0
    tc_u32_sel selector{};
    selector.nkeys = 1;
    std::memcpy(match, &selector, sizeof(selector));
    request.Put(TCA_U32_SEL, match, sizeof(match));
    request.EndNest(options);
    return Request(request);
  }

  // A filter of this name at the ingress hook that no living process has marked.
  void AddUnmarked(const std::string& name, const TestProgram& program, std::uint32_t preference) const {
    const int error = In([&] {
      FilterPlace place{ifindex(), ClsactParent(Direction::kIngress), preference, 0};
      auto socket = NetlinkSocket::Open();
      return PutBpfFilter(*socket, &place, program.fd(), name.c_str(), false);
    });
    ASSERT_EQ(error, 0);
  }

  std::vector<FilterInfo> Filters(Direction direction = Direction::kIngress) const {
    auto filters = In([&] { return ListFilters(ifindex(), ClsactParent(direction)); });
    EXPECT_TRUE(filters.ok()) << filters.status();
    return filters.ok() ? *filters : std::vector<FilterInfo>();
  }
  bool Runs(const TestProgram& program) const {
    for (const FilterInfo& filter : Filters()) {
      if (filter.program_id == program.id()) return true;
    }
    return false;
  }
  std::string Qdisc() const {
    return In([&] { return *ClsactPlaceHolder(ifindex()); });
  }
  int CleanLeftovers(const std::vector<std::uint32_t>& live = {}) const {
    auto removed = In([&] { return RemoveLeftovers(ifindex(), live); });
    EXPECT_TRUE(removed.ok()) << removed.status();
    return removed.value_or(-1);
  }

  std::unique_ptr<NetnsRig> rig_;
  std::unique_ptr<Watchdog> watchdog_;
};

TEST_F(ClsactTest, Detach_QdiscMadeBySomebodyElse_StaysThoughEmpty) {
  ASSERT_EQ(AddQdisc("clsact"), 0);
  const TestProgram program = Load("knp_test");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_EQ(Qdisc(), "clsact");
  EXPECT_TRUE(Filters().empty());
}

TEST_F(ClsactTest, Detach_QdiscOursButInUse_Stays) {
  const TestProgram program = Load("knp_test"), other = Load("other_ok");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  AddUnmarked("other_ok", other, 10);
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_EQ(Qdisc(), "clsact");
  EXPECT_TRUE(Runs(other));
}

TEST_F(ClsactTest, Detach_BothDirections_LastOneTakesTheQdiscAlong) {
  const TestProgram in = Load("knp_in"), out = Load("knp_out");
  auto ingress = Attach(in, Direction::kIngress);
  auto egress = Attach(out, Direction::kEgress);
  ASSERT_TRUE(ingress.ok() && egress.ok()) << ingress.status() << egress.status();
  EXPECT_TRUE((*ingress)->Detach().ok());
  EXPECT_EQ(Qdisc(), "clsact");
  EXPECT_TRUE((*egress)->Stands());
  EXPECT_TRUE((*egress)->Detach().ok());
  EXPECT_EQ(Qdisc(), "");
}

TEST_F(ClsactTest, Detach_AfterReplace_LastOneStillTakesTheQdiscAlong) {
  const TestProgram in = Load("knp_in"), newer = Load("knp_newer"), out = Load("knp_out");
  auto ingress = Attach(in, Direction::kIngress);
  ASSERT_TRUE(ingress.ok()) << ingress.status();
  ASSERT_TRUE(In([&] { return (*ingress)->Replace(newer.fd()); }).ok());
  auto egress = Attach(out, Direction::kEgress);
  ASSERT_TRUE(egress.ok()) << egress.status();
  EXPECT_TRUE((*ingress)->Detach().ok());
  EXPECT_TRUE((*egress)->Detach().ok());
  EXPECT_EQ(Qdisc(), "");
}

TEST_F(ClsactTest, Detach_QdiscDeletedBySomebody_IsOk) {
  const TestProgram program = Load("knp_test");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  ASSERT_EQ(DeleteQdisc("clsact"), 0);
  EXPECT_FALSE((*attachment)->Stands());
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_EQ(Qdisc(), "");
}

TEST_F(ClsactTest, Detach_QdiscReplacedBySomebody_LeavesTheirs) {
  const TestProgram in = Load("knp_in"), out = Load("knp_out");
  auto ingress = Attach(in, Direction::kIngress);
  auto egress = Attach(out, Direction::kEgress);
  ASSERT_TRUE(ingress.ok() && egress.ok()) << ingress.status() << egress.status();
  ASSERT_EQ(DeleteQdisc("clsact"), 0);
  ASSERT_EQ(AddQdisc("clsact"), 0);
  EXPECT_TRUE(In([&] { return (*ingress)->MoveToHead(); }).ok());
  EXPECT_TRUE((*ingress)->Stands());
  EXPECT_TRUE((*egress)->Detach().ok());
  EXPECT_TRUE((*ingress)->Detach().ok());
  EXPECT_EQ(Qdisc(), "clsact") << "empty, but not ours";
}

TEST_F(ClsactTest, MoveToHead_QdiscDeletedBySomebody_PutsBothBack) {
  const TestProgram program = Load("knp_test");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  ASSERT_EQ(DeleteQdisc("clsact"), 0);
  const absl::Status moved = In([&] { return (*attachment)->MoveToHead(); });
  ASSERT_TRUE(moved.ok()) << moved;
  EXPECT_TRUE((*attachment)->Stands());
  EXPECT_EQ(*UdpStream::SendAndCount(*rig_, 10), 10u);
  EXPECT_EQ(program.Count(), 10u);
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_EQ(Qdisc(), "") << "this one we made ourselves";
}

TEST_F(ClsactTest, Replace_FilterDeletedBySomebody_FailsAndAddsNothing) {
  const TestProgram program = Load("knp_test"), newer = Load("knp_newer"), other = Load("other_ok");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  ASSERT_EQ(DeleteQdisc("clsact"), 0);
  ASSERT_EQ(AddQdisc("clsact"), 0);
  AddUnmarked("other_ok", other, 1);  // the kernel gives it the handle that was ours
  const absl::Status replaced = In([&] { return (*attachment)->Replace(newer.fd()); });
  EXPECT_TRUE(absl::IsFailedPrecondition(replaced)) << replaced;
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_TRUE(Runs(other));
  EXPECT_FALSE(Runs(newer));
}

TEST_F(ClsactTest, Attach_Preference1HeldByAnotherKind_TakesTheNextAndChainShowsIt) {
  ASSERT_EQ(AddQdisc("clsact"), 0);
  const int added = AddU32(1);
  if (added == -ENOENT) GTEST_SKIP() << "this kernel has no u32 classifier";
  ASSERT_EQ(added, 0);
  const TestProgram program = Load("knp_test");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  auto chain = In([&] { return (*attachment)->Chain(); });
  ASSERT_TRUE(chain.ok()) << chain.status();
  ASSERT_EQ(chain->size(), 2u);
  EXPECT_EQ((*chain)[0].program_name, "u32");
  EXPECT_EQ((*chain)[0].program_id, 0u);
  EXPECT_FALSE((*chain)[0].ours);
  EXPECT_TRUE((*chain)[1].ours);
  EXPECT_EQ(Filters().back().preference, 2u);
  EXPECT_TRUE((*attachment)->Detach().ok());
  EXPECT_FALSE(Filters().empty()) << "theirs stays";
}

TEST_F(ClsactTest, Attach_OlderIngressQdisc_IngressWorksAndEgressIsRefused) {
  ASSERT_EQ(AddQdisc("ingress"), 0);
  const TestProgram in = Load("knp_in"), out = Load("knp_out");
  auto ingress = Attach(in, Direction::kIngress);
  ASSERT_TRUE(ingress.ok()) << ingress.status();
  auto egress = Attach(out, Direction::kEgress);
  EXPECT_TRUE(absl::IsFailedPrecondition(egress.status())) << egress.status();
  EXPECT_EQ(*UdpStream::SendAndCount(*rig_, 10), 10u);
  EXPECT_EQ(in.Count(), 10u);
  EXPECT_EQ(out.Count(), 0u);
  EXPECT_TRUE((*ingress)->Detach().ok());
  EXPECT_EQ(Qdisc(), "ingress");
}

TEST_F(ClsactTest, Attach_ProgramOfAnotherName_FilterIsStillKnownAsOurs) {
  const TestProgram program = Load("custom");
  auto attachment = AttachIngress(program);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_EQ(Filters().back().program_name.rfind("knp_custom", 0), 0u) << Filters().back().program_name;
}

TEST_F(ClsactTest, RemoveLeftovers_UnmarkedOfOurs_GoesWithItsQdisc) {
  ASSERT_EQ(AddQdisc("clsact"), 0);
  const TestProgram program = Load("knp_dead");
  AddUnmarked("knp_dead", program, 1);
  EXPECT_EQ(CleanLeftovers(), 1);
  EXPECT_EQ(Qdisc(), "");
}

TEST_F(ClsactTest, RemoveLeftovers_LivingOnesAndOthers_Stay) {
  const TestProgram living = Load("knp_living"), dead = Load("knp_dead"), listed = Load("knp_listed"),
                    other = Load("other_ok");
  auto attachment = AttachIngress(living);
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  AddUnmarked("knp_dead", dead, 1);
  AddUnmarked("knp_listed", listed, 7);
  AddUnmarked("other_ok", other, 10);
  EXPECT_EQ(CleanLeftovers({listed.id()}), 1);
  EXPECT_TRUE((*attachment)->Stands());
  EXPECT_TRUE(Runs(listed));
  EXPECT_TRUE(Runs(other));
  EXPECT_FALSE(Runs(dead));
}

TEST_F(ClsactTest, RemoveLeftovers_Nothing_TouchesNoQdisc) {
  EXPECT_EQ(CleanLeftovers(), 0);
  ASSERT_EQ(AddQdisc("clsact"), 0);
  EXPECT_EQ(CleanLeftovers(), 0);
  EXPECT_EQ(Qdisc(), "clsact");
}

}  // namespace
}  // namespace knp::datapath
