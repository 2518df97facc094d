// Sockets that are older than the monitor, and queues that were full: what only a look at all sockets tells; with the
// kernel's notices beside it and alone, as on hosts that have none. Both ends of the rig are this host's.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/support/netns_rig.h"
#include "tests/support/watched_link.h"

namespace knp::test {
namespace {

constexpr std::uint16_t kPort = 51234;

sockaddr_in AddressOf(const char* text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}
const sockaddr* Generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

// Which features the monitor does without: none, or the ring buffer and so all notices.
class SurveyTest : public ::testing::TestWithParam<const char*> {
 protected:
  // From port 443 of one side to a listener at an odd port of the other: there before the monitor.
  void SetUp() override {
    auto rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
    rig_->RunIn(Side::kB, [&] {
      listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM, 0));
      const sockaddr_in here = AddressOf("0.0.0.0", kPort);
      ASSERT_EQ(bind(listener_.get(), Generic(here), sizeof here), 0);
      ASSERT_EQ(listen(listener_.get(), 0), 0);
    });
    rig_->RunIn(Side::kA, [&] {
      client_ = UniqueFd(socket(AF_INET, SOCK_STREAM, 0));
      const sockaddr_in here = AddressOf("0.0.0.0", 443), there = AddressOf("10.200.0.2", kPort);
      ASSERT_EQ(bind(client_.get(), Generic(here), sizeof here), 0);
      ASSERT_EQ(connect(client_.get(), Generic(there), sizeof there), 0);
    });
    server_ = UniqueFd(accept(listener_.get(), nullptr, nullptr));
    // A namespace that no process is in is not seen.
    inhabitant_ = fork();
    if (inhabitant_ != 0) return;
    for (UniqueFd* ours : {&listener_, &client_, &server_}) *ours = UniqueFd();  // its number may be lower than ours
    if (rig_->Enter(Side::kA).ok()) pause();
    _exit(1);
  }
  void TearDown() override {
    if (inhabitant_ <= 0) return;
    kill(inhabitant_, SIGKILL);
    waitpid(inhabitant_, nullptr, 0);
  }
  // False: the piece cannot be here.
  bool Watch() {
    MonitorOptions options;
    options.events_per_second = 0;
    options.disable_features = GetParam();
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    EXPECT_TRUE(watched.ok()) << watched.status();
    if (!watched.ok()) return false;
    watched_ = *std::move(watched);
    watched_->monitor().SetFlowHandler([this](const FlowRecord& record) {
      watched_->book_to_fill().Add(record);
      const std::lock_guard lock(mutex_);
      if (record.final) finals_.push_back(record);
    });
    const auto stats = watched_->monitor().GetPacketStats();
    return stats.ok() && SocketsOf(*stats).on;
  }
  static HostPiece SocketsOf(const PacketStats& stats) {
    if (stats.host)
      for (const HostPiece& piece : stats.host->pieces)
        if (piece.name == "sockets") return piece;
    return {};
  }

  std::unique_ptr<NetnsRig> rig_;
  UniqueFd listener_, client_, server_;
  pid_t inhabitant_ = 0;
  std::mutex mutex_;
  std::vector<FlowRecord> finals_;
  std::unique_ptr<WatchedLink> watched_;
};

TEST_P(SurveyTest, ConnectionOlderThanTheMonitor_HasItsMeasures_AndItsListenerTellsItsOpener) {
  if (!Watch()) GTEST_SKIP() << "no INET_DIAG here";
  char hello[5] = "";
  ASSERT_EQ(send(server_.get(), "hello", 5, 0), 5);  // the server speaks first
  ASSERT_EQ(recv(client_.get(), hello, 5, MSG_WAITALL), 5);
  ASSERT_EQ(send(client_.get(), "hello", 5, 0), 5);
  ASSERT_EQ(recv(server_.get(), hello, 3, MSG_WAITALL), 3);
  const HostPiece piece = SocketsOf(watched_->Finish());
  std::printf("%s %s\n", piece.how.c_str(), piece.why.c_str());
  EXPECT_EQ(piece.why.empty(), *GetParam() == '\0') << piece.why;
  const std::lock_guard lock(mutex_);
  int seen = 0;
  for (const FlowRecord& record : finals_) {
    if (record.protocol != IPPROTO_TCP) continue;
    seen++;
    EXPECT_EQ(record.opener, Opener::kListener);
    EXPECT_EQ(record.destination.port, kPort);
    ASSERT_TRUE(record.source_socket && record.destination_socket);
    ASSERT_TRUE(record.source.process && record.destination.process);
    EXPECT_EQ(record.source.process->pid, static_cast<std::uint32_t>(getpid()));
    EXPECT_EQ(record.destination.process->pid, static_cast<std::uint32_t>(getpid()));
    EXPECT_NE(record.source.process->name, "");
    EXPECT_GT(record.source_socket->srtt_ns, 0u);
    EXPECT_GT(record.source_socket->rttvar_ns, 0u);
    EXPECT_EQ(record.destination_socket->receive_queue, 2u);
    EXPECT_EQ(record.destination_socket->congestion_state, "open");
  }
  EXPECT_EQ(seen, 1);
}

TEST_P(SurveyTest, FullQueueOfAListener_IsToldWithWhatItRefused) {
  if (!Watch()) GTEST_SKIP() << "no INET_DIAG here";
  std::vector<UniqueFd> clients;
  rig_->RunIn(Side::kA, [&] {
    const sockaddr_in there = AddressOf("10.200.0.2", kPort);
    for (int i = 0; i < 8; i++) {
      clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      static_cast<void>(connect(clients.back().get(), Generic(there), sizeof there));  // in progress
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const PacketStats stats = watched_->Finish();
  std::uint64_t overflows = 0;
  for (const ListenerTotal& listener : stats.host->listeners)
    if (listener.endpoint.port == kPort) overflows = listener.overflows;
  EXPECT_GE(overflows, 1u);
}

TEST_P(SurveyTest, FullQueueOfADatagramSocket_IsToldWithWhatItDropped) {
  UniqueFd lazy;
  rig_->RunIn(Side::kB, [&] {
    lazy = UniqueFd(socket(AF_INET, SOCK_DGRAM, 0));
    const sockaddr_in here = AddressOf("0.0.0.0", kPort);
    const int room = 4096;
    ASSERT_EQ(setsockopt(lazy.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    ASSERT_EQ(bind(lazy.get(), Generic(here), sizeof here), 0);
  });
  if (!Watch()) GTEST_SKIP() << "no INET_DIAG here";
  constexpr int kSent = 100;
  rig_->RunIn(Side::kA, [&] {
    const UniqueFd fd(socket(AF_INET, SOCK_DGRAM, 0));
    const sockaddr_in there = AddressOf("10.200.0.2", kPort);
    for (int i = 0; i < kSent; i++) ASSERT_EQ(sendto(fd.get(), "0123456789", 10, 0, Generic(there), sizeof there), 10);
  });
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  const PacketStats stats = watched_->Finish();
  std::uint64_t taken = 0;
  for (char word[16]; recv(lazy.get(), word, sizeof word, MSG_DONTWAIT) == 10;) taken++;
  const ListenerTotal* told = nullptr;
  for (const ListenerTotal& listener : stats.host->listeners)
    if (listener.endpoint.port == kPort && listener.protocol == IPPROTO_UDP) told = &listener;
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->overflows, kSent - taken);
  EXPECT_GT(told->queued, 0u);
  EXPECT_GT(told->queue_limit, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, SurveyTest, ::testing::Values("", "ringbuf"),
                         [](const auto& way) { return std::string(*way.param == '\0' ? "WithNotices" : "Alone"); });

}  // namespace
}  // namespace knp::test
