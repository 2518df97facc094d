// Notices of one reading: each named once, and a TCP connection that came and went in it is one.
#include "src/host/sockets/notice_batch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <optional>
#include <utility>

namespace knp::host {
namespace {

using Kind = SocketNotice::Kind;
constexpr std::uint64_t kEpoch = 1'000'000;

SocketOwner Owner(std::uint32_t pid, std::uint64_t since = 0) {
  return {.pid = pid, .tid = pid, .comm = "p", .since_mono_ns = since};
}

SocketNotice Told(Kind kind, std::uint64_t cookie, std::uint64_t at, std::optional<SocketOwner> owner = Owner(5)) {
  SocketNotice notice;
  notice.kind = kind;
  notice.cookie = cookie;
  notice.time_mono_ns = at;
  notice.owner = std::move(owner);
  notice.protocol = IPPROTO_TCP;
  notice.remote_port = 80;
  return notice;
}

class NoticeBatchTest : public ::testing::Test {
 protected:
  std::uint32_t PidOf(std::size_t at) const {
    const auto& process = batch_.notices()[at].process;
    return process ? process->pid : 0;
  }
  int named_ = 0;
  NoticeBatch batch_{[](std::uint64_t mono_ns) { return mono_ns + kEpoch; },
                     [this](const SocketOwner& owner) {
                       named_++;
                       Process process;
                       process.pid = owner.pid;
                       return std::make_shared<const Process>(process);
                     }};
};

TEST_F(NoticeBatchTest, OpenedAndClosed_IsOneClosing_SinceItOpened) {
  batch_.Add(Told(Kind::kConnect, 1, 100));
  batch_.Add(Told(Kind::kListen, 2, 110));
  SocketNotice closed = Told(Kind::kClosed, 1, 150, Owner(5, 90));
  closed.error = 111;
  batch_.Add(closed);
  ASSERT_EQ(batch_.notices().size(), 2u);
  EXPECT_EQ(batch_.told(), 3u);
  const KnownNotice& known = batch_.notices()[0];
  EXPECT_EQ(known.notice.kind, Kind::kClosed);
  EXPECT_EQ(known.notice.error, 111);
  EXPECT_EQ(known.since_unix_ns, kEpoch + 100);
  EXPECT_EQ(known.told_unix_ns, kEpoch + 150);
  EXPECT_EQ(PidOf(0), 5u);
  EXPECT_EQ(named_, 2) << "once for the connection, once for the listener";
}

TEST_F(NoticeBatchTest, ClosedAlone_StandsWithItsOwnersTime) {
  batch_.Add(Told(Kind::kClosed, 1, 150, Owner(5, 90)));
  EXPECT_EQ(batch_.notices()[0].since_unix_ns, kEpoch + 90);
  batch_.Clear();
  EXPECT_TRUE(batch_.notices().empty());
  EXPECT_EQ(batch_.told(), 0u);
}

TEST_F(NoticeBatchTest, TheCloserHasIt_UnlessItIsOnlyTheListenersAgain) {
  batch_.Add(Told(Kind::kAccepted, 1, 100));
  batch_.Add(Told(Kind::kClosed, 1, 150, Owner(6)));
  EXPECT_EQ(PidOf(0), 6u);
  batch_.Add(Told(Kind::kConnect, 2, 100, Owner(7)));
  SocketNotice inherited = Told(Kind::kClosed, 2, 150, Owner(6));
  inherited.inherited = true;
  batch_.Add(inherited);
  EXPECT_EQ(PidOf(1), 7u);
  EXPECT_FALSE(batch_.notices()[1].notice.inherited);
  batch_.Add(Told(Kind::kConnect, 3, 100, Owner(8)));
  batch_.Add(Told(Kind::kClosed, 3, 150, std::nullopt));
  EXPECT_EQ(PidOf(2), 8u);
  batch_.Add(Told(Kind::kConnect, 4, 100, std::nullopt));
  batch_.Add(Told(Kind::kClosed, 4, 150, Owner(9)));
  EXPECT_EQ(PidOf(3), 9u);
}

TEST_F(NoticeBatchTest, ConnectsTwice_TheSecondIsAnother) {
  batch_.Add(Told(Kind::kConnect, 1, 100));
  batch_.Add(Told(Kind::kClosed, 1, 110));
  batch_.Add(Told(Kind::kConnect, 1, 120));
  ASSERT_EQ(batch_.notices().size(), 2u);
  EXPECT_EQ(batch_.notices()[1].notice.kind, Kind::kConnect);
  batch_.Clear();
  batch_.Add(Told(Kind::kClosed, 1, 130));
  EXPECT_EQ(batch_.notices().size(), 1u);
}

TEST_F(NoticeBatchTest, Udp_IsNeverJoined) {
  SocketNotice sent = Told(Kind::kSent, 1, 100), closed = Told(Kind::kClosed, 1, 110);
  sent.protocol = closed.protocol = IPPROTO_UDP;
  batch_.Add(sent);
  batch_.Add(closed);
  EXPECT_EQ(batch_.notices().size(), 2u);
}

}  // namespace
}  // namespace knp::host
