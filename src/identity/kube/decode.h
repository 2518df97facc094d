// The Kubernetes API's JSON to objects: pages of lists, lines of watches, and the Status that says what went wrong. Only the
// fields that name an address are read. What makes no sense is an error that names the kind, the object and the field.
#ifndef KNP_IDENTITY_KUBE_DECODE_H_
#define KNP_IDENTITY_KUBE_DECODE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/identity/objects.h"

namespace knp::identity::kube {

struct ListPage {
  std::string resource_version;
  std::string continue_token;  // empty: the last page
  std::uint64_t objects = 0;
};

enum class EventType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark, kError, kOther };

// metav1.Status: what an error's body or an ERROR event says.
struct ApiStatus {
  std::uint64_t code = 0;  // HTTP's; 0: not said
  std::string reason;      // "Expired", "Forbidden", …
  std::string message;
  bool too_large = false;  // cause ResourceVersionTooLarge: the server is behind what was asked of it
  std::uint64_t retry_after_s = 0;
};

struct WatchEvent {
  EventType type = EventType::kOther;
  std::string resource_version;                                            // of the object; empty: not said
  absl::StatusOr<std::optional<Change>> change = std::optional<Change>();  // of kAdded, kModified, kDeleted
  ApiStatus error;                                                         // of kError
};

// Not thread-safe: keeps the parser's memory from one call to the next.
class Decoder {
 public:
  // Of a pod's labels, those whose keys are in `label_keys` are kept.
  explicit Decoder(std::vector<std::string> label_keys = {});
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // each() receives every object of the page, or why it made no sense; an error is returned if the page as a whole makes none.
  // `body` is left with undefined contents.
  absl::StatusOr<ListPage> List(ObjectKind kind, std::string* body,
                                const std::function<void(absl::StatusOr<Change>)>& each);
  absl::StatusOr<WatchEvent> Event(ObjectKind kind, std::string_view line);
  // `body` may be anything: what is no Status object has its first words as the message.
  ApiStatus Status(std::string_view body);
  // Gives memory back that a large page has taken.
  void Shrink();

 private:
  struct Parser;
  std::vector<std::string> label_keys_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_DECODE_H_
