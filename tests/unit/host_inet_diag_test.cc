// The kernel's list of sockets: both ends of a connection of ours and its listener, what short and cut messages give, and a
// round through network namespaces.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "src/host/sockets/inet_diag.h"

namespace knp::host {
namespace {

std::uint64_t InodeOf(const UniqueFd& fd) {
  struct stat information {};
  return fstat(fd.get(), &information) == 0 ? information.st_ino : 0;
}

std::uint64_t CookieOf(const UniqueFd& fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size);
  return cookie;
}

std::optional<SocketEntry> Find(std::uint8_t protocol, std::uint8_t family, const UniqueFd& fd) {
  std::optional<SocketEntry> found;
  const std::uint64_t inode = InodeOf(fd);
  const absl::Status status = ListSockets(protocol, family, [&](const SocketEntry& socket) {
    if (socket.inode == inode) found = socket;
  });
  EXPECT_TRUE(status.ok()) << status;
  return found;
}

#define SKIP_WITHOUT_DIAG(protocol)                                                                        \
  if (const absl::Status status = ListSockets(protocol, AF_INET, [](const SocketEntry&) {}); !status.ok()) \
  GTEST_SKIP() << status

// A listener on loopback, a client and what the listener accepted; `through_v6`: on an IPv6 socket.
struct Connection {
  explicit Connection(bool through_v6 = false) {
    const int family = through_v6 ? AF_INET6 : AF_INET;
    listener = UniqueFd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    client = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 any6{};
    any6.sin6_family = AF_INET6;
    sockaddr_in loopback{};
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const sockaddr* at = through_v6 ? reinterpret_cast<sockaddr*>(&any6) : reinterpret_cast<sockaddr*>(&loopback);
    socklen_t size = through_v6 ? sizeof(any6) : sizeof(loopback);
    if (bind(listener.get(), at, size) != 0 || listen(listener.get(), 7) != 0) return;
    sockaddr_in6 bound{};
    size = sizeof(bound);
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    loopback.sin_port = bound.sin6_port;  // where sin_port is, too
    port = ntohs(bound.sin6_port);
    if (connect(client.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof(loopback)) != 0) return;
  }
  void Accept() { server = UniqueFd(accept(listener.get(), nullptr, nullptr)); }
  UniqueFd listener, client, server;
  std::uint16_t port = 0;
};

TEST(InetDiag, ListSockets_ConnectionOfOurs_HasBothEndsAndTheListener) {
  SKIP_WITHOUT_DIAG(IPPROTO_TCP);
  Connection connection;
  std::optional<SocketEntry> listener = Find(IPPROTO_TCP, AF_INET, connection.listener);
  ASSERT_TRUE(listener);
  EXPECT_EQ(listener->state, SocketState::kListen);
  EXPECT_EQ(listener->local.ip.ToString(), "127.0.0.1");
  EXPECT_EQ(listener->local.port, connection.port);
  EXPECT_EQ(listener->receive_queue, 1u);  // the client waits
  EXPECT_EQ(listener->send_queue, 7u);
  EXPECT_FALSE(listener->tcp);
  EXPECT_EQ(listener->drops.value_or(0), 0u);
  EXPECT_EQ(listener->uid, getuid());
  EXPECT_EQ(listener->cookie, CookieOf(connection.listener));

  connection.Accept();
  ASSERT_EQ(write(connection.client.get(), "hello", 5), 5);
  const auto client = Find(IPPROTO_TCP, AF_INET, connection.client);
  const auto server = Find(IPPROTO_TCP, AF_INET, connection.server);
  ASSERT_TRUE(client && server);
  EXPECT_EQ(client->state, SocketState::kEstablished);
  EXPECT_EQ(client->remote, server->local);
  EXPECT_EQ(client->local, server->remote);
  EXPECT_EQ(client->remote.port, connection.port);
  EXPECT_EQ(client->cookie, CookieOf(connection.client));
  EXPECT_EQ(server->receive_queue, 5u);
  EXPECT_GT(server->receive_limit, 0u);
  EXPECT_FALSE(client->congestion_algorithm.empty());
  EXPECT_EQ(Find(IPPROTO_TCP, AF_INET, connection.listener)->receive_queue, 0u);
  for (const auto& end : {client, server}) {
    ASSERT_TRUE(end->tcp);
    EXPECT_GT(end->tcp->rtt_us, 0u);
    EXPECT_LT(end->tcp->rtt_us, 1'000'000u);
    EXPECT_GT(end->tcp->rttvar_us, 0u);
    EXPECT_GT(end->tcp->cwnd, 0u);
    EXPECT_EQ(end->tcp->ca_state, 0);
    EXPECT_EQ(end->tcp->total_retransmits, 0u);
  }
}

TEST(InetDiag, ListSockets_Ipv4ThroughIpv6_IsIpv4) {
  SKIP_WITHOUT_DIAG(IPPROTO_TCP);
  if (!UniqueFd(socket(AF_INET6, SOCK_STREAM, 0)).valid()) GTEST_SKIP() << "no IPv6";
  Connection connection(true);
  connection.Accept();
  const auto listener = Find(IPPROTO_TCP, AF_INET6, connection.listener);
  const auto server = Find(IPPROTO_TCP, AF_INET6, connection.server);
  ASSERT_TRUE(listener && server);
  EXPECT_EQ(listener->local.ip.ToString(), "::");
  EXPECT_FALSE(listener->v6_only);
  EXPECT_EQ(server->local.ip.ToString(), "127.0.0.1");
  EXPECT_EQ(server->remote.ip.ToString(), "127.0.0.1");
  EXPECT_EQ(server->local.port, connection.port);
}

TEST(InetDiag, ListSockets_FullUdpSocket_TellsQueueAndDrops) {
  SKIP_WITHOUT_DIAG(IPPROTO_UDP);
  const UniqueFd receiver(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), sender(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(loopback);
  const int small = 1;
  setsockopt(receiver.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&loopback), size), 0);
  getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&loopback), &size);
  const std::string text(1000, 'x');
  for (int i = 0; i < 50; ++i)
    sendto(sender.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&loopback), size);
  const auto found = Find(IPPROTO_UDP, AF_INET, receiver);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->local.port, ntohs(loopback.sin_port));
  EXPECT_EQ(found->state, SocketState::kClose);
  EXPECT_GT(found->receive_queue, 0u);
  EXPECT_GT(found->receive_limit, 0u);
  EXPECT_GT(found->drops.value_or(0), 0u);
  EXPECT_FALSE(found->tcp);
}

TEST(InetDiag, ListSockets_ProtocolThatIsNone_SaysSo) {
  EXPECT_FALSE(ListSockets(251, AF_INET, [](const SocketEntry&) {}).ok());
}

using Buffer = std::vector<std::byte>;

void Put(Buffer* buffer, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  buffer->insert(buffer->end(), bytes, bytes + size);
}

void PutAttribute(Buffer* buffer, std::uint16_t type, const Buffer& payload) {
  const nlattr header = {static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), type};
  Put(buffer, &header, sizeof(header));
  Put(buffer, payload.data(), payload.size());
  buffer->resize((buffer->size() + 3) & ~std::size_t{3});
}

Buffer Message(std::uint8_t state, std::size_t info_size) {
  inet_diag_msg message{};
  message.idiag_family = AF_INET;
  message.idiag_state = state;
  message.id.idiag_sport = htons(443);
  message.id.idiag_src[0] = htonl(0x0a000001);
  message.id.idiag_cookie[0] = 1;
  message.id.idiag_cookie[1] = 2;
  Buffer buffer;
  Put(&buffer, &message, sizeof(message));
  Buffer info(info_size);
  for (std::size_t i = 0; i < info.size(); i += 4) info[i] = std::byte{static_cast<unsigned char>(i / 4)};
  PutAttribute(&buffer, INET_DIAG_INFO, info);
  PutAttribute(&buffer, INET_DIAG_SKMEMINFO, Buffer(8 * sizeof(std::uint32_t)));  // before SK_MEMINFO_DROPS
  Buffer name(5);
  std::memcpy(name.data(), "reno", 5);
  PutAttribute(&buffer, INET_DIAG_CONG, name);
  return buffer;
}

TEST(InetDiag, ParseSocket_OlderKernels_LeaveOutWhatTheyDoNotKnow) {
  const auto whole = ParseSocket(IPPROTO_TCP, Message(1, 232));
  ASSERT_TRUE(whole && whole->tcp);
  EXPECT_EQ(whole->local.ip.ToString(), "10.0.0.1");
  EXPECT_EQ(whole->local.port, 443);
  EXPECT_EQ(whole->cookie, (std::uint64_t{2} << 32) + 1);
  EXPECT_EQ(whole->tcp->rtt_us, 17u);  // the 17th word
  EXPECT_EQ(whole->tcp->total_retransmits, 25u);
  EXPECT_EQ(whole->congestion_algorithm, "reno");
  EXPECT_FALSE(whole->drops);
  const auto older = ParseSocket(IPPROTO_TCP, Message(1, 100));  // ends before tcpi_total_retrans
  ASSERT_TRUE(older && older->tcp);
  EXPECT_EQ(older->tcp->rtt_us, 17u);
  EXPECT_EQ(older->tcp->total_retransmits, 0u);
  EXPECT_EQ(older->congestion_algorithm, "reno");
  EXPECT_FALSE(ParseSocket(IPPROTO_TCP, Message(1, 0))->tcp);
  EXPECT_FALSE(ParseSocket(IPPROTO_TCP, Message(10, 232))->tcp);  // a listener
  EXPECT_FALSE(ParseSocket(IPPROTO_SCTP, Message(1, 232))->tcp);
}

TEST(InetDiag, ParseSocket_CutAnywhere_ReadsNothingBeyond) {
  const Buffer whole = Message(1, 232);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const Buffer cut(whole.begin(),
                     whole.begin() + static_cast<std::ptrdiff_t>(size));  // for the sanitizer, to the byte
    EXPECT_EQ(ParseSocket(IPPROTO_TCP, cut).has_value(), size >= sizeof(inet_diag_msg)) << size;
  }
  Buffer other = whole;
  other[0] = std::byte{AF_UNIX};
  EXPECT_FALSE(ParseSocket(IPPROTO_TCP, other));
}

// A process in a network namespace of its own, which listens there on port 4242.
class Neighbour {
 public:
  Neighbour() {
    int ready[2];
    if (pipe(ready) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool apart = unshare(CLONE_NEWNET) == 0;
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_port = htons(4242);
      const bool listens = bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0 && listen(fd, 1) == 0;
      const char answer = apart && listens ? 'y' : 'n';
      if (write(ready[1], &answer, 1) == 1) pause();
      _exit(0);
    }
    char answer = 'n';
    ok_ = pid_ > 0 && read(ready[0], &answer, 1) == 1 && answer == 'y';
    close(ready[0]);
    close(ready[1]);
  }
  ~Neighbour() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool ok() const { return ok_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool ok_ = false;
};

TEST(InetDiag, ForEachNetns_NeighbourInItsOwn_HasItsListenerFound) {
  SKIP_WITHOUT_DIAG(IPPROTO_TCP);
  const Neighbour neighbour;
  if (!neighbour.ok()) GTEST_SKIP() << "no network namespace can be made";
  struct stat information {
  }, here{};
  ASSERT_EQ(stat(("/proc/" + std::to_string(neighbour.pid()) + "/ns/net").c_str(), &information), 0);
  const NetnsList list = ListNetns();
  std::size_t listed = 0;
  for (const NetnsEntry& netns : list.entries) listed += netns.inode == information.st_ino;
  EXPECT_EQ(listed, 1u);
  std::vector<std::uint64_t> with_listener;
  const NetnsRound round = ForEachNetns(list, [&](const NetnsEntry& netns) {
    const absl::Status status = ListSockets(IPPROTO_TCP, AF_INET, [&](const SocketEntry& socket) {
      if (socket.state == SocketState::kListen && socket.local.port == 4242) with_listener.push_back(netns.inode);
    });
    EXPECT_TRUE(status.ok()) << status;
  });
  EXPECT_EQ(std::count(with_listener.begin(), with_listener.end(), information.st_ino), 1);
  EXPECT_GE(round.entered, 2u);
  EXPECT_EQ(round.entered + round.refused + round.gone, list.entries.size());
  // This thread has not moved.
  ASSERT_EQ(stat("/proc/thread-self/ns/net", &here), 0);
  EXPECT_EQ(list.entries.front().inode, here.st_ino);
}

TEST(InetDiag, ListNetns_BeyondTheLimit_IsCutAndSaysSo) {
  const Neighbour neighbour;
  if (!neighbour.ok()) GTEST_SKIP() << "no network namespace can be made";
  const NetnsList list = ListNetns(1);
  EXPECT_EQ(list.entries.size(), 1u);
  EXPECT_TRUE(list.truncated);
  EXPECT_TRUE(ListNetns(16, "/nonexistent").entries.empty());
}

TEST(InetDiag, ForEachNetns_ProcessThatIsGone_IsCounted) {
  NetnsList list;
  list.entries = {{1, 0x7ffffff0}, {1, static_cast<std::uint32_t>(getpid())}};  // the second is another's number by now
  const NetnsRound round = ForEachNetns(list, [](const NetnsEntry&) { ADD_FAILURE(); });
  EXPECT_EQ(round.gone, 2u);
}

}  // namespace
}  // namespace knp::host
