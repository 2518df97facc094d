// The BPF object that was built with this library (bpf/network_monitor.bpf.c), as bytes of an ELF file. Put there by
// the assembler (cmake/embedded_object.S.in); read by the loader.
#ifndef KNP_DATAPATH_EMBEDDED_OBJECT_H_
#define KNP_DATAPATH_EMBEDDED_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" {
extern const std::byte knp_embedded_object[];
extern const std::uint64_t knp_embedded_object_size;
}

namespace knp::datapath {

// Lives as long as the process.
inline std::span<const std::byte> EmbeddedObject() { return {knp_embedded_object, knp_embedded_object_size}; }

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_EMBEDDED_OBJECT_H_
