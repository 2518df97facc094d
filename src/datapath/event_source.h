// Records from the kernel's programs, in the order in which each CPU sent them: by ring buffer, or by perf buffer where
// the kernel has no ring. Polled, never woken.
#ifndef KNP_DATAPATH_EVENT_SOURCE_H_
#define KNP_DATAPATH_EVENT_SOURCE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace knp::datapath {

class Object;

class EventSource {
 public:
  // Bytes of one record; false: stop after it, the rest stays for the next call.
  using Consumer = std::function<bool(const void* record, std::size_t size)>;

  static absl::StatusOr<std::unique_ptr<EventSource>> Open(const Object& object, Consumer consumer);
  virtual ~EventSource() = default;

  // Hands over what is there, without waiting.
  virtual absl::Status Consume() = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_EVENT_SOURCE_H_
