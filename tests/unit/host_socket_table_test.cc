// The table of sockets: who had which ends when, who waits where, and that it never guesses. And the names of processes.
#include "src/host/sockets/socket_table.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "src/datapath/socket_events.h"
#include "src/host/sockets/process_names.h"

namespace knp::host {
namespace {

using Kind = SocketNotice::Kind;
constexpr std::uint64_t kSecond = 1'000'000'000;

IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }

struct Told {
  Kind kind = Kind::kConnect;
  std::uint64_t cookie = 1;
  std::uint32_t pid = 10;
  std::uint64_t second = 100;
  std::uint64_t netns = 7;
  std::uint8_t protocol = 6;
  std::string local = "10.0.0.1";
  std::uint16_t local_port = 40000;
  std::string remote = "10.0.0.2";
  std::uint16_t remote_port = 80;
  bool inherited = false;
};

KnownNotice Notice(const Told& told) {
  KnownNotice known;
  known.notice.kind = told.kind;
  known.notice.cookie = told.cookie;
  known.notice.protocol = told.protocol;
  known.notice.local = Ip(told.local);
  known.notice.local_port = told.local_port;
  known.notice.remote = Ip(told.remote);
  known.notice.remote_port = told.remote_port;
  known.notice.inherited = told.inherited;
  if (told.pid != 0) {
    known.notice.owner = SocketOwner{.pid = told.pid, .tid = told.pid, .comm = "p", .netns_cookie = told.netns};
    Process process;
    process.pid = told.pid;
    known.process = std::make_shared<const Process>(process);
  }
  known.told_unix_ns = told.second * kSecond;
  if (told.kind == Kind::kClosed && told.protocol == 6 && told.remote_port != 0) {
    known.notice.fate.emplace();
    known.notice.fate->retransmits = told.cookie;
  }
  return known;
}

class SocketTableTest : public ::testing::Test {
 protected:
  void Take(const Told& told) { table_.Take(Notice(told)); }
  // 0: not found.
  std::uint32_t Pid(const Told& told, std::uint64_t start, std::uint64_t end) const {
    const KnownSocket* socket =
        table_.Find({Ip(told.local), Ip(told.remote), told.local_port, told.remote_port, told.protocol},
                    start * kSecond, end * kSecond);
    return socket && socket->process ? socket->process->pid : 0;
  }
  std::uint32_t Server(std::uint8_t protocol, const std::string& address, std::uint16_t port) const {
    const auto process = table_.Server(protocol, Ip(address), port);
    return process ? process->pid : 0;
  }
  SocketTable table_{100};
};

TEST_F(SocketTableTest, Connection_FromItsSynToItsEnd_IsNamed) {
  Take({});
  EXPECT_EQ(Pid({}, 100, 101), 10u);
  EXPECT_EQ(Pid({.local = "10.0.0.2", .local_port = 80, .remote = "10.0.0.1", .remote_port = 40000}, 100, 101), 0u);
  EXPECT_EQ(Pid({}, 90, 95), 0u) << "before it was there";
  EXPECT_EQ(table_.open(), 1u);
  Take({.kind = Kind::kClosed, .second = 110});
  EXPECT_EQ(table_.open(), 0u);
  EXPECT_EQ(Pid({}, 100, 110), 10u);
  EXPECT_EQ(Pid({}, 111, 112), 0u) << "another's by then";
  const KnownSocket* socket = table_.Find({Ip("10.0.0.1"), Ip("10.0.0.2"), 40000, 80, 6}, 100 * kSecond, 110 * kSecond);
  ASSERT_TRUE(socket && socket->fate);
  EXPECT_EQ(socket->fate->retransmits, 1u);
}

TEST_F(SocketTableTest, SameEndsOneAfterTheOther_EachInItsTime) {
  Take({});
  Take({.kind = Kind::kClosed, .second = 110});
  Take({.cookie = 2, .pid = 20, .second = 120});
  EXPECT_EQ(Pid({}, 100, 110), 10u);
  EXPECT_EQ(Pid({}, 120, 121), 20u);
  EXPECT_EQ(Pid({}, 100, 130), 20u) << "one record of both: the last";
}

TEST_F(SocketTableTest, SameEndsInTwoNamespaces_AreNotGuessed) {
  Take({});
  Take({.cookie = 2, .pid = 20, .second = 101, .netns = 8});
  EXPECT_EQ(Pid({}, 100, 105), 0u);
  Take({.kind = Kind::kClosed, .cookie = 1, .second = 110});
  EXPECT_EQ(Pid({}, 111, 112), 20u) << "only one is left";
}

TEST_F(SocketTableTest, Accepted_IsTheListenersUntilItsCloseNamesIt) {
  Take({.kind = Kind::kAccepted, .pid = 5, .inherited = true});
  EXPECT_EQ(Pid({}, 99, 101), 5u);
  Take({.kind = Kind::kClosed, .pid = 5, .second = 102, .inherited = true});
  EXPECT_EQ(Pid({}, 99, 101), 5u);
  Take({.kind = Kind::kAccepted, .cookie = 2, .pid = 5, .local_port = 41000, .inherited = true});
  Take({.kind = Kind::kClosed, .cookie = 2, .pid = 6, .second = 102, .local_port = 41000});
  EXPECT_EQ(Pid({.local_port = 41000}, 99, 101), 6u);
}

TEST_F(SocketTableTest, UnconnectedUdp_IsFoundByPortAndRemoteUntilItsSocketCloses) {
  Take({.kind = Kind::kSent, .protocol = 17, .local = "0.0.0.0", .remote_port = 53});
  EXPECT_EQ(Pid({.protocol = 17, .remote_port = 53}, 100, 101), 10u);
  EXPECT_EQ(Pid({.protocol = 6, .remote_port = 53}, 100, 101), 0u);
  EXPECT_EQ(Pid({.protocol = 17, .remote = "10.0.0.3", .remote_port = 53}, 100, 101), 0u);
  Take({.kind = Kind::kClosed,
        .second = 105,
        .protocol = 17,
        .local = "0.0.0.0",
        .remote = "0.0.0.0",
        .remote_port = 0});
  EXPECT_EQ(Pid({.protocol = 17, .remote_port = 53}, 100, 106), 10u);
  EXPECT_EQ(Pid({.protocol = 17, .remote_port = 53}, 106, 107), 0u);
}

TEST_F(SocketTableTest, ServerAtAnyAddress_ServesOnlyItsNamespacesOwn) {
  Take({.kind = Kind::kListen, .local = "::", .local_port = 80, .remote = "::", .remote_port = 0});
  EXPECT_EQ(Server(6, "10.0.0.9", 80), 0u) << "may be any host's";
  EXPECT_FALSE(table_.Listens(Ip("10.0.0.9"), 80));
  table_.SetLocalAddresses(7, {Ip("10.0.0.9"), Ip("fd00::1")}, kSecond);
  EXPECT_EQ(Server(6, "10.0.0.9", 80), 10u);
  EXPECT_EQ(Server(6, "fd00::1", 80), 10u);
  EXPECT_EQ(Server(17, "10.0.0.9", 80), 0u);
  EXPECT_TRUE(table_.Listens(Ip("10.0.0.9"), 80));
  Take({.kind = Kind::kClosed, .local = "::", .local_port = 80, .remote = "::", .remote_port = 0});
  EXPECT_FALSE(table_.Listens(Ip("10.0.0.9"), 80));
}

TEST_F(SocketTableTest, ServersOfTwoProcesses_AreNotGuessed) {
  table_.SetLocalAddresses(7, {Ip("10.0.0.9")}, kSecond);
  Take({.kind = Kind::kBound,
        .protocol = 17,
        .local = "0.0.0.0",
        .local_port = 53,
        .remote = "0.0.0.0",
        .remote_port = 0});
  Take({.kind = Kind::kBound,
        .cookie = 2,
        .pid = 11,
        .protocol = 17,
        .local = "0.0.0.0",
        .local_port = 53,
        .remote = "0.0.0.0",
        .remote_port = 0});
  EXPECT_EQ(Server(17, "10.0.0.9", 53), 0u);
  Take({.kind = Kind::kBound,
        .cookie = 3,
        .pid = 12,
        .protocol = 17,
        .local = "10.0.0.9",
        .local_port = 53,
        .remote = "0.0.0.0",
        .remote_port = 0});
  EXPECT_EQ(Server(17, "10.0.0.9", 53), 12u) << "the one that asked for this address has it";
}

TEST_F(SocketTableTest, Full_TheOldestIsForgottenAndCounted) {
  for (std::uint16_t i = 0; i < 150; i++)
    Take({.cookie = i + 1u, .second = 100u + i, .local_port = static_cast<std::uint16_t>(1000 + i)});
  EXPECT_EQ(table_.forgotten(), 50u);
  EXPECT_EQ(Pid({.local_port = 1000}, 100, 400), 0u);
  EXPECT_EQ(Pid({.local_port = 1149}, 100, 400), 10u);
}

SurveyedSocket Listed(std::uint64_t cookie, const std::string& local, std::uint16_t local_port,
                      const std::string& remote, std::uint16_t remote_port) {
  SurveyedSocket socket;
  socket.entry.protocol = 6;
  socket.entry.state = remote_port == 0 ? SocketState::kListen : SocketState::kEstablished;
  socket.entry.cookie = cookie;
  socket.entry.local = {.ip = Ip(local), .port = local_port};
  socket.entry.remote = {.ip = Ip(remote), .port = remote_port};
  if (remote_port != 0)
    socket.entry.tcp = TcpMeasures{.rtt_us = 500, .rttvar_us = 20, .total_retransmits = 3, .cwnd = 10, .ca_state = 3};
  socket.owner.netns_cookie = 7;
  return socket;
}

TEST_F(SocketTableTest, Surveyed_KnownConnection_HasItsMeasures) {
  Take({});
  table_.Refresh(Listed(1, "10.0.0.1", 40000, "10.0.0.2", 80), 105 * kSecond, 1);
  const KnownSocket* socket = table_.Find({Ip("10.0.0.1"), Ip("10.0.0.2"), 40000, 80, 6}, 100 * kSecond, 105 * kSecond);
  ASSERT_TRUE(socket && socket->fate);
  EXPECT_EQ(socket->process->pid, 10u);
  EXPECT_EQ(socket->fate->srtt_ns, 500'000u);
  EXPECT_EQ(socket->fate->rttvar_ns, 20'000u);
  EXPECT_EQ(socket->fate->retransmits, 3u);
  EXPECT_EQ(socket->fate->congestion_state, "recovery");
  table_.EndRound(2, 110 * kSecond, true, {});
  EXPECT_EQ(table_.open(), 1u) << "its end will be told";
  Take({.kind = Kind::kClosed, .second = 120});
  EXPECT_EQ(socket->fate->retransmits, 1u) << "as it closed";
  EXPECT_EQ(socket->fate->rttvar_ns, 20'000u) << "as it was known last";
  table_.Refresh(Listed(1, "10.0.0.1", 40000, "10.0.0.2", 80), 121 * kSecond, 3);
  EXPECT_EQ(socket->fate->retransmits, 1u);
}

TEST_F(SocketTableTest, Surveyed_OlderThanWeAre_IsThereUntilARoundMissesIt) {
  table_.Refresh(Listed(5, "10.0.0.1", 40000, "10.0.0.2", 80), 105 * kSecond, 1);
  table_.EndRound(1, 105 * kSecond, true, {});
  const SocketKey key{Ip("10.0.0.1"), Ip("10.0.0.2"), 40000, 80, 6};
  EXPECT_TRUE(table_.Find(key, 50 * kSecond, 105 * kSecond));
  EXPECT_EQ(table_.open(), 1u);
  table_.EndRound(2, 110 * kSecond, true, {});
  EXPECT_EQ(table_.open(), 0u);
  const KnownSocket* socket = table_.Find(key, 50 * kSecond, 105 * kSecond);
  ASSERT_TRUE(socket && socket->fate);
  EXPECT_EQ(socket->fate->retransmits, 3u);
  EXPECT_FALSE(table_.Find(key, 120 * kSecond, 121 * kSecond));
}

TEST_F(SocketTableTest, Surveyed_Listener_ListensUntilARoundMissesIt) {
  table_.SetLocalAddresses(7, {Ip("10.0.0.1")}, kSecond);
  table_.Refresh(Listed(5, "0.0.0.0", 8123, "0.0.0.0", 0), 105 * kSecond, 1);
  table_.EndRound(1, 105 * kSecond, true, {});
  EXPECT_TRUE(table_.Listens(Ip("10.0.0.1"), 8123));
  EXPECT_FALSE(table_.Listens(Ip("10.0.0.9"), 8123)) << "not an address of that namespace";
  table_.EndRound(2, 110 * kSecond, true, {});
  EXPECT_FALSE(table_.Listens(Ip("10.0.0.1"), 8123));
}

TEST_F(SocketTableTest, Server_WhoseEndWasLost_GoesWithTheNextRoundThroughItsNamespace) {
  table_.SetLocalAddresses(7, {Ip("10.0.0.1")}, kSecond);
  const Told old{.kind = Kind::kBound,
                 .cookie = 1,
                 .pid = 5,
                 .protocol = 17,
                 .local = "0.0.0.0",
                 .local_port = 53,
                 .remote_port = 0};
  Told next = old;
  next.cookie = 2;
  next.pid = 6;
  next.second = 102;
  Take(old);
  Take(next);
  EXPECT_EQ(Server(17, "10.0.0.1", 53), 0u) << "two that could be it";
  SurveyedSocket met;
  met.entry.protocol = 17;
  met.entry.cookie = 2;
  met.entry.local = {.ip = Ip("0.0.0.0"), .port = 53};
  met.owner.netns_cookie = 7;
  table_.Refresh(met, 105 * kSecond, 1);
  table_.EndRound(1, 105 * kSecond, false, {8});
  EXPECT_EQ(Server(17, "10.0.0.1", 53), 0u) << "nobody looked there";
  table_.EndRound(1, 105 * kSecond, false, {7});
  EXPECT_EQ(Server(17, "10.0.0.1", 53), 6u);
}

TEST_F(SocketTableTest, UdpAtAnyAddress_OfThisHost_IsNoForwardedOnes) {
  table_.SetHome(7);
  table_.SetLocalAddresses(7, {Ip("10.0.0.1")}, kSecond);
  Take({.kind = Kind::kSent, .protocol = 17, .local = "0.0.0.0", .local_port = 123, .remote_port = 123});
  EXPECT_EQ(Pid({.protocol = 17, .local = "10.0.0.1", .local_port = 123, .remote_port = 123}, 100, 101), 10u);
  EXPECT_EQ(Pid({.protocol = 17, .local = "192.168.1.9", .local_port = 123, .remote_port = 123}, 100, 101), 0u);
}

TEST(SurveyTest, Pace_IsTheIntervalUnlessRoundsTakeLong) {
  EXPECT_EQ(PaceOf(5 * kSecond, kSecond / 100), 5 * kSecond);
  EXPECT_EQ(PaceOf(5 * kSecond, kSecond / 5), 20 * kSecond);
}

TEST(ProcessNamesTest, Container_IsToldByProc_IfItIsThatVeryProcess) {
  const std::string folder = testing::TempDir() + "/knp-proc-cgroup";
  std::filesystem::create_directories(folder + "/10/task/10");
  std::ofstream(folder + "/10/comm") << "nginx\n";
  std::ofstream(folder + "/10/task/10/comm") << "nginx\n";
  std::ofstream(folder + "/10/cgroup") << "0::/system.slice/nginx.service\n";
  ProcessNames names(100, folder);
  const SocketOwner nginx{.pid = 10, .tid = 10, .comm = "nginx"};
  const auto process = names.Of(nginx, 1);
  EXPECT_EQ(process->pid, 10u);
  EXPECT_EQ(process->cgroup, "/system.slice/nginx.service");
  EXPECT_EQ(process->unit, "nginx.service");
  const auto other = names.Of({.pid = 10, .tid = 10, .comm = "curl"}, 1);
  EXPECT_EQ(other->pid, 10u);
  EXPECT_EQ(other->cgroup, "") << "another pid namespace's /proc";
  std::filesystem::remove_all(folder);
  EXPECT_EQ(names.Of(nginx, 60 * kSecond)->unit, "nginx.service") << "it is gone, and nothing better is known";
}

TEST(ProcessNamesTest, Thread_HasItsProcessesName_IfProcKnowsThatVeryThread) {
  const std::string folder = testing::TempDir() + "/knp-proc";
  std::filesystem::create_directories(folder + "/10/task/11");
  std::ofstream(folder + "/10/comm") << "java\n";
  std::ofstream(folder + "/10/task/11/comm") << "pool-1\n";
  ProcessNames names(100, folder);
  EXPECT_EQ(names.Of({.pid = 10, .tid = 11, .comm = "pool-1"}, 1)->name, "java");
  EXPECT_EQ(names.Of({.pid = 10, .tid = 11, .comm = "other"}, 1)->name, "other") << "another pid namespace's /proc";
  EXPECT_EQ(names.Of({.pid = 12, .tid = 13, .comm = "gone"}, 1)->name, "gone");
  const auto one = names.Of({.pid = 20, .tid = 20, .comm = "curl"}, 1);
  EXPECT_EQ(one->name, "curl");
  EXPECT_EQ(one, names.Of({.pid = 20, .tid = 20, .comm = "curl"}, 2)) << "shared";
  std::filesystem::remove_all(folder);
}

TEST(ProcessNamesTest, SameTaskInAnotherCgroupOfV1_IsAnother) {
  ProcessNames names(100, testing::TempDir() + "/knp-no-proc");
  const SocketOwner before{.pid = 10, .tid = 10, .comm = "runc", .cgroup = 1, .cgroup_v1 = 1};
  SocketOwner after = before;
  after.cgroup_v1 = 2;
  EXPECT_NE(names.Of(before, 1), names.Of(after, 1));
  EXPECT_EQ(names.size(), 2u);
}

TEST(FindCgroup2Test, Mountinfo_OfBothKinds) {
  EXPECT_EQ(datapath::FindCgroup2("37 30 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
                                  "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"),
            "/sys/fs/cgroup/unified");
  EXPECT_EQ(datapath::FindCgroup2("37 30 0:34 / /sys/fs/cgroup rw - tmpfs cgroup2 rw\n"), "");
  EXPECT_EQ(datapath::FindCgroup2("37 30 0:34 /part /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), "");
}

// As containers see it, whose "/" is their own cgroup.
TEST(FindCgroup2Test, MountOfTheHost_IsTheHighest) {
  int height = 0;
  EXPECT_EQ(datapath::FindCgroup2("37 30 0:34 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
                                  "38 30 0:34 /../../../.. /host/cgroup ro - cgroup2 cgroup rw\n"
                                  "39 30 0:34 /.. /half ro - cgroup2 cgroup rw\n",
                                  &height),
            "/host/cgroup");
  EXPECT_EQ(height, 4);
}

}  // namespace
}  // namespace knp::host
