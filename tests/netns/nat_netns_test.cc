// A router between two namespaces that translates: each connection through it is one conversation, seen on both sides, and
// the ledger is exact. Client - router - server, the router's nftables with a VIP for the server and a masquerade.
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "src/host/nat/nat_watch.h"
#include "tests/support/flow_book.h"
#include "tests/support/netns_rig.h"
#include "tests/support/watched_link.h"

namespace knp::test {
namespace {

constexpr int kConnections = 100;
constexpr const char* kVip = "10.96.0.1";

// The rig's side a is the client, side b the router; the server hangs on another pair.
class NatTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }

  void SetUp() override {
    auto rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    auto server = NetnsRig::Create();  // its side a is the server's namespace; its own pair is not used
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::make_unique<NetnsRig>(*std::move(server));
    const std::string router = rig_->NamespacePath(Side::kB), backend = server_->NamespacePath(Side::kA);
    const std::string in_router = "nsenter --net=" + router + " ", in_server = "nsenter --net=" + backend + " ";
    const std::string hand_over = in_router + "ip link set srv netns " + backend;
    for (const std::string& command :
         {in_router + "ip link add rtr type veth peer name srv", hand_over,
          in_router + "ip addr add 10.77.0.1/24 dev rtr", in_router + "ip link set rtr up",
          in_router + "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0",
          in_server + "ip addr add 10.77.0.2/24 dev srv", in_server + "ip link set srv up",
          "nsenter --net=" + rig_->NamespacePath(Side::kA) + " ip route add default via " + rig_->ipv4(Side::kB)})
      ASSERT_EQ(std::system(command.c_str()), 0) << command;
    const std::string rules = in_router +
                              "nft -f - <<'END'\n"
                              "table ip knp {\n"
                              "  chain pre { type nat hook prerouting priority -100; ip daddr 10.96.0.1 tcp dport 80 "
                              "dnat to 10.77.0.2:8080; }\n"
                              "  chain post { type nat hook postrouting priority 100; oifname rtr masquerade; }\n"
                              "}\nEND\n";
    if (std::system(rules.c_str()) != 0) GTEST_SKIP() << "no nft here, or the kernel has no NAT for it";
    const absl::Status watch = rig_->RunIn(Side::kB, [] { return host::NatWatch::Open(1024).status(); });
    if (!watch.ok()) GTEST_SKIP() << watch;
  }

  void Watch() {
    auto monitor = rig_->RunIn(Side::kB, [] { return NetworkMonitor::Create(MonitorOptions{}); });
    ASSERT_TRUE(monitor.ok()) << monitor.status();
    monitor_ = *std::move(monitor);
    monitor_->SetFlowHandler([this](const FlowRecord& record) {
      book_.Add(record);
      const std::lock_guard lock(mutex_);
      if (record.final && record.protocol == IPPROTO_TCP) finals_[record.id] = record;
    });
    for (const absl::Status& status :
         {monitor_->AttachToInterface("veth_b"), monitor_->AttachToInterface("rtr"), monitor_->StartEventProcessing()})
      ASSERT_TRUE(status.ok()) << status;
  }

  // From the client to the VIP: a word and its echo. How many succeeded.
  int Talk(int connections) {
    UniqueFd listener = server_->RunIn(Side::kA, [] {
      UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(8080);
      if (bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(fd.get(), 256) != 0)
        return UniqueFd();
      return fd;
    });
    if (!listener.valid()) return -1;
    std::thread server([&] {
      for (;;) {
        const UniqueFd one(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!one.valid()) return;
        char word[16];
        const ssize_t size = recv(one.get(), word, sizeof word, 0);
        if (size > 0) send(one.get(), word, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      }
    });
    const int good = rig_->RunIn(Side::kA, [&] {
      int echoed = 0;
      for (int i = 0; i < connections; i++) {
        const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const timeval patience{5, 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(80);
        inet_pton(AF_INET, kVip, &to.sin_addr);
        char word[16];
        if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) break;
        echoed += send(fd.get(), "hello", 5, MSG_NOSIGNAL) == 5 && recv(fd.get(), word, sizeof word, 0) == 5;
        recv(fd.get(), word, sizeof word, 0);  // its end
      }
      return echoed;
    });
    shutdown(listener.get(), SHUT_RDWR);
    server.join();
    return good;
  }

  std::unique_ptr<NetnsRig> rig_, server_;
  FlowBook book_;
  std::mutex mutex_;
  std::map<std::uint64_t, FlowRecord> finals_;
  std::unique_ptr<NetworkMonitor> monitor_;
};

TEST_F(NatTest, VipAndMasquerade_EachConnectionIsOneRecord_SeenOnBothSides) {
  Watch();
  ASSERT_EQ(Talk(kConnections), kConnections);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ASSERT_TRUE(monitor_->Finish().ok());
  const auto stats = monitor_->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ExpectExact(*stats, book_, "router");
  EXPECT_EQ(book_.open(), 0u);

  int joined = 0;
  for (const auto& [id, record] : finals_) {
    std::set<std::string> where;
    for (const Observation& o : record.observations) where.insert(o.interface);
    if (!record.translated || where.size() != 2) continue;
    joined++;
    EXPECT_EQ(record.source.ip.ToString(), rig_->ipv4(Side::kA));
    EXPECT_EQ(record.destination, (Endpoint{*ParseIpAddress(kVip), 80}));
    EXPECT_EQ(record.translated->source.ip.ToString(), "10.77.0.1");
    EXPECT_EQ(record.translated->destination, (Endpoint{*ParseIpAddress("10.77.0.2"), 8080}));
    EXPECT_EQ(record.opener, Opener::kSyn);
    EXPECT_EQ(record.state, FlowState::kClosed);
    EXPECT_LE(record.sent.packets, 8u) << "a packet counts once";
    EXPECT_GE(record.sent.packets, 4u);
  }
  EXPECT_GE(joined, kConnections - 1);
  EXPECT_LE(finals_.size(), static_cast<std::size_t>(kConnections) + 2) << "one record for each connection";
  for (const HostPiece& piece : stats->host->pieces) {
    if (piece.name != "nat") continue;
    EXPECT_TRUE(piece.on) << piece.why;
    EXPECT_GE(piece.events, static_cast<std::uint64_t>(kConnections));
    EXPECT_EQ(piece.lost, 0u);
  }
  EXPECT_GE(stats->host->translations, static_cast<std::uint64_t>(kConnections));
}

TEST_F(NatTest, SwitchedOff_AreTwoRecords) {
  auto monitor = rig_->RunIn(Side::kB, [] {
    MonitorOptions options;
    options.host.nat = false;
    return NetworkMonitor::Create(options);
  });
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  monitor_ = *std::move(monitor);
  monitor_->SetFlowHandler([this](const FlowRecord& record) {
    const std::lock_guard lock(mutex_);
    if (record.final && record.protocol == IPPROTO_TCP) finals_[record.id] = record;
  });
  for (const absl::Status& status :
       {monitor_->AttachToInterface("veth_b"), monitor_->AttachToInterface("rtr"), monitor_->StartEventProcessing()})
    ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(Talk(1), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_TRUE(monitor_->Finish().ok());
  EXPECT_EQ(finals_.size(), 2u);
  for (const auto& [id, record] : finals_) EXPECT_FALSE(record.translated);
}

}  // namespace
}  // namespace knp::test
