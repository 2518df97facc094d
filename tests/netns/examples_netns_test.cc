// The programs of examples/, run as a reader of CONTRIBUTING.md would run them, on a veth pair with known traffic: what
// they print is what was sent. Built by the target `all`.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/support/rig_test.h"

namespace knp::test {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

std::string BuildDirectory() {
  const char* directory = std::getenv("KNP_BUILD_DIR");  // NOLINT(concurrency-mt-unsafe)
  return directory ? directory : KNP_BUILD_DIR;
}

// A program on side b's interface, its output in a pipe. Killed, if it still runs, when the object goes.
class Example {
 public:
  Example(const NetnsRig& rig, const std::string& name, std::vector<std::string> arguments = {}) {
    const std::string path = BuildDirectory() + "/bin/examples/" + name;
    EXPECT_EQ(access(path.c_str(), X_OK), 0) << path << " is not there: build the target all";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    output_ = UniqueFd(ends[0]);
    const UniqueFd write_end(ends[1]);
    std::vector<char*> argv = {const_cast<char*>(path.c_str())};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string interface = "NETWORK_INTERFACE=" + rig.interface(Side::kB);
    char* environment[] = {interface.data(), nullptr};
    pid_ = fork();
    if (pid_ != 0) return;
    if (rig.Enter(Side::kB).ok() && dup2(write_end.get(), STDOUT_FILENO) >= 0 &&
        dup2(STDOUT_FILENO, STDERR_FILENO) >= 0)
      execve(path.c_str(), argv.data(), environment);
    _exit(126);
  }
  ~Example() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Example(const Example&) = delete;
  Example& operator=(const Example&) = delete;

  // Reads until the output has `text`; false, and a failure, if it ends or 20 s pass before.
  bool WaitFor(const std::string& text) {
    const auto deadline = steady_clock::now() + seconds(20);
    while (text_.find(text) == std::string::npos)
      if (!ReadSome(deadline)) {
        ADD_FAILURE() << "the program did not print \"" << text << "\" but:\n" << text_;
        return false;
      }
    return true;
  }

  // Ctrl-C; returns all that was printed. Fails unless the program ends with status 0.
  std::string Interrupt() {
    kill(pid_, SIGINT);
    return Finish();
  }
  std::string Finish() {
    const auto deadline = steady_clock::now() + seconds(20);
    while (ReadSome(deadline)) {
    }
    EXPECT_LT(steady_clock::now(), deadline) << "the program does not end";
    if (steady_clock::now() >= deadline) kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status << ", output:\n" << text_;
    return text_;
  }

 private:
  bool ReadSome(steady_clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    pollfd ready{output_.get(), POLLIN, 0};
    if (left <= 0 || poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[4096];
    const ssize_t n = read(output_.get(), buffer, sizeof buffer);
    if (n > 0) text_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }

  pid_t pid_ = -1;
  UniqueFd output_;
  std::string text_;
};

class ExamplesTest : public RigTest {
 protected:
  // An address of side b with that port.
  std::pair<sockaddr_storage, socklen_t> Target(int ip_version, std::uint16_t port) const {
    sockaddr_storage storage{};
    if (ip_version == 4) {
      auto* address = reinterpret_cast<sockaddr_in*>(&storage);
      address->sin_family = AF_INET;
      address->sin_port = htons(port);
      inet_pton(AF_INET, rig_->ipv4(Side::kB).c_str(), &address->sin_addr);
      return {storage, sizeof *address};
    }
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(port);
    inet_pton(AF_INET6, rig_->ipv6(Side::kB).c_str(), &address->sin6_addr);
    return {storage, sizeof *address};
  }

  // One SYN from side a; nobody listens, so a RST comes back.
  void TryToConnect(std::uint16_t port, int ip_version = 4) const {
    rig_->RunIn(Side::kA, [&] {
      const auto [address, length] = Target(ip_version, port);
      const UniqueFd fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      EXPECT_NE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length), 0) << "port " << port;
      EXPECT_EQ(errno, ECONNREFUSED);
    });
  }

  // `count` datagrams of 100 bytes from side a, so marked.
  void SendMarked(int ip_version, int dscp, int count) const {
    rig_->RunIn(Side::kA, [&] {
      const auto [address, length] = Target(ip_version, 9);
      const UniqueFd fd(socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const int traffic_class = dscp << 2;
      const bool v4 = ip_version == 4;
      ASSERT_EQ(setsockopt(fd.get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? IP_TOS : IPV6_TCLASS,
                           &traffic_class, sizeof traffic_class),
                0);
      const char payload[100] = {};
      for (int i = 0; i < count; i++)
        EXPECT_EQ(sendto(fd.get(), payload, sizeof payload, 0, reinterpret_cast<const sockaddr*>(&address), length),
                  static_cast<ssize_t>(sizeof payload));
    });
  }
};

TEST_F(ExamplesTest, Monitor_TrafficAndAPortScan_PrintsStatisticsEventsAndTheAlert) {
  Example monitor(*rig_, "monitor");
  ASSERT_TRUE(monitor.WaitFor("veth_b: rx 0 packets"));
  for (std::uint16_t port = 1; port <= 12; port++) TryToConnect(port);
  ASSERT_TRUE(monitor.WaitFor("veth_b: rx 12 packets 888 bytes, tx 12 packets 648 bytes"));  // after five seconds
  const std::string output = monitor.Interrupt();
  EXPECT_THAT(output, ContainsRegex("TCP +24 packets"));
  EXPECT_THAT(output, ContainsRegex("flow_started TCP 10\\.200\\.0\\.1:[0-9]+ -> 10\\.200\\.0\\.2:7 "));
  EXPECT_THAT(output, ContainsRegex("connection_reset TCP 10\\.200\\.0\\.2:7 -> 10\\.200\\.0\\.1:"));
  EXPECT_THAT(output, HasSubstr("ALERT 10.200.0.1 tried 10 ports of 10.200.0.2"));
}

TEST_F(ExamplesTest, CustomMap_MarkedTraffic_IsCountedByDscp) {
  Example custom_map(*rig_, "custom_map");
  ASSERT_TRUE(custom_map.WaitFor("watching veth_b"));
  SendMarked(4, 46, 7);
  SendMarked(4, 10, 2);
  SendMarked(6, 10, 3);
  SendMarked(6, 63, 1);
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  const std::string output = custom_map.Interrupt();
  const int v4 = 14 + 20 + 8 + 100, v6 = 14 + 40 + 8 + 100;
  EXPECT_THAT(output, HasSubstr(fmt::format("DSCP 46: 7 packets, {} bytes\n", 7 * v4)));
  EXPECT_THAT(output, HasSubstr(fmt::format("DSCP 10: 5 packets, {} bytes\n", 2 * v4 + 3 * v6)));
  EXPECT_THAT(output, HasSubstr(fmt::format("DSCP 63: 1 packets, {} bytes\n", v6)));
  EXPECT_THAT(output, ::testing::Not(HasSubstr("DSCP 47:")));
}

TEST_F(ExamplesTest, CustomMapForOneSecond_EndsByItself) {
  const auto start = steady_clock::now();
  Example custom_map(*rig_, "custom_map", {BuildDirectory() + "/lib/examples/custom_map.o", "1"});
  EXPECT_THAT(custom_map.Finish(), HasSubstr("watching veth_b"));
  EXPECT_GE(steady_clock::now() - start, seconds(1));
}

TEST_F(ExamplesTest, CustomEvent_ConnectionsToWatchedPorts_AreToldOneByOne) {
  Example custom_event(*rig_, "custom_event", {BuildDirectory() + "/lib/examples/custom_event.o", "0", "22", "23"});
  ASSERT_TRUE(custom_event.WaitFor("watching veth_b"));
  for (int i = 0; i < 3; i++) TryToConnect(22);
  TryToConnect(23, 6);
  TryToConnect(80);
  ASSERT_TRUE(custom_event.WaitFor("-> fd00:200::2 port 23"));  // by the handler, while it runs
  const std::string output = custom_event.Interrupt();
  EXPECT_THAT(output, ContainsRegex("in  10\\.200\\.0\\.1 port [0-9]+ -> 10\\.200\\.0\\.2 port 22"));
  EXPECT_THAT(output, ContainsRegex("in  fd00:200::1 port [0-9]+ -> fd00:200::2 port 23"));
  EXPECT_THAT(output, HasSubstr("port 22: 3 attempts, 0 of them not told"));
  EXPECT_THAT(output, HasSubstr("port 23: 1 attempts, 0 of them not told"));
  EXPECT_THAT(output, ::testing::Not(HasSubstr("port 80")));
  std::size_t told = 0;
  for (std::size_t at = output.find("in  "); at != std::string::npos; at = output.find("in  ", at + 1)) told++;
  EXPECT_EQ(told, 4u);
}

TEST_F(ExamplesTest, CustomEvent_ObjectOfAnotherExample_IsRefusedWithTheMapsName) {
  const std::string object = BuildDirectory() + "/lib/examples/custom_map.o";
  Example custom_event(*rig_, "custom_event", {object, "1"});
  EXPECT_TRUE(custom_event.WaitFor("no map 'watched_ports'"));
}

}  // namespace
}  // namespace knp::test
