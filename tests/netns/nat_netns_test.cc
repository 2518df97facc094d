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

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
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
constexpr std::uint16_t kVipPort = 80, kBackendPort = 8080;

struct Kind {
  int family;
  int type;
  const char *name, *vip, *router, *backend;
  std::uint8_t protocol() const { return type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP; }
};
constexpr Kind kKinds[] = {
    {AF_INET, SOCK_STREAM, "Tcp4", "10.96.0.1", "10.77.0.1", "10.77.0.2"},
    {AF_INET, SOCK_DGRAM, "Udp4", "10.96.0.1", "10.77.0.1", "10.77.0.2"},
    {AF_INET6, SOCK_STREAM, "Tcp6", "fd00:96::1", "fd00:77::1", "fd00:77::2"},
    {AF_INET6, SOCK_DGRAM, "Udp6", "fd00:96::1", "fd00:77::1", "fd00:77::2"},
};

// Of either family, for connect and bind.
struct SocketAddress {
  SocketAddress(int family, const char* ip, std::uint16_t port) : size(family == AF_INET ? sizeof v4 : sizeof v6) {
    std::memset(&v6, 0, sizeof v6);
    v6.sin6_family = static_cast<sa_family_t>(family);
    v6.sin6_port = htons(port);  // where sin_port is
    inet_pton(family, ip, family == AF_INET ? static_cast<void*>(&v4.sin_addr) : &v6.sin6_addr);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&v6); }
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t size;
};

// The rig's side a is the client, side b the router; the server hangs on another pair.
class NatTest : public ::testing::TestWithParam<Kind> {
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
    const std::string in_router = "nsenter --net=" + router + " ", in_server = "nsenter --net=" + backend + " ",
                      in_client = "nsenter --net=" + rig_->NamespacePath(Side::kA) + " ";
    const std::string hand_over = in_router + "ip link set srv netns " + backend;
    for (const std::string& command :
         {in_router + "ip link add rtr type veth peer name srv", hand_over,
          in_router + "ip addr add 10.77.0.1/24 dev rtr", in_router + "ip link set rtr up",
          in_router + "ip addr add fd00:77::1/64 dev rtr nodad",
          in_router + "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.forwarding=1",
          in_server + "ip addr add 10.77.0.2/24 dev srv", in_server + "ip link set srv up",
          in_server + "ip addr add fd00:77::2/64 dev srv nodad",
          in_client + "ip route add default via " + rig_->ipv4(Side::kB),
          in_client + "ip -6 route add default via " + rig_->ipv6(Side::kB)})
      ASSERT_EQ(std::system(command.c_str()), 0) << command;
    const std::string rules = in_router +
                              "nft -f - <<'END'\n"
                              "table ip knp {\n"
                              "  chain pre { type nat hook prerouting priority -100; ip daddr 10.96.0.1 meta l4proto "
                              "{ tcp, udp } th dport 80 dnat to 10.77.0.2:8080; }\n"
                              "  chain post { type nat hook postrouting priority 100; oifname rtr masquerade; }\n"
                              "}\n"
                              "table ip6 knp {\n"
                              "  chain pre { type nat hook prerouting priority -100; ip6 daddr fd00:96::1 meta l4proto "
                              "{ tcp, udp } th dport 80 dnat to [fd00:77::2]:8080; }\n"
                              "  chain post { type nat hook postrouting priority 100; oifname rtr masquerade; }\n"
                              "}\nEND\n";
    if (std::system(rules.c_str()) != 0) GTEST_SKIP() << "no nft here, or the kernel has no NAT for it";
    const absl::Status watch = rig_->RunIn(Side::kB, [] { return host::NatWatch::Open(1024).status(); });
    if (!watch.ok()) GTEST_SKIP() << watch;
  }

  void Watch(bool nat) {
    MonitorOptions options;
    options.host.nat = nat;
    auto monitor = rig_->RunIn(Side::kB, [&] { return NetworkMonitor::Create(options); });
    ASSERT_TRUE(monitor.ok()) << monitor.status();
    monitor_ = *std::move(monitor);
    monitor_->SetFlowHandler([this](const FlowRecord& record) {
      book_.Add(record);
      const std::lock_guard lock(mutex_);
      if (record.final && (record.protocol == IPPROTO_TCP || record.protocol == IPPROTO_UDP))
        finals_[record.id] = record;
    });
    for (const absl::Status& status :
         {monitor_->AttachToInterface("veth_b"), monitor_->AttachToInterface("rtr"), monitor_->StartEventProcessing()})
      ASSERT_TRUE(status.ok()) << status;
  }

  // Answers with what it hears, until `stop`.
  static void Echo(int fd, const Kind& kind, const std::atomic<bool>& stop) {
    char word[16];
    while (!stop) {
      if (kind.type == SOCK_STREAM) {
        const UniqueFd one(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        const ssize_t size = one.valid() ? recv(one.get(), word, sizeof word, 0) : 0;
        if (size > 0) send(one.get(), word, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      } else {
        sockaddr_in6 from{};
        socklen_t size = sizeof from;
        const ssize_t heard = recvfrom(fd, word, sizeof word, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (heard > 0) sendto(fd, word, static_cast<std::size_t>(heard), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    }
  }

  // A socket whose calls give up after that time.
  static UniqueFd Socket(const Kind& kind, const timeval& patience) {
    UniqueFd fd(socket(kind.family, kind.type | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }

  UniqueFd Backend(const Kind& kind) {
    return server_->RunIn(Side::kA, [&] {
      UniqueFd fd = Socket(kind, {0, 100'000});
      const SocketAddress any(kind.family, kind.family == AF_INET ? "0.0.0.0" : "::", kBackendPort);
      EXPECT_EQ(bind(fd.get(), any.get(), any.size), 0);
      EXPECT_TRUE(kind.type == SOCK_DGRAM || listen(fd.get(), 256) == 0);
      return fd;
    });
  }

  // From the client to the VIP: a word and its echo. How many succeeded.
  int Talk(const Kind& kind, int connections) {
    const UniqueFd listener = Backend(kind);
    std::atomic<bool> stop = false;
    std::thread server([&] { Echo(listener.get(), kind, stop); });
    const int good = rig_->RunIn(Side::kA, [&] {
      const SocketAddress vip(kind.family, kind.vip, kVipPort);
      int echoed = 0;
      for (int i = 0; i < connections; i++) {
        const UniqueFd fd = Socket(kind, {5, 0});
        char word[16];
        // Else two of a hundred may have the same port by chance, and be one conversation.
        const SocketAddress own(kind.family,
                                kind.family == AF_INET ? "0.0.0.0" : "::", static_cast<std::uint16_t>(20'000 + i));
        if (kind.type == SOCK_DGRAM) bind(fd.get(), own.get(), own.size);
        if (connect(fd.get(), vip.get(), vip.size) != 0) break;
        echoed += send(fd.get(), "hello", 5, MSG_NOSIGNAL) == 5 && recv(fd.get(), word, sizeof word, 0) == 5;
        if (kind.type == SOCK_STREAM) recv(fd.get(), word, sizeof word, 0);  // its end
      }
      return echoed;
    });
    stop = true;
    server.join();
    return good;
  }

  std::unique_ptr<NetnsRig> rig_, server_;
  FlowBook book_;
  std::mutex mutex_;
  std::map<std::uint64_t, FlowRecord> finals_;
  std::unique_ptr<NetworkMonitor> monitor_;
};

TEST_P(NatTest, VipAndMasquerade_EachConnectionIsOneRecord_SeenOnBothSides) {
  const Kind& kind = GetParam();
  Watch(true);
  ASSERT_EQ(Talk(kind, kConnections), kConnections);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ASSERT_TRUE(monitor_->Finish().ok());
  const auto stats = monitor_->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ExpectExact(*stats, book_, "router");
  EXPECT_EQ(book_.open(), 0u);

  int joined = 0, others = 0;
  for (const auto& [id, record] : finals_) {
    others += record.protocol != kind.protocol();  // nobody but us has sent anything
    std::set<std::string> where;
    for (const Observation& o : record.observations) where.insert(o.interface);
    if (!record.translated || where.size() != 2) continue;
    joined++;
    EXPECT_EQ(record.source.ip.ToString(), kind.family == AF_INET ? rig_->ipv4(Side::kA) : rig_->ipv6(Side::kA));
    EXPECT_EQ(record.destination, (Endpoint{*ParseIpAddress(kind.vip), kVipPort}));
    EXPECT_EQ(record.translated->source.ip.ToString(), kind.router);
    EXPECT_EQ(record.translated->destination, (Endpoint{*ParseIpAddress(kind.backend), kBackendPort}));
    if (kind.type == SOCK_STREAM) {
      EXPECT_EQ(record.opener, Opener::kSyn);
      EXPECT_EQ(record.state, FlowState::kClosed);
      EXPECT_LE(record.sent.packets, 8u) << "a packet counts once";
      EXPECT_GE(record.sent.packets, 4u);
    } else {
      EXPECT_EQ(record.sent.packets, 1u) << "a packet counts once";
      EXPECT_EQ(record.received.packets, 1u);
    }
  }
  EXPECT_EQ(others, 0);
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

// Of a first packet that is dropped conntrack tells nothing: here a rule comes later.
TEST_P(NatTest, DroppedBehindTheVip_IsTheConversations) {
  const Kind& kind = GetParam();
  const UniqueFd listener = Backend(kind);
  Watch(true);
  std::atomic<bool> stop = false;
  std::thread server([&] { Echo(listener.get(), kind, stop); });
  rig_->RunIn(Side::kA, [&] {
    const SocketAddress vip(kind.family, kind.vip, kVipPort);
    const UniqueFd fd = Socket(kind, {5, 0});
    char word[16];
    ASSERT_EQ(connect(fd.get(), vip.get(), vip.size), 0);
    if (kind.type == SOCK_DGRAM) {
      ASSERT_EQ(send(fd.get(), "hello", 5, MSG_NOSIGNAL), 5);
      ASSERT_EQ(recv(fd.get(), word, sizeof word, 0), 5);
    }
    const std::string rule = "nsenter --net=" + rig_->NamespacePath(Side::kB) +
                             " nft -f - <<'END'\n"
                             "table inet knpdrop {\n"
                             "  chain forwarded { type filter hook forward priority 0;\n"
                             "    meta l4proto { tcp, udp } th dport 8080 drop; }\n"
                             "}\nEND\n";
    ASSERT_EQ(std::system(rule.c_str()), 0);
    ASSERT_EQ(send(fd.get(), "hello", 5, MSG_NOSIGNAL), 5);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  });
  stop = true;
  server.join();
  ASSERT_TRUE(monitor_->Finish().ok());
  const auto stats = monitor_->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  for (const HostPiece& piece : stats->host->pieces)
    if (piece.name == "drops" && !piece.on) GTEST_SKIP() << piece.why;
  ASSERT_EQ(finals_.size(), 1u);
  const FlowRecord& record = finals_.begin()->second;
  ASSERT_FALSE(record.drops.empty());
  EXPECT_EQ(record.destination.port, kVipPort);
  EXPECT_GE(record.drops[0].count.packets, 1u);
}

class NatOffTest : public NatTest {};
TEST_P(NatOffTest, SwitchedOff_AreTwoRecords) {
  Watch(false);
  ASSERT_EQ(Talk(GetParam(), 1), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_TRUE(monitor_->Finish().ok());
  EXPECT_EQ(finals_.size(), 2u);
  for (const auto& [id, record] : finals_) EXPECT_FALSE(record.translated);
}

std::string NameOf(const ::testing::TestParamInfo<Kind>& kind) { return kind.param.name; }
INSTANTIATE_TEST_SUITE_P(Kinds, NatTest, ::testing::ValuesIn(kKinds), NameOf);
INSTANTIATE_TEST_SUITE_P(OneKind, NatOffTest, ::testing::Values(kKinds[0]), NameOf);

}  // namespace
}  // namespace knp::test
