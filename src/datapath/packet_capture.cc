// See packet_capture.h.
#include "src/datapath/packet_capture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "abi/knp_capture.h"
#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::datapath {
namespace {

constexpr std::uint32_t kRingBytes = 1 << 20;
constexpr std::size_t kAddresses = 12;  // of an Ethernet header, behind which a VLAN tag belongs
static_assert(PacketCapture::kMostBytes == KNP_CAPTURE_BYTES);

knp_capture_key KeyOf(const PacketFilter& filter) {
  knp_capture_key key{};
  std::memcpy(key.one, filter.one.bytes.data(), sizeof key.one);
  if (filter.other) std::memcpy(key.other, filter.other->bytes.data(), sizeof key.other);
  key.version = filter.one.version;
  return key;
}

bool SameTwo(const PacketFilter& a, const PacketFilter& b) { return a.one == b.one && a.other == b.other; }

std::vector<SideHooks::Programs> ProgramsOf(const SideObject& object) {
  return {{.direction = Direction::kIngress,
           .ethernet_fd = object.ProgramFd("knp_capture_in"),
           .ip_fd = object.ProgramFd("knp_capture_iip")},
          {.direction = Direction::kEgress,
           .ethernet_fd = object.ProgramFd("knp_capture_out"),
           .ip_fd = object.ProgramFd("knp_capture_oip")}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<PacketCapture>> PacketCapture::Create(std::uint32_t snap_bytes,
                                                                     const std::string& disabled_features) {
  if (snap_bytes == 0 || snap_bytes > kMostBytes)
    return absl::InvalidArgumentError(fmt::format("{} bytes of a packet: must be 1 to {}", snap_bytes, kMostBytes));
  const auto features = Features::Probe(disabled_features);
  if (!features.ok()) return features.status();
  if (!features->MayHave(Feature::kRingbuf))
    return absl::UnimplementedError(
        "cannot keep packets as evidence: this kernel has no BPF ring buffer (Linux 5.8), or it is switched off");
  const SideObject::MapSize sizes[] = {{"knp_capture_wants", kMostWants}, {"knp_capture_ring", kRingBytes}};
  auto object = SideObject::Load({"the evidence's programs", EmbeddedCapture(), {}}, sizes, *features);
  if (!object.ok()) return object.status();
  auto netns = Netns::Current();
  if (!netns.ok()) return netns.status();
  std::unique_ptr<PacketCapture> capture(new PacketCapture(snap_bytes, *std::move(object), *std::move(netns)));
  capture->ring_ = ring_buffer__new(capture->object_.MapFd("knp_capture_ring"), OnRecord, capture.get(), nullptr);
  if (!capture->ring_) return ErrnoStatus(errno, "cannot map the ring of captured packets");
  return capture;
}

PacketCapture::PacketCapture(std::uint32_t snap_bytes, SideObject object, Netns netns)
    : snap_bytes_(snap_bytes), object_(std::move(object)), netns_(std::move(netns)), hooks_(ProgramsOf(object_)) {}

PacketCapture::~PacketCapture() {
  hooks_.Clear();
  ring_buffer__free(ring_);
}

absl::Status PacketCapture::Want(const PacketFilter& filter, std::uint64_t budget) {
  const auto known =
      std::find_if(wants_.begin(), wants_.end(), [&](const auto& each) { return SameTwo(each, filter); });
  if (known == wants_.end() && wants_.size() >= kMostWants)
    return absl::ResourceExhaustedError(fmt::format("{} kinds of packets are captured already", kMostWants));
  if (known != wants_.end()) lost_before_ += LostOf(*known);
  const knp_capture_key key = KeyOf(filter);
  knp_capture_want want{};
  want.budget = budget;
  want.port_be = htons(filter.port);
  want.protocol = filter.protocol;
  want.snap_bytes = snap_bytes_;
  if (const int error = bpf_map_update_elem(object_.MapFd("knp_capture_wants"), &key, &want, BPF_ANY); error != 0)
    return ErrnoStatus(-error, fmt::format("cannot capture the packets of {}", filter.one.ToString()));
  if (known != wants_.end())
    *known = filter;
  else
    wants_.push_back(filter);
  return absl::OkStatus();
}

std::uint64_t PacketCapture::LostOf(const PacketFilter& filter) const {
  const knp_capture_key key = KeyOf(filter);
  knp_capture_want want{};
  return bpf_map_lookup_elem(object_.MapFd("knp_capture_wants"), &key, &want) == 0 ? want.lost : 0;
}

void PacketCapture::Forget(const PacketFilter& filter) {
  const auto known =
      std::find_if(wants_.begin(), wants_.end(), [&](const auto& each) { return SameTwo(each, filter); });
  if (known == wants_.end()) return;
  lost_before_ += LostOf(*known);
  const knp_capture_key key = KeyOf(filter);
  bpf_map_delete_elem(object_.MapFd("knp_capture_wants"), &key);
  wants_.erase(known);
}

std::uint64_t PacketCapture::lost() const {
  std::uint64_t lost = lost_before_;
  for (const PacketFilter& filter : wants_) lost += LostOf(filter);
  return lost;
}

absl::Status PacketCapture::Sync(std::span<const HookPlace> places, std::uint64_t now_ns) {
  if (wants_.empty() || places.empty()) {
    hooks_.Clear();
    return absl::OkStatus();
  }
  const NetnsScope scope(netns_);
  if (!scope.ok())
    return absl::PermissionDeniedError("cannot enter the monitor's network namespace: missing CAP_SYS_ADMIN");
  return hooks_.Sync(places, now_ns);
}

absl::Status PacketCapture::Poll(const std::function<void(const CapturedPacket&)>& take) {
  take_ = &take;
  const int result = ring_buffer__consume(ring_);
  take_ = nullptr;
  return result >= 0 ? absl::OkStatus() : ErrnoStatus(-result, "cannot read the ring of captured packets");
}

int PacketCapture::OnRecord(void* self, void* data, std::size_t size) {
  static_cast<PacketCapture*>(self)->Take(data, size);
  return 0;
}

void PacketCapture::Take(const void* data, std::size_t size) {
  knp_captured record;
  if (size < sizeof record) return;
  std::memcpy(&record, data, sizeof record);
  std::array<std::uint8_t, KNP_CAPTURE_BYTES + 4> bytes{};
  std::size_t kept = std::min<std::size_t>(record.kept, KNP_CAPTURE_BYTES);
  std::memcpy(bytes.data(), record.bytes, kept);
  std::uint32_t length = record.length;
  if (record.ethernet != 0 && record.vlan_type_be != 0 && kept >= kAddresses) {
    // Back where it was on the wire.
    std::memmove(bytes.data() + kAddresses + 4, bytes.data() + kAddresses, kept - kAddresses);
    const std::uint16_t tci_be = htons(record.vlan_tci);
    std::memcpy(bytes.data() + kAddresses, &record.vlan_type_be, 2);
    std::memcpy(bytes.data() + kAddresses + 2, &tci_be, 2);
    kept = std::min<std::size_t>(kept + 4, snap_bytes_);
    length += 4;
  }
  (*take_)({.time_mono_ns = record.time_ns,
            .ifindex = record.ifindex,
            .direction = record.direction == KNP_INGRESS ? Direction::kIngress : Direction::kEgress,
            .ethernet = record.ethernet != 0,
            .length = length,
            .bytes = std::span<const std::uint8_t>(bytes.data(), kept)});
}

}  // namespace knp::datapath
