// Connections that were not to be: counted by what the kernel told their programs. Nobody listens; a router knows no way; the
// program does not wait.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "src/base/unique_fd.h"
#include "tests/support/netns_rig.h"
#include "tests/support/watched_link.h"

namespace knp::test {
namespace {

// The errno of a connect; 0: it did.
int Connect(const char* address, std::uint16_t port, int flags = 0) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address, &to.sin_addr);
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | flags, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

int ConnectV6(const char* address, std::uint16_t port) {
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  inet_pton(AF_INET6, address, &to.sin6_addr);
  const UniqueFd fd(socket(AF_INET6, SOCK_STREAM, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

TEST(ConnectFailuresTest, RefusedAndUnreachable_AreCountedByTheirErrno_AndWhatIsGivenUpIsNot) {
  auto rig = NetnsRig::Create();
  ASSERT_TRUE(rig.ok()) << rig.status();
  MonitorOptions options;
  options.events_per_second = 0;
  auto watched = WatchedLink::Start(*rig, Side::kB, options);
  ASSERT_TRUE(watched.ok()) << watched.status();
  const auto before = (*watched)->monitor().GetPacketStats();
  ASSERT_TRUE(before.ok() && before->host);
  for (const HostPiece& piece : before->host->pieces)
    if (piece.name == "sockets" && piece.why != "") GTEST_SKIP() << piece.why;
  const std::map<std::string, std::uint64_t>& earlier = before->host->connect_failures;
  const auto count = [&earlier](const PacketStats& stats, const std::string& error) {
    const auto now = stats.host->connect_failures.find(error), then = earlier.find(error);
    return (now == stats.host->connect_failures.end() ? 0 : now->second) - (then == earlier.end() ? 0 : then->second);
  };
  rig->RunIn(Side::kB,
             [] { ASSERT_EQ(system("sysctl -qw net.ipv4.ip_forward=1 && ip route add unreachable 10.99.0.0/24"), 0); });
  rig->RunIn(Side::kA, [] {
    ASSERT_EQ(system("ip route add 10.99.0.0/24 via 10.200.0.2"), 0);
    for (int i = 0; i < 5; i++) EXPECT_EQ(Connect("10.200.0.2", 7999), ECONNREFUSED);
    EXPECT_EQ(ConnectV6("fd00:200::2", 7999), ECONNREFUSED);
    for (int i = 0; i < 3; i++) EXPECT_EQ(Connect("10.99.0.9", 7999), EHOSTUNREACH);
    // Sent to nobody's hardware address, and closed at once.
    ASSERT_EQ(system("ip neigh replace 10.200.0.77 lladdr 02:00:00:00:00:99 nud permanent dev veth_a"), 0);
    for (int i = 0; i < 4; i++) EXPECT_EQ(Connect("10.200.0.77", 7999, SOCK_NONBLOCK), EINPROGRESS);
  });
  const PacketStats stats = (*watched)->Finish();
  // Others of this host may be refused meanwhile: it is all the host's.
  EXPECT_GE(count(stats, "ECONNREFUSED"), 6u);
  EXPECT_LE(count(stats, "ECONNREFUSED"), 8u);
  EXPECT_EQ(count(stats, "EHOSTUNREACH"), 3u);
  std::uint64_t all = 0;
  for (const auto& [error, failures] : stats.host->connect_failures) {
    std::printf("%s %llu\n", error.c_str(), static_cast<unsigned long long>(failures));
    all += count(stats, error);
  }
  EXPECT_LE(all, 11u) << "what is given up fails of nothing";
}

}  // namespace
}  // namespace knp::test
