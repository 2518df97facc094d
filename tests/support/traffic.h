// Bounded traffic for tests: frames by packet socket, floods of small datagrams, TCP bulk. Every function sends a known
// amount, tells exactly how much, and returns an error rather than a guess. Call Flood and FrameSender on a thread of
// the namespace (NetnsRig::RunIn); the others enter it themselves.
//
// Frames of packet_bytes.h are addressed to a station that is not there: hooks see them, the stack drops them behind,
// and nothing comes back, so that counts are exact.
#ifndef KNP_TESTS_SUPPORT_TRAFFIC_H_
#define KNP_TESTS_SUPPORT_TRAFFIC_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/support/netns_rig.h"
#include "tests/support/packet_bytes.h"

namespace knp::test {

using Frame = testing::Bytes;

// What the sender says of a super-packet: the kernel keeps it whole until behind the egress hook.
struct SuperPacket {
  enum class Kind : std::uint8_t { kTcp4 = 1, kTcp6 = 4, kUdp = 5 };  // VIRTIO_NET_HDR_GSO_*
  Kind kind = Kind::kTcp4;
  std::uint16_t gso_size = 0;    // payload of a segment; 0: no super-packet
  std::uint16_t header_len = 0;  // link to transport header; so many bytes stand in the linear area
  std::uint16_t l4_offset = 0;   // the transport header's
};

// A packet socket of the calling thread's namespace. Frames of 4 KiB and more are sent with nothing but the link header
// in the linear area.
class FrameSender {
 public:
  static absl::StatusOr<FrameSender> Open(const std::string& interface, bool super_packets = false);
  // From now on straight to the driver (PACKET_QDISC_BYPASS): no egress hook sees it.
  absl::Status BypassHooks();
  // InvalidArgument where the kernel refuses the frame: shorter than the link header or beyond the MTU.
  absl::Status Send(const Frame& frame, const SuperPacket& super = {});

 private:
  UniqueFd fd_;
  bool super_packets_ = false;
};

constexpr std::uint32_t kFloodFrameBytes = 64;  // without the frame check sequence; 68 with a VLAN tag

struct FloodOptions {
  int ip_version = 4;
  std::uint32_t flows = 1;                // sent in turn, so that their counts differ by one at most
  std::uint32_t first_flow = 0;           // number of the first one; up to 2^24 in all
  unsigned vlan = 0;                      // 0: untagged
  std::uint64_t frames = 0;               // 0: no limit of number
  std::chrono::milliseconds duration{0};  // 0: no limit of time; one of the limits or `stop` must be set
  std::uint64_t frames_per_second = 0;    // 0: as fast as it goes
  int cpu = -1;                           // where to run, -1: anywhere
  const std::atomic<bool>* stop = nullptr;
};

struct FloodResult {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  double seconds = 0;
};

// UDP datagrams, flow n from FloodSource(n) to port 9 of one address.
absl::StatusOr<FloodResult> Flood(const std::string& interface, const FloodOptions& options);
Endpoint FloodSource(int ip_version, std::uint32_t flow);

// Sends `bytes` over one TCP connection (over lo if both sides are one) and waits until all of it has been read and both
// ends are closed. Nothing is left on the wire then but, at most, the closing side's TIME_WAIT.
absl::Status TcpBulk(const NetnsRig& rig, Side from, Side to, std::uint64_t bytes, int ip_version = 4);

// The same between addresses that the sides have beside their own.
absl::Status TcpBulk(const NetnsRig& rig, Side from, Side to, std::uint64_t bytes, const std::string& from_ip,
                     const std::string& to_ip);

// `times` sendmsg of `payload` bytes, each cut by the stack into datagrams of `segment` bytes (UDP_SEGMENT), to the other
// side. Waits for all.
absl::Status UdpSegments(const NetnsRig& rig, Side from, std::size_t payload, std::uint16_t segment, int times);

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_TRAFFIC_H_
