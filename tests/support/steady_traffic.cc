// See steady_traffic.h.
#include "tests/support/steady_traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/icmp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "src/datapath/errors.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using datapath::ErrnoStatus;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint16_t kPort = 7002, kEchoId = 0x4b4e;
constexpr std::size_t kBlock = 500;
constexpr std::uint64_t kMostWaiting = 128;             // pings, then blocks, on their way
constexpr milliseconds kPatience{20'000}, kIdle{3000};  // slow guests have pauses
constexpr milliseconds kAfterDrop{50};                  // the kernel is done, its queues are not

sockaddr_in AddressOf(const std::string& ip, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return address;
}

template <typename Address>
const sockaddr* Generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

unsigned char ByteAt(std::uint64_t position) { return static_cast<unsigned char>((position * 131 + 7) >> 3); }

std::uint16_t Checksum(const void* data, std::size_t size) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, static_cast<const char*>(data) + i, 2);
    sum += word;
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

struct Echo {
  icmphdr header{};
  std::uint64_t number = 0;
};

// Segments sent again because they were lost; those of which the other side says that it had them already were
// sent by impatience (a slow machine), not by loss.
std::uint64_t Resent(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_total_retrans > info.tcpi_dsack_dups ? info.tcpi_total_retrans - info.tcpi_dsack_dups : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SteadyTraffic>> SteadyTraffic::Start(const NetnsRig& rig) {
  std::unique_ptr<SteadyTraffic> traffic(new SteadyTraffic);
  if (absl::Status status = traffic->Open(rig); !status.ok()) return status;
  SteadyTraffic* const self = traffic.get();
  self->ping_thread_ = std::thread([self] { self->Ping(); });
  self->server_thread_ = std::thread([self] { self->Server(); });
  self->client_thread_ = std::thread([self] { self->Client(); });
  return traffic;
}

absl::Status SteadyTraffic::Open(const NetnsRig& rig) {
  UniqueFd listener;
  const sockaddr_in there = AddressOf(rig.ipv4(Side::kB), kPort);
  absl::Status status = rig.RunIn(Side::kB, [&]() -> absl::Status {
    listener = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener.get(), Generic(there), sizeof there) == 0 && listen(listener.get(), 1) == 0)
      return absl::OkStatus();
    return ErrnoStatus(errno, "cannot listen for the TCP stream");
  });
  if (!status.ok()) return status;
  status = rig.RunIn(Side::kA, [&]() -> absl::Status {
    icmp_ = UniqueFd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    icmp_filter filter{~(1u << ICMP_ECHOREPLY)};
    const int room = 8 << 20;
    setsockopt(icmp_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (!icmp_.valid() || setsockopt(icmp_.get(), SOL_RAW, ICMP_FILTER, &filter, sizeof filter) != 0 ||
        connect(icmp_.get(), Generic(there), sizeof there) != 0)
      return ErrnoStatus(errno, "cannot open a socket to ping with");
    client_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(client_.get(), Generic(there), sizeof there) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "cannot connect the TCP stream");
  });
  if (!status.ok()) return status;
  server_ = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!server_.valid()) return ErrnoStatus(errno, "cannot accept the TCP stream");
  const int on = 1;
  for (int fd : {client_.get(), server_.get()}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(client_.get(), F_SETFL, fcntl(client_.get(), F_GETFL) | O_NONBLOCK);
  return absl::OkStatus();
}

SteadyTraffic::~SteadyTraffic() { Stop(); }

// ---- pings -------------------------------------------------------------------------------------------------------

void SteadyTraffic::SendPing() {
  Echo echo;
  echo.header.type = ICMP_ECHO;
  echo.header.un.echo.id = htons(kEchoId);
  echo.header.un.echo.sequence = htons(static_cast<std::uint16_t>(pings_));
  echo.number = pings_;
  echo.header.checksum = Checksum(&echo, sizeof echo);
  // Refused while the interface is down: then nothing was sent.
  const Time now = steady_clock::now();
  if (send(icmp_.get(), &echo, sizeof echo, MSG_DONTWAIT) != sizeof echo) return;
  pinged_.push_back(now);
  answered_.push_back(false);
  ++pings_;
}

void SteadyTraffic::TakeAnswers() {
  std::array<std::byte, 256> packet;
  for (;;) {
    const ssize_t size = recv(icmp_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < static_cast<ssize_t>(sizeof(iphdr) + sizeof(Echo))) {
      if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (size >= 0 || errno == ENETDOWN || errno == EHOSTUNREACH || errno == ENETUNREACH) continue;
      return;
    }
    Echo echo;
    std::memcpy(&echo, packet.data() + sizeof(iphdr), sizeof echo);
    if (echo.header.un.echo.id != htons(kEchoId) || echo.number >= answered_.size()) continue;
    if (answered_[echo.number]) continue;
    answered_[echo.number] = true;
    ++answers_;
  }
}

void SteadyTraffic::Ping() {
  std::uint64_t given_up = 0;  // lost ones must not stop the flood
  Time progress = steady_clock::now();
  for (std::uint64_t last = 0; !stop_; std::this_thread::sleep_for(milliseconds(1))) {
    TakeAnswers();
    const std::uint64_t waiting = pings_ - answers_ - std::min<std::uint64_t>(given_up, pings_ - answers_);
    const bool full = waiting + 2 > kMostWaiting;
    if (answers_ != last || !full) progress = steady_clock::now();
    last = answers_;
    if (steady_clock::now() - progress > milliseconds(200)) given_up = pings_ - answers_;
    for (int i = 0; i < 2 && !full; ++i) SendPing();
  }
  for (progress = steady_clock::now(); !abandoned_ && answers_ < pings_ && steady_clock::now() - progress < kIdle;) {
    const std::uint64_t before = answers_;
    std::this_thread::sleep_for(milliseconds(2));
    TakeAnswers();
    if (answers_ != before) progress = steady_clock::now();
    // What the kernel may have dropped is not waited for to the last.
    if (!may_drop_.empty() && steady_clock::now() - progress > milliseconds(500)) break;
  }
}

// ---- the stream --------------------------------------------------------------------------------------------------

void SteadyTraffic::Fail(std::string* error, const std::string& what) {
  if (error->empty()) *error = what;
}

void SteadyTraffic::Server() {
  std::array<unsigned char, 16384> data;
  for (std::uint64_t at = 0;;) {
    const ssize_t size = recv(server_.get(), data.data(), data.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Fail(&server_error_, fmt::format("the server cannot receive: {}", std::strerror(errno)));
    if (size == 0) break;
    for (ssize_t i = 0; i < size; ++i, ++at) {
      if (data[static_cast<std::size_t>(i)] != ByteAt(at)) Fail(&server_error_, fmt::format("byte {} differs", at));
    }
    for (ssize_t done = 0; done < size;) {
      const ssize_t sent = send(server_.get(), data.data() + done, static_cast<std::size_t>(size - done), MSG_NOSIGNAL);
      if (sent < 0) return Fail(&server_error_, fmt::format("the server cannot send: {}", std::strerror(errno)));
      done += sent;
    }
  }
  shutdown(server_.get(), SHUT_WR);
}

void SteadyTraffic::Client() {
  std::array<unsigned char, kBlock> block;
  std::array<unsigned char, 16384> data;
  bool closed = false;
  for (Time progress = steady_clock::now();;) {
    const bool more = !stop_ && sent_bytes_ - returned_bytes_ < kMostWaiting * kBlock;
    for (int i = 0; i < 2 && more; ++i) {
      for (std::size_t k = 0; k < kBlock; ++k) block[k] = ByteAt(sent_bytes_ + k);
      const ssize_t sent = send(client_.get(), block.data(), kBlock, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN)
        return Fail(&client_error_, fmt::format("cannot send: {}", std::strerror(errno)));
      if (sent > 0) sent_bytes_ += static_cast<std::uint64_t>(sent);
    }
    if (stop_ && !closed && returned_bytes_ == sent_bytes_) {
      shutdown(client_.get(), SHUT_WR);
      closed = true;
    }
    const ssize_t size = recv(client_.get(), data.data(), data.size(), 0);
    if (size == 0) return closed ? void() : Fail(&client_error_, "the stream ended early");
    if (size < 0 && errno != EAGAIN && errno != EINTR)
      return Fail(&client_error_, fmt::format("cannot receive: {}", std::strerror(errno)));
    for (ssize_t i = 0; i < size; ++i, ++returned_bytes_) {
      if (data[static_cast<std::size_t>(i)] != ByteAt(returned_bytes_))
        Fail(&client_error_, fmt::format("returned byte {} differs", returned_bytes_.load()));
    }
    if (size > 0) progress = steady_clock::now();
    if (abandoned_ || (stop_ && steady_clock::now() - progress > kIdle))
      return Fail(&client_error_, "the stream stalled");
    if (size <= 0) std::this_thread::sleep_for(milliseconds(1));
  }
}

// ---- the test's side -----------------------------------------------------------------------------------------------

bool SteadyTraffic::WaitForPings(std::uint64_t pings, std::uint64_t blocks) {
  const std::uint64_t answers = answers_ + pings, returned = returned_bytes_ + blocks * kBlock;
  const Time deadline = steady_clock::now() + kPatience;
  while (answers_ < answers || returned_bytes_ < returned) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

bool SteadyTraffic::Flow(std::uint64_t pings) { return WaitForPings(pings, pings); }
bool SteadyTraffic::FlowOfPings(std::uint64_t pings) { return WaitForPings(pings, 0); }

void SteadyTraffic::WhileKernelMayDrop(const std::function<void()>& change) {
  const Time begin = steady_clock::now() - kAfterDrop;
  change();
  may_drop_.emplace_back(begin, steady_clock::now() + kAfterDrop);
}

void SteadyTraffic::Abandon() {
  abandoned_ = true;
  Stop();
}

SteadyTraffic::Result SteadyTraffic::Stop() {
  stop_ = true;
  if (client_thread_.joinable()) client_thread_.join();
  if (!client_error_.empty()) shutdown(server_.get(), SHUT_RDWR);
  for (std::thread* thread : {&server_thread_, &ping_thread_})
    if (thread->joinable()) thread->join();
  Result result{.pings = pings_,
                .answers = answers_,
                .lost_pings = 0,
                .sent_bytes = sent_bytes_,
                .returned_bytes = returned_bytes_,
                .resent = Resent(client_.get()) + Resent(server_.get()),
                .error = client_error_.empty() ? server_error_ : client_error_,
                .dropping_allowed = !may_drop_.empty()};
  for (std::size_t i = 0; i < pinged_.size(); ++i) {
    const bool excused = std::any_of(may_drop_.begin(), may_drop_.end(), [&](const auto& window) {
      return window.first <= pinged_[i] && pinged_[i] <= window.second;
    });
    if (!answered_[i] && !excused) ++result.lost_pings;
  }
  return result;
}

std::string SteadyTraffic::Result::Text() const {
  return fmt::format(
      "{} pings, {} answered, {} lost without excuse; {} bytes sent, {} returned, {} segments resent; {}", pings,
      answers, lost_pings, sent_bytes, returned_bytes, resent, error.empty() ? "no error" : error);
}

SteadyTraffic::Result SteadyTraffic::StopAndExpectNoLoss() {
  Result result = Stop();
  EXPECT_EQ(result.lost_pings, 0u) << result.Text();
  EXPECT_EQ(result.returned_bytes, result.sent_bytes) << result.Text();
  EXPECT_EQ(result.error, "") << result.Text();
  EXPECT_GT(result.pings, 0u);
  EXPECT_GT(result.sent_bytes, 0u);
  if (result.dropping_allowed) return result;
  EXPECT_EQ(result.answers, result.pings) << result.Text();
  // An emulated machine may take longer than TCP waits for an answer (RFC 6298: 200 ms here): it asks again.
  const std::uint64_t impatient = Scale() < 1 ? 3 : 0;
  EXPECT_LE(result.resent, impatient) << result.Text();
  return result;
}

}  // namespace knp::test
