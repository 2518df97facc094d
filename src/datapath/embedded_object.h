// The BPF objects that were built with this library (bpf/network_monitor.bpf.c and bpf/mitigation.bpf.c, both variants
// of each, bpf/replay.bpf.c, bpf/capture.bpf.c, bpf/sockets.bpf.c and bpf/drops.bpf.c), as bytes of ELF files. Put
// there by the assembler (cmake/embedded_object.S.in); read by the loader.
#ifndef KNP_DATAPATH_EMBEDDED_OBJECT_H_
#define KNP_DATAPATH_EMBEDDED_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" {
extern const std::byte knp_embedded_object[];
extern const std::uint64_t knp_embedded_object_size;
extern const std::byte knp_embedded_object_4_18[];
extern const std::uint64_t knp_embedded_object_4_18_size;
extern const std::byte knp_embedded_replay_object[];
extern const std::uint64_t knp_embedded_replay_object_size;
extern const std::byte knp_embedded_mitigation_object[];
extern const std::uint64_t knp_embedded_mitigation_object_size;
extern const std::byte knp_embedded_mitigation_object_4_18[];
extern const std::uint64_t knp_embedded_mitigation_object_4_18_size;
extern const std::byte knp_embedded_capture_object[];
extern const std::uint64_t knp_embedded_capture_object_size;
extern const std::byte knp_embedded_sockets_object[];
extern const std::uint64_t knp_embedded_sockets_object_size;
extern const std::byte knp_embedded_drops_object[];
extern const std::uint64_t knp_embedded_drops_object_size;
}

namespace knp::datapath {

// They live as long as the process.
inline std::span<const std::byte> EmbeddedObject() { return {knp_embedded_object, knp_embedded_object_size}; }
inline std::span<const std::byte> EmbeddedObject418() {
  return {knp_embedded_object_4_18, knp_embedded_object_4_18_size};
}

inline std::span<const std::byte> EmbeddedReplayObject() {
  return {knp_embedded_replay_object, knp_embedded_replay_object_size};
}

inline std::span<const std::byte> EmbeddedMitigation() {
  return {knp_embedded_mitigation_object, knp_embedded_mitigation_object_size};
}
inline std::span<const std::byte> EmbeddedMitigation418() {
  return {knp_embedded_mitigation_object_4_18, knp_embedded_mitigation_object_4_18_size};
}
inline std::span<const std::byte> EmbeddedCapture() {
  return {knp_embedded_capture_object, knp_embedded_capture_object_size};
}
inline std::span<const std::byte> EmbeddedSockets() {
  return {knp_embedded_sockets_object, knp_embedded_sockets_object_size};
}
inline std::span<const std::byte> EmbeddedDrops() {
  return {knp_embedded_drops_object, knp_embedded_drops_object_size};
}

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_EMBEDDED_OBJECT_H_
