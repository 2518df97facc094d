// See udp_stream.h.
#include "tests/support/udp_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <limits>

#include "src/datapath/errors.h"

namespace knp::test {
namespace {

using datapath::ErrnoStatus;

constexpr std::uint16_t kPort = 4789;
constexpr int kBurst = 8;  // datagrams a millisecond: far below what a veth's backlog of 1,000 takes
constexpr std::chrono::milliseconds kPatience{2000};

sockaddr_in AddressOf(const std::string& ip) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return address;
}

}  // namespace

absl::Status UdpStream::Open(const NetnsRig& rig) {
  const sockaddr_in address = AddressOf(rig.ipv4(Side::kB));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  absl::Status status = rig.RunIn(Side::kB, [&]() -> absl::Status {
    receiver_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int buffer = 16 << 20;
    setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    const timeval tick{0, 20000};  // so that Receive notices stop_receiving_
    setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    if (bind(receiver_.get(), generic, sizeof(address)) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "cannot bind the receiver of a UDP stream");
  });
  if (!status.ok()) return status;
  return rig.RunIn(Side::kA, [&]() -> absl::Status {
    sender_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (connect(sender_.get(), generic, sizeof(address)) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "cannot connect the sender of a UDP stream");
  });
}

absl::StatusOr<std::unique_ptr<UdpStream>> UdpStream::Start(const NetnsRig& rig) {
  std::unique_ptr<UdpStream> stream(new UdpStream);
  if (absl::Status status = stream->Open(rig); !status.ok()) return status;
  UdpStream* self = stream.get();
  self->receive_thread_ = std::thread([self] { self->Receive(); });
  self->send_thread_ = std::thread([self] { self->Send(std::numeric_limits<std::uint64_t>::max()); });
  return stream;
}

absl::StatusOr<std::uint64_t> UdpStream::SendAndCount(const NetnsRig& rig, std::uint64_t datagrams) {
  UdpStream stream;
  if (absl::Status status = stream.Open(rig); !status.ok()) return status;
  stream.receive_thread_ = std::thread([&stream] { stream.Receive(); });
  stream.Send(datagrams);
  return stream.Stop().received;
}

UdpStream::~UdpStream() { Stop(); }

void UdpStream::Send(std::uint64_t limit) {
  while (!stop_sending_ && sent_ < limit) {
    for (int i = 0; i < kBurst && sent_ < limit; ++i) {
      const std::uint64_t number = sent_;
      if (send(sender_.get(), &number, sizeof(number), 0) == sizeof(number)) ++sent_;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void UdpStream::Receive() {
  while (!stop_receiving_) {
    std::uint64_t number = 0;
    if (recv(receiver_.get(), &number, sizeof(number), 0) == sizeof(number)) ++received_;
  }
}

UdpStream::Result UdpStream::Stop() {
  stop_sending_ = true;
  if (send_thread_.joinable()) send_thread_.join();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (receive_thread_.joinable() && received_ < sent_ && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  stop_receiving_ = true;
  if (receive_thread_.joinable()) receive_thread_.join();
  return {sent_, received_};
}

}  // namespace knp::test
