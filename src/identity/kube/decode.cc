// See decode.h. simdjson's DOM, which checks a document as a whole: https://github.com/simdjson/simdjson, doc/dom.md.
#include "src/identity/kube/decode.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "src/identity/kube/decode_object.h"
#include "src/identity/kube/fields.h"

namespace knp::identity::kube {
namespace {

constexpr std::size_t kMaxMessage = 300;

EventType TypeOf(std::string_view name) {
  if (name == "ADDED") return EventType::kAdded;
  if (name == "MODIFIED") return EventType::kModified;
  if (name == "DELETED") return EventType::kDeleted;
  if (name == "BOOKMARK") return EventType::kBookmark;
  if (name == "ERROR") return EventType::kError;
  return EventType::kOther;
}

// A server's or a proxy's words, fit for one line of a log.
std::string Words(std::string_view text) {
  std::string words(text.substr(0, kMaxMessage));
  for (char& c : words)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  while (!words.empty() && words.back() == ' ') words.pop_back();
  return words;
}

ApiStatus ReadStatus(const simdjson::dom::element& element) {
  ApiStatus status;
  absl::Status ignored;
  const Fields fields(element, "Status", &ignored);
  fields.Number("code", 999, &status.code);
  fields.Text("reason", &status.reason);
  fields.Text("message", &status.message);
  fields.Within("details", [&](const Fields& details) {
    details.Number("retryAfterSeconds", 86400, &status.retry_after_s);
    details.Each("causes", [&](const Fields& cause) {
      std::string reason;
      cause.Text("reason", &reason);
      status.too_large = status.too_large || reason == "ResourceVersionTooLarge";
    });
  });
  status.message = Words(status.message);
  status.reason = Words(status.reason);
  return status;
}

}  // namespace

struct Decoder::Parser {
  // The document lives until the next call. Null, and why in `problem`, if it is no JSON.
  const simdjson::dom::element* Parse(std::string_view text, absl::Status* problem) {
    return Keep(parser.parse(text.data(), text.size()).get(document), problem);
  }
  // The same without a copy of a large text.
  const simdjson::dom::element* ParseInPlace(std::string* text, absl::Status* problem) {
    const std::size_t size = text->size();
    text->append(simdjson::SIMDJSON_PADDING, ' ');
    return Keep(parser.parse(text->data(), size, false).get(document), problem);
  }

  simdjson::dom::parser parser;
  simdjson::dom::element document;

 private:
  const simdjson::dom::element* Keep(simdjson::error_code error, absl::Status* problem) {
    if (error == simdjson::SUCCESS) return &document;
    *problem = absl::InvalidArgumentError(fmt::format("is no JSON: {}", simdjson::error_message(error)));
    return nullptr;
  }
};

Decoder::Decoder(std::vector<std::string> label_keys)
    : label_keys_(std::move(label_keys)), parser_(std::make_unique<Parser>()) {
  std::sort(label_keys_.begin(), label_keys_.end());
  label_keys_.erase(std::unique(label_keys_.begin(), label_keys_.end()), label_keys_.end());
}

Decoder::~Decoder() = default;

void Decoder::Shrink() { parser_ = std::make_unique<Parser>(); }

absl::StatusOr<ListPage> Decoder::List(ObjectKind kind, std::string* body,
                                       const std::function<void(absl::StatusOr<Change>)>& each) {
  const std::string what = std::string(KindName(kind)) + "List";
  absl::Status problem;
  const simdjson::dom::element* document = parser_->ParseInPlace(body, &problem);
  if (!document) return absl::InvalidArgumentError(fmt::format("{} {}", what, std::string(problem.message())));
  ListPage page;
  const Fields fields(*document, what, &problem);
  fields.Within("metadata", [&](const Fields& metadata) {
    metadata.Text("resourceVersion", &page.resource_version);
    metadata.Text("continue", &page.continue_token);
  });
  if (page.resource_version.empty()) fields.Fail("metadata.resourceVersion", "is missing");
  simdjson::dom::element items;
  simdjson::dom::array array;
  const bool found = problem.ok() && document->at_key("items").get(items) == simdjson::SUCCESS;
  // `null` is how an empty list may be written.
  if (found && !items.is_null() && items.get(array) != simdjson::SUCCESS) fields.Fail("items", "is no array");
  if (problem.ok() && !found) fields.Fail("items", "is missing");
  if (!problem.ok()) return problem;
  if (items.is_null()) return page;
  for (const simdjson::dom::element item : array) {
    ++page.objects;
    each(DecodeObject(kind, item, label_keys_));
  }
  return page;
}

absl::StatusOr<WatchEvent> Decoder::Event(ObjectKind kind, std::string_view line) {
  const std::string what = std::string("watch of ") + ObjectKindName(kind);
  absl::Status problem;
  const simdjson::dom::element* document = parser_->Parse(line, &problem);
  if (!document)
    return absl::InvalidArgumentError(fmt::format("{}: the event {}", what, std::string(problem.message())));
  const Fields fields(*document, what, &problem);
  std::string type;
  fields.Text("type", &type);
  simdjson::dom::element object;
  if (!problem.ok()) return problem;
  if (document->at_key("object").get(object) != simdjson::SUCCESS) {
    fields.Fail("object", "is missing");
    return problem;
  }
  WatchEvent event;
  event.type = TypeOf(type);
  event.resource_version = ResourceVersionOf(object);
  if (event.type == EventType::kError) event.error = ReadStatus(object);
  if (event.type == EventType::kDeleted) {
    absl::StatusOr<Removed> removed = DecodeRemoved(kind, object);
    if (removed.ok())
      event.change = Change(*std::move(removed));
    else
      event.change = removed.status();
  }
  if (event.type == EventType::kAdded || event.type == EventType::kModified) {
    absl::StatusOr<Change> decoded = DecodeObject(kind, object, label_keys_);
    if (decoded.ok())
      event.change = *std::move(decoded);
    else
      event.change = decoded.status();
  }
  return event;
}

ApiStatus Decoder::Status(std::string_view body) {
  absl::Status problem;
  const simdjson::dom::element* document = parser_->Parse(body, &problem);
  if (document && document->is_object()) return ReadStatus(*document);
  ApiStatus status;
  status.message = Words(body);
  return status;
}

}  // namespace knp::identity::kube
