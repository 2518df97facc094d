// The watchdog against real deaths: an owner process attaches by clsact and is killed, alone or with its watchdog; what
// stands in the kernel afterwards is read from outside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "src/datapath/attachment.h"
#include "src/datapath/clsact.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
#include "src/datapath/watchdog.h"
#include "tests/support/netns_rig.h"
#include "tests/support/test_program.h"

namespace knp::datapath {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::NetnsRig;
using test::Side;
using test::TestProgram;

bool Within(milliseconds patience, const std::function<bool()>& condition) {
  const auto deadline = steady_clock::now() + patience;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

// False for a zombie too.
bool IsAlive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const std::size_t after_name = line.rfind(')');
  return after_name != std::string::npos && line.size() > after_name + 2 && line[after_name + 2] != 'Z';
}

class WatchdogTest : public testing::Test {
 protected:
  // What a process that attaches did, told by itself before it waits to be killed.
  struct Owner {
    pid_t pid = -1, watchdog = -1, bystander = -1;
  };

  void SetUp() override {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }

  void TearDown() override {
    for (pid_t pid : {owner_.pid, owner_.bystander}) {
      if (pid > 0) kill(pid, SIGKILL);
    }
    if (owner_.pid > 0) waitpid(owner_.pid, nullptr, 0);
  }

  template <typename F>
  std::invoke_result_t<F> In(F&& f) const {
    return rig_->RunIn(Side::kB, std::forward<F>(f));
  }
  std::uint32_t ifindex() const { return rig_->ifindex(Side::kB); }
  Attachment::Target Target(Direction direction) const { return {ifindex(), rig_->interface(Side::kB), direction}; }

  static TestProgram Load(const std::string& name) {
    absl::StatusOr<TestProgram> program = TestProgram::Load(name);
    if (!program.ok()) {
      ADD_FAILURE() << program.status();
      std::abort();
    }
    return *std::move(program);
  }

  enum Extra { kNone, kReplace, kBystander, kKillFirstWatchdog };

  // Forks a process that attaches `program` in both directions, does something extra and waits.
  void StartOwner(const TestProgram& program, Extra extra = kNone) {
    int pipe_fds[2];
    ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    const UniqueFd from(pipe_fds[0]);
    UniqueFd to(pipe_fds[1]);
    owner_.pid = fork();
    if (owner_.pid == 0) RunOwner(program, extra, to.get());
    to.Reset();
    Owner told;
    ASSERT_EQ(read(from.get(), &told, sizeof(told)), static_cast<ssize_t>(sizeof(told))) << "the owner failed";
    owner_.watchdog = told.watchdog;
    owner_.bystander = told.bystander;
    ASSERT_TRUE(Stands(Direction::kIngress));
    ASSERT_TRUE(Stands(Direction::kEgress));
  }

  [[noreturn]] void RunOwner(const TestProgram& program, Extra extra, int to) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!rig_->Enter(Side::kB).ok()) _exit(10);
    auto watchdog = Watchdog::Start();
    if (!watchdog.ok()) _exit(11);
    std::vector<std::unique_ptr<Attachment>> attachments;
    for (Direction direction : {Direction::kIngress, Direction::kEgress}) {
      auto attachment = Attachment::Attach(Target(direction), program.fd(), Mechanism::kClsact, watchdog->get());
      if (!attachment.ok()) _exit(12);
      attachments.push_back(*std::move(attachment));
      if (extra != kKillFirstWatchdog || attachments.size() > 1) continue;
      siginfo_t info;
      kill((*watchdog)->child_pid(), SIGKILL);
      waitid(P_PID, static_cast<id_t>((*watchdog)->child_pid()), &info, WEXITED | WNOWAIT);
    }
    const TestProgram newer = Load("knp_newer");
    for (auto& attachment : attachments) {
      if (extra == kReplace && !attachment->Replace(newer.fd()).ok()) _exit(13);
      if (extra == kReplace && !attachment->MoveToHead().ok()) _exit(14);
    }
    Owner told{getpid(), (*watchdog)->child_pid(), -1};
    if (extra == kBystander) {
      told.bystander = fork();
      if (told.bystander == 0) {  // inherits every descriptor, the watchdog's among them
        sleep(20);
        _exit(0);
      }
    }
    if (write(to, &told, sizeof(told)) != sizeof(told)) _exit(15);
    for (;;) pause();
  }

  void KillOwner() {
    kill(owner_.pid, SIGKILL);
    waitpid(owner_.pid, nullptr, 0);
    owner_.pid = -1;
  }

  bool Stands(Direction direction) const {
    return In([&] {
      auto filters = ListFilters(ifindex(), ClsactParent(direction));
      for (const FilterInfo& filter : *filters) {
        if (filter.program_name.rfind("knp_", 0) == 0) return true;
      }
      return false;
    });
  }
  bool AnyStands() const { return Stands(Direction::kIngress) || Stands(Direction::kEgress); }
  bool QdiscStands() const {
    return In([&] { return *HasClsact(ifindex()); });
  }

  std::unique_ptr<NetnsRig> rig_;
  Owner owner_;
};

TEST_F(WatchdogTest, OwnerKilled_FiltersAndQdisc_GoneWithinASecond) {
  const TestProgram program = Load("knp_test");
  StartOwner(program);
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !AnyStands() && !QdiscStands(); }));
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !IsAlive(owner_.watchdog); }));
}

TEST_F(WatchdogTest, OwnerKilled_AfterReplaceAndMove_FiltersAndQdiscGone) {
  const TestProgram program = Load("knp_test");
  StartOwner(program, kReplace);
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !AnyStands() && !QdiscStands(); }));
}

TEST_F(WatchdogTest, OwnerKilled_ForeignFilterAndItsQdisc_Stay) {
  const TestProgram program = Load("knp_test"), other = Load("other_ok");
  StartOwner(program);
  const std::uint32_t parent = ClsactParent(Direction::kIngress);
  ASSERT_EQ(In([&] {
              FilterPlace place{ifindex(), parent, 1, 0};
              auto socket = NetlinkSocket::Open();
              return PutBpfFilter(*socket, &place, other.fd(), "other_ok", false);
            }),
            0);
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !AnyStands(); }));
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !IsAlive(owner_.watchdog); }));
  EXPECT_TRUE(QdiscStands());
  const auto left = In([&] { return *ListFilters(ifindex(), parent); });
  ASSERT_EQ(left.size(), 2u) << "the preference and the filter";
  EXPECT_EQ(left.back().program_id, other.id());
}

TEST_F(WatchdogTest, OwnerKilled_ItsOtherChildHoldsTheChannelOpen_StillCleansUp) {
  const TestProgram program = Load("knp_test");
  StartOwner(program, kBystander);
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !AnyStands() && !QdiscStands(); }));
  EXPECT_TRUE(IsAlive(owner_.bystander)) << "else this test showed nothing";
}

TEST_F(WatchdogTest, OwnerKilled_InterfaceGone_EndsQuietly) {
  const TestProgram program = Load("knp_test");
  StartOwner(program);
  ASSERT_TRUE(rig_->DeleteInterfaces().ok());
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !IsAlive(owner_.watchdog); }));
}

TEST_F(WatchdogTest, BothKilled_Leftovers_StayUntilTheNextStartRemovesThem) {
  const TestProgram program = Load("knp_test");
  StartOwner(program);
  const auto remove = [&] { return In([&] { return RemoveLeftovers(ifindex(), {}); }); };
  EXPECT_EQ(*remove(), 0) << "the owner lives";
  kill(owner_.watchdog, SIGKILL);
  ASSERT_TRUE(Within(milliseconds(1000), [&] { return !IsAlive(owner_.watchdog); }));
  EXPECT_EQ(*remove(), 0) << "the owner still lives";
  EXPECT_TRUE(Stands(Direction::kIngress));

  KillOwner();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(Stands(Direction::kIngress)) << "nobody was left to remove it";
  EXPECT_EQ(*remove(), 2);
  EXPECT_FALSE(AnyStands());
  EXPECT_FALSE(QdiscStands());
}

TEST_F(WatchdogTest, Destructor_CleanEnd_LeavesNoZombieAndNoFilter) {
  const TestProgram program = Load("knp_test");
  auto watchdog = In([] { return Watchdog::Start(); });
  ASSERT_TRUE(watchdog.ok()) << watchdog.status();
  const pid_t child = (*watchdog)->child_pid();
  auto attachment = In([&] {
    return Attachment::Attach(Target(Direction::kIngress), program.fd(), Mechanism::kClsact, watchdog->get());
  });
  ASSERT_TRUE(attachment.ok()) << attachment.status();
  EXPECT_TRUE(IsAlive(child));
  attachment->reset();
  EXPECT_FALSE(AnyStands());
  watchdog->reset();
  EXPECT_FALSE(IsAlive(child));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left, not even a dead one";
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(WatchdogTest, Destructor_FilterStillRegistered_RemovesIt) {
  const TestProgram program = Load("knp_test");
  auto watchdog = In([] { return Watchdog::Start(); });
  ASSERT_TRUE(watchdog.ok()) << watchdog.status();
  const std::uint32_t parent = ClsactParent(Direction::kIngress);
  ASSERT_TRUE((*watchdog)->Add({ifindex(), parent, program.id(), 1}).ok());
  ASSERT_EQ(In([&] {
              auto socket = NetlinkSocket::Open();
              FilterPlace place{ifindex(), parent, 1, 0};
              return AddClsact(*socket, ifindex()) + PutBpfFilter(*socket, &place, program.fd(), "knp_test", false);
            }),
            0);
  watchdog->reset();
  EXPECT_FALSE(AnyStands());
  EXPECT_FALSE(QdiscStands());
}

TEST_F(WatchdogTest, Child_RunningQuietly_HoldsNothingOfOursAndIgnoresTheTerminal) {
  auto watchdog = In([] { return Watchdog::Start(); });
  ASSERT_TRUE(watchdog.ok()) << watchdog.status();
  const pid_t child = (*watchdog)->child_pid();
  const std::string proc = "/proc/" + std::to_string(child);
  const auto name = [&] {
    std::string comm;
    std::ifstream file(proc + "/comm");
    std::getline(file, comm);
    return comm;
  };
  ASSERT_TRUE(Within(milliseconds(1000), [&] { return name() == "knp-watchdog"; })) << name();
  const auto descriptors = [&] {
    std::vector<std::string> targets;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd", error)) {
      targets.push_back(std::filesystem::read_symlink(entry.path(), error).string());
    }
    return targets;
  };
  const UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  const std::size_t held = self.valid() ? 3 : 2;  // its end of the channel, its netlink socket, and who we are
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return descriptors().size() == held; }))
      << testing::PrintToString(descriptors());
  for (const std::string& target : descriptors()) {
    EXPECT_TRUE(target.rfind("socket:", 0) == 0 || target == "anon_inode:[pidfd]" || target.rfind("pidfd:", 0) == 0)
        << target;
  }
  EXPECT_EQ(getsid(child), child);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) kill(child, signal);
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_TRUE(IsAlive(child));
}

TEST_F(WatchdogTest, Add_ChildWasKilled_StartsAnotherThatKnowsAll) {
  const TestProgram program = Load("knp_test");
  StartOwner(program, kKillFirstWatchdog);  // between its two attachments
  KillOwner();
  EXPECT_TRUE(Within(milliseconds(1000), [&] { return !AnyStands() && !QdiscStands(); }));
}

TEST_F(WatchdogTest, AddAndRemove_FromManyThreads_EndsCleanly) {
  auto watchdog = In([] { return Watchdog::Start(); });
  ASSERT_TRUE(watchdog.ok()) << watchdog.status();
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 1; i <= 500; ++i) {
        const FilterId filter{4711 + t, ClsactParent(Direction::kIngress), i, 0};
        EXPECT_TRUE((*watchdog)->Add(filter).ok());
        EXPECT_TRUE((*watchdog)->Remove(filter).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(WatchdogTest, Add_BeyondTheLimit_ResourceExhausted) {
  auto watchdog = In([] { return Watchdog::Start(); });
  ASSERT_TRUE(watchdog.ok()) << watchdog.status();
  for (std::uint32_t i = 0; i < Watchdog::kMaxFilters; ++i) {
    ASSERT_TRUE((*watchdog)->Add({4711, ClsactParent(Direction::kIngress), i + 1, 0}).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted((*watchdog)->Add({4711, ClsactParent(Direction::kEgress), 1, 0})));
}

}  // namespace
}  // namespace knp::datapath
