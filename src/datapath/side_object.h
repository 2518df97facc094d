// A small BPF object of our own besides the data plane's (src/datapath/object.h): its programs stand behind the counting
// ones and are loaded only on request. Opened from its embedded image, sized, loaded. Used by Mitigation, PacketCapture,
// SocketEvents.
#ifndef KNP_DATAPATH_SIDE_OBJECT_H_
#define KNP_DATAPATH_SIDE_OBJECT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

struct bpf_object;

namespace knp::datapath {

class Features;

class SideObject {
 public:
  struct Image {
    std::string what;                    // "the mitigation's programs", for messages
    std::span<const std::byte> current;  // of bpf/lib/variant.h's variants
    std::span<const std::byte> older;    // empty: there is none
  };
  struct MapSize {
    const char* map;
    std::uint32_t max_entries;                // 0: as it is
    std::span<const std::byte> content = {};  // of read-only data; empty: as it is
  };
  // Unimplemented: this kernel takes none of the images.
  static absl::StatusOr<SideObject> Load(const Image& image, std::span<const MapSize> sizes, const Features& features);
  // The same, of `image.current` alone; programs that this kernel refuses are left out and named in `refused`.
  static absl::StatusOr<SideObject> LoadSome(const Image& image, std::span<const MapSize> sizes,
                                             const Features& features, std::vector<std::string>* refused);
  SideObject(SideObject&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  SideObject& operator=(SideObject&&) = delete;
  SideObject(const SideObject&) = delete;
  SideObject& operator=(const SideObject&) = delete;
  ~SideObject();

  // -1: it has none of that name, which its user's tests would show.
  int MapFd(const char* name) const;
  int ProgramFd(const char* name) const;

 private:
  explicit SideObject(bpf_object* object) : object_(object) {}
  static absl::StatusOr<SideObject> LoadImage(const std::string& what, std::span<const std::byte> image,
                                              std::span<const MapSize> sizes,
                                              const std::function<bool(const std::string& program)>& wanted = {});
  bpf_object* object_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SIDE_OBJECT_H_
