// Packets that somebody wants, copied by the kernel (bpf/capture.bpf.c): wishes go in, packets come out. The programs stand
// behind the counting ones, in both directions, and only while something is wanted. Used by monitor::LiveEvidence.
//
// Needs the ring buffer (Linux 5.8). Not thread-safe. Lives in the network namespace in which it was created. Times are
// CLOCK_MONOTONIC.
#ifndef KNP_DATAPATH_PACKET_CAPTURE_H_
#define KNP_DATAPATH_PACKET_CAPTURE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/datapath/frame_ends.h"
#include "src/datapath/netns_scope.h"
#include "src/datapath/side_hooks.h"
#include "src/datapath/side_object.h"

struct ring_buffer;

namespace knp::datapath {

struct CapturedPacket {
  std::uint64_t time_mono_ns = 0;
  std::uint32_t ifindex = 0;
  Direction direction = Direction::kIngress;
  bool ethernet = true;
  std::uint32_t length = 0;             // as the stack had it, and its VLAN tag
  std::span<const std::uint8_t> bytes;  // the first ones, the VLAN tag among them
};

class PacketCapture {
 public:
  static constexpr std::size_t kMostWants = 64;
  static constexpr std::uint32_t kMostBytes = 256;

  // `snap_bytes`: of each packet, 1 to kMostBytes. Unimplemented: this kernel has no ring buffer, or it is switched off.
  static absl::StatusOr<std::unique_ptr<PacketCapture>> Create(std::uint32_t snap_bytes,
                                                               const std::string& disabled_features = "");
  ~PacketCapture();
  PacketCapture(const PacketCapture&) = delete;
  PacketCapture& operator=(const PacketCapture&) = delete;

  // Up to `budget` packets from now on (a few more if several CPUs see them). A wish between the same two replaces the one
  // before and its count. ResourceExhausted: kMostWants.
  absl::Status Want(const PacketFilter& filter, std::uint64_t budget);
  // The wish between the same two, if there is one.
  void Forget(const PacketFilter& filter);
  // Makes the programs stand where counting programs stand while something is wanted, else nowhere.
  absl::Status Sync(std::span<const HookPlace> places, std::uint64_t now_ns);
  // Calls `take` for each packet that was copied. The bytes are valid during the call.
  absl::Status Poll(const std::function<void(const CapturedPacket&)>& take);
  // Packets that were wanted and found the ring full.
  std::uint64_t lost() const;
  bool wants_something() const { return !wants_.empty(); }
  std::vector<ProgramInfo> Programs() const { return hooks_.Describe(); }

 private:
  PacketCapture(std::uint32_t snap_bytes, SideObject object, Netns netns);
  static int OnRecord(void* self, void* data, std::size_t size);
  void Take(const void* data, std::size_t size);
  std::uint64_t LostOf(const PacketFilter& filter) const;

  const std::uint32_t snap_bytes_;
  SideObject object_;
  Netns netns_;
  SideHooks hooks_;
  ring_buffer* ring_ = nullptr;
  std::vector<PacketFilter> wants_;
  std::uint64_t lost_before_ = 0;  // of wishes that are gone
  const std::function<void(const CapturedPacket&)>* take_ = nullptr;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_PACKET_CAPTURE_H_
