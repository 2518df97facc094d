// See traffic.h.
#include "tests/support/traffic.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "src/datapath/errors.h"

namespace knp::test {
namespace {

using datapath::ErrnoStatus;
using std::chrono::steady_clock;

constexpr std::size_t kBatch = 64;
constexpr std::uint16_t kDiscardPort = 9;
constexpr int kPatienceMs = 10000;

// struct virtio_net_hdr: <linux/virtio_net.h> is no C++.
struct OffloadHeader {
  std::uint8_t flags, gso_type;
  std::uint16_t header_len, gso_size, csum_start, csum_offset;
};
static_assert(sizeof(OffloadHeader) == 10);
constexpr std::uint8_t kNeedsChecksum = 1;

absl::StatusOr<UniqueFd> PacketSocket(const std::string& interface) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (address.sll_ifindex == 0) return ErrnoStatus(errno, "no interface " + interface);
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // protocol 0: sends, receives nothing
  const int size = 4 << 20;
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
    return ErrnoStatus(errno, "cannot open a packet socket on " + interface);
  return fd;
}

absl::Status RunOn(int cpu) {
  if (cpu < 0) return absl::OkStatus();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "cannot choose a CPU");
}

Frame FloodFrame(const FloodOptions& o) {
  using namespace testing;  // NOLINT: the header's own vocabulary
  const bool v4 = o.ip_version == 4;
  const unsigned type = v4 ? ETH_P_IP : ETH_P_IPV6;
  const Bytes udp = Udp(kFloodFrameBytes - (v4 ? 42 : 62), 0, kDiscardPort);
  return Join({o.vlan ? Join({Ethernet(ETH_P_8021Q), VlanTag(o.vlan, type)}) : Ethernet(type),
               v4 ? Ipv4({.protocol = IPPROTO_UDP}, udp) : Ipv6({.next = IPPROTO_UDP}, udp)});
}

// Writes the flow's number into a flood's frame: address and port of its source.
void PutFlow(std::uint8_t* frame, const FloodOptions& o, std::uint32_t flow) {
  const std::size_t l3 = o.vlan ? 18 : 14, address = o.ip_version == 4 ? l3 + 12 : l3 + 8,
                    port = l3 + (o.ip_version == 4 ? 20 : 40);
  const Endpoint source = FloodSource(o.ip_version, flow);
  std::memcpy(frame + address, source.ip.bytes.data(), o.ip_version == 4 ? 4 : 16);
  frame[port] = static_cast<std::uint8_t>(source.port >> 8);
  frame[port + 1] = static_cast<std::uint8_t>(source.port);
}

struct Batch {
  std::array<Frame, kBatch> frames;
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  explicit Batch(const Frame& frame) {
    frames.fill(frame);
    for (std::size_t i = 0; i < kBatch; i++) {
      parts[i] = {frames[i].data(), frames[i].size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

sockaddr_storage Address(const std::string& ip, std::uint16_t port, socklen_t* size) {
  sockaddr_storage storage{};
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&storage); inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *size = sizeof *v6;
  }
  return storage;
}

// Bound to `ip` in the side's namespace, where it stays whichever thread uses it.
absl::StatusOr<UniqueFd> Bound(const NetnsRig& rig, Side side, int type, const std::string& ip, std::uint16_t port) {
  return rig.RunIn(side, [&]() -> absl::StatusOr<UniqueFd> {
    socklen_t size = 0;
    const sockaddr_storage address = Address(ip, port, &size);
    UniqueFd fd(socket(address.ss_family, type | SOCK_CLOEXEC, 0));
    const int on = 1;
    const timeval patience{kPatienceMs / 1000, 0};
    if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
      return ErrnoStatus(errno, "cannot bind to " + ip);
    return fd;
  });
}

std::string Ip(const NetnsRig& rig, Side side, int version) { return version == 4 ? rig.ipv4(side) : rig.ipv6(side); }

// Reads until the other side closes; how many bytes came.
absl::StatusOr<std::uint64_t> Drain(int fd) {
  std::vector<char> buffer(1 << 18);
  for (std::uint64_t all = 0;;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) return ErrnoStatus(errno, "cannot receive");
    if (got == 0) return all;
    all += static_cast<std::uint64_t>(got);
  }
}

absl::Status SendAll(int fd, std::uint64_t bytes) {
  const std::vector<char> buffer(1 << 18, 'k');
  while (bytes > 0) {
    const ssize_t sent = send(fd, buffer.data(), std::min<std::uint64_t>(bytes, buffer.size()), MSG_NOSIGNAL);
    if (sent < 0) return ErrnoStatus(errno, "cannot send");
    bytes -= static_cast<std::uint64_t>(sent);
  }
  return shutdown(fd, SHUT_WR) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "cannot end the stream");
}

}  // namespace

absl::StatusOr<FrameSender> FrameSender::Open(const std::string& interface, bool super_packets) {
  absl::StatusOr<UniqueFd> fd = PacketSocket(interface);
  if (!fd.ok()) return fd.status();
  FrameSender sender;
  sender.fd_ = *std::move(fd);
  sender.super_packets_ = super_packets;
  const int on = 1;
  if (super_packets && setsockopt(sender.fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
    return ErrnoStatus(errno, "cannot send super-packets on " + interface);
  return sender;
}

absl::Status FrameSender::BypassHooks() {
  const int on = 1;
  return setsockopt(fd_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) == 0
             ? absl::OkStatus()
             : ErrnoStatus(errno, "cannot bypass the hooks");
}

absl::Status FrameSender::Send(const Frame& frame, const SuperPacket& super) {
  OffloadHeader header{};
  if (super.gso_size != 0) {
    header.flags = kNeedsChecksum;
    header.gso_type = static_cast<std::uint8_t>(super.kind);
    header.gso_size = super.gso_size;
    header.header_len = super.header_len;
    header.csum_start = super.l4_offset;
    header.csum_offset = super.kind == SuperPacket::Kind::kUdp ? 6 : 16;
  }
  iovec parts[] = {{&header, sizeof header}, {const_cast<std::uint8_t*>(frame.data()), frame.size()}};
  msghdr message{};
  message.msg_iov = super_packets_ ? parts : parts + 1;
  message.msg_iovlen = super_packets_ ? 2 : 1;
  if (sendmsg(fd_.get(), &message, 0) >= 0) return absl::OkStatus();
  const std::string what = fmt::format("cannot send a frame of {} bytes: {}", frame.size(), strerror(errno));
  return errno == EINVAL || errno == EMSGSIZE ? absl::InvalidArgumentError(what) : absl::InternalError(what);
}

Endpoint FloodSource(int ip_version, std::uint32_t flow) {
  const std::uint8_t number[] = {static_cast<std::uint8_t>(flow >> 16), static_cast<std::uint8_t>(flow >> 8),
                                 static_cast<std::uint8_t>(flow)};
  Endpoint source;
  source.ip.version = static_cast<std::uint8_t>(ip_version);
  source.port = static_cast<std::uint16_t>(1024 + flow % 4096);
  if (ip_version == 4) {
    source.ip.bytes[0] = 100;
    std::copy_n(number, 3, source.ip.bytes.begin() + 1);
  } else {
    source.ip.bytes[0] = 0xfd;
    std::copy_n(number, 3, source.ip.bytes.begin() + 13);
  }
  return source;
}

absl::StatusOr<FloodResult> Flood(const std::string& interface, const FloodOptions& o) {
  if (o.flows == 0 || (o.frames == 0 && o.duration.count() == 0 && !o.stop))
    return absl::InvalidArgumentError("a flood needs a flow and a limit");
  absl::StatusOr<UniqueFd> fd = PacketSocket(interface);
  if (!fd.ok()) return fd.status();
  if (absl::Status status = RunOn(o.cpu); !status.ok()) return status;
  Batch batch(FloodFrame(o));
  FloodResult result;
  std::uint32_t flow = 0;
  const auto start = steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(steady_clock::now() - start).count(); };
  while ((o.frames == 0 || result.frames < o.frames) && !(o.stop && o.stop->load(std::memory_order_relaxed))) {
    result.seconds = elapsed();
    if (o.duration.count() != 0 && result.seconds * 1000 >= static_cast<double>(o.duration.count())) break;
    std::uint64_t count = kBatch;
    if (o.frames != 0) count = std::min(count, o.frames - result.frames);
    if (o.frames_per_second != 0) {
      const auto due = static_cast<std::uint64_t>(result.seconds * static_cast<double>(o.frames_per_second));
      if (due <= result.frames) {
        std::this_thread::sleep_for(std::chrono::microseconds(500));
        continue;
      }
      count = std::min(count, due - result.frames);
    }
    for (std::uint64_t i = 0; i < count; i++, flow = flow + 1 < o.flows ? flow + 1 : 0)
      PutFlow(batch.frames[i].data(), o, o.first_flow + flow);
    for (std::uint64_t done = 0; done < count;) {
      const int sent = sendmmsg(fd->get(), batch.messages.data() + done, static_cast<unsigned>(count - done), 0);
      if (sent < 0 && errno == ENOBUFS) continue;  // a full queue
      if (sent <= 0) {
        if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV) {  // deleted under load: what was sent counts
          result.frames += done;
          result.bytes = result.frames * batch.frames[0].size();
          return result;
        }
        return ErrnoStatus(errno, "cannot send frames on " + interface);
      }
      done += static_cast<std::uint64_t>(sent);
    }
    result.frames += count;
  }
  result.seconds = elapsed();
  result.bytes = result.frames * batch.frames[0].size();
  return result;
}

absl::Status TcpBulk(const NetnsRig& rig, Side from, Side to, std::uint64_t bytes, int ip_version) {
  const std::string loopback = from == to ? (ip_version == 4 ? "127.0.0.1" : "::1") : "";
  const auto address_of = [&](Side side) { return loopback.empty() ? Ip(rig, side, ip_version) : loopback; };
  return TcpBulk(rig, from, to, bytes, address_of(from), address_of(to));
}

absl::Status TcpBulk(const NetnsRig& rig, Side from, Side to, std::uint64_t bytes, const std::string& from_ip,
                     const std::string& to_ip) {
  absl::StatusOr<UniqueFd> listener = Bound(rig, to, SOCK_STREAM, to_ip, 0);
  if (!listener.ok()) return listener.status();
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (listen(listener->get(), 1) != 0 ||
      getsockname(listener->get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return ErrnoStatus(errno, "cannot listen");
  absl::StatusOr<UniqueFd> client = Bound(rig, from, SOCK_STREAM, from_ip, 0);
  if (!client.ok()) return client.status();
  if (connect(client->get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
    return ErrnoStatus(errno, "cannot connect to the other side");
  UniqueFd server(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  const timeval patience{kPatienceMs / 1000, 0};
  if (!server.valid() || setsockopt(server.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
    return ErrnoStatus(errno, "cannot accept");

  absl::Status sent;
  std::thread sender([&] { sent = SendAll(client->get(), bytes); });
  const absl::StatusOr<std::uint64_t> received = Drain(server.get());
  shutdown(server.get(), SHUT_WR);
  sender.join();
  if (!sent.ok()) return sent;
  if (!received.ok()) return received.status();
  if (*received != bytes) return absl::DataLossError(fmt::format("sent {} bytes, received {}", bytes, *received));
  return Drain(client->get()).status();  // its end of file: the closing handshake is done
}

absl::Status UdpSegments(const NetnsRig& rig, Side from, std::size_t payload, std::uint16_t segment, int times) {
  const Side to = from == Side::kA ? Side::kB : Side::kA;
  constexpr std::uint16_t kPort = 7001;
  absl::StatusOr<UniqueFd> receiver = Bound(rig, to, SOCK_DGRAM, rig.ipv4(to), kPort);
  if (!receiver.ok()) return receiver.status();
  absl::StatusOr<UniqueFd> sender = Bound(rig, from, SOCK_DGRAM, rig.ipv4(from), 0);
  if (!sender.ok()) return sender.status();
  socklen_t size = 0;
  const sockaddr_storage address = Address(rig.ipv4(to), kPort, &size);
  const int gso = segment, room = 8 << 20;
  if (connect(sender->get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      setsockopt(receiver->get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0 ||
      setsockopt(sender->get(), IPPROTO_UDP, UDP_SEGMENT, &gso, sizeof gso) != 0)
    return ErrnoStatus(errno, "cannot send segmented datagrams");
  const std::vector<char> data(payload, 'k');
  std::vector<char> buffer(65536);
  for (int i = 0; i < times; i++) {
    if (send(sender->get(), data.data(), data.size(), 0) != static_cast<ssize_t>(payload))
      return ErrnoStatus(errno, fmt::format("cannot send {} bytes in datagrams of {}", payload, segment));
    for (std::size_t got = 0; got < payload;) {
      const ssize_t one = recv(receiver->get(), buffer.data(), buffer.size(), 0);
      if (one <= 0) return ErrnoStatus(errno, "a datagram did not arrive");
      got += static_cast<std::size_t>(one);
    }
  }
  return absl::OkStatus();
}

}  // namespace knp::test
