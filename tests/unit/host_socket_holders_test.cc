// Which process has a socket open, in a /proc of the test's own and in the real one.
#include "src/host/sockets/socket_holders.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "src/base/unique_fd.h"

namespace knp::host {
namespace {

namespace fs = std::filesystem;

class SocketHoldersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(proc_);
    fs::create_directories(proc_);
  }
  void TearDown() override { fs::remove_all(proc_); }
  void Process(int pid, const std::string& comm, std::initializer_list<const char*> links) {
    const fs::path folder = proc_ / std::to_string(pid);
    fs::create_directories(folder / "fd");
    std::ofstream(folder / "comm") << comm << "\n";
    int fd = 3;
    for (const char* link : links) fs::create_symlink(link, folder / "fd" / std::to_string(fd++));
  }
  const fs::path proc_ = fs::path(testing::TempDir()) / fmt::format("knp-holders-{}", getpid());
};

TEST_F(SocketHoldersTest, SeveralHolders_TheLowestPid_AndNothingThatIsNoSocket) {
  Process(300, "worker", {"socket:[17]", "socket:[18]"});
  Process(20, "master", {"/dev/null", "pipe:[18]", "anon_inode:[eventpoll]", "socket:[17]"});
  fs::create_directories(proc_ / "net");
  const HoldersLook look = SocketHolders(proc_).Find({17, 18, 19});
  EXPECT_EQ(look.found.size(), 2u);
  ASSERT_TRUE(look.found.contains(17) && look.found.contains(18));
  EXPECT_EQ(look.found.at(17).pid, 20u);
  EXPECT_EQ(look.found.at(17).comm, "master");
  EXPECT_EQ(look.found.at(18).pid, 300u);
  EXPECT_TRUE(look.whole);
}

TEST_F(SocketHoldersTest, BudgetThatIsSpent_NextLookGoesOnWhereItEnded) {
  for (int pid = 1; pid <= 4; pid++) Process(pid, "p", {fmt::format("socket:[{}]", pid).c_str()});
  SocketHolders holders(proc_, 1);
  for (std::uint64_t pid = 1; pid <= 4; pid++) {
    const HoldersLook look = holders.Find({1, 2, 3, 4, 99});
    ASSERT_EQ(look.found.size(), 1u) << pid;
    EXPECT_EQ(look.found.begin()->first, pid);
    EXPECT_FALSE(look.whole);
  }
  EXPECT_EQ(holders.Find({1}).found.size(), 1u) << "and then from the beginning";
}

TEST_F(SocketHoldersTest, ProcessOfNoName_IsNotTaken) {
  fs::create_directories(proc_ / "7" / "fd");
  fs::create_symlink("socket:[17]", proc_ / "7" / "fd" / "3");
  EXPECT_TRUE(SocketHolders(proc_).Find({17}).found.empty());
  EXPECT_TRUE(SocketHolders(proc_ / "nosuch").Find({17}).found.empty());
}

TEST(SocketHolders, OurOwnSocket_IsOurs) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM, 0));
  struct stat information {};
  ASSERT_EQ(fstat(fd.get(), &information), 0);
  const HoldersLook look = SocketHolders("/proc", 10'000'000'000).Find({information.st_ino});
  ASSERT_TRUE(look.found.contains(information.st_ino));
  EXPECT_EQ(look.found.at(information.st_ino).pid, static_cast<std::uint32_t>(getpid()));
}

}  // namespace
}  // namespace knp::host
