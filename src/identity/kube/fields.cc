// See fields.h.
#include "src/identity/kube/fields.h"

#include <fmt/format.h>

namespace knp::identity::kube {

Fields::Fields(const simdjson::dom::element& element, std::string_view what, absl::Status* problem)
    : name_(what), problem_(problem) {
  Open(element);
}

Fields::Fields(const simdjson::dom::element& element, const Fields& parent, std::string_view name, std::size_t index)
    : parent_(&parent), name_(name), index_(index), problem_(parent.problem_) {
  Open(element);
}

void Fields::Open(const simdjson::dom::element& element) {
  valid_ = element.get(object_) == simdjson::SUCCESS;
  if (!valid_ && problem_->ok()) *problem_ = absl::InvalidArgumentError(fmt::format("{} is no object", Path()));
}

std::string Fields::Path() const {
  std::string path;
  if (parent_) path = parent_->Path() + (parent_->parent_ ? "." : ": ");
  path += name_;
  if (index_ != kNoIndex) path += fmt::format("[{}]", index_);
  return path;
}

void Fields::Fail(std::string_view name, std::string_view is) const {
  if (!problem_->ok()) return;
  *problem_ = absl::InvalidArgumentError(fmt::format("{}{}{} {}", Path(), parent_ ? "." : ": ", name, is));
}

bool Fields::Find(std::string_view name, simdjson::dom::element* element) const {
  return valid_ && object_.at_key(name).get(*element) == simdjson::SUCCESS && !element->is_null();
}

bool Fields::FindArray(std::string_view name, simdjson::dom::array* array) const {
  simdjson::dom::element element;
  if (!Find(name, &element)) return false;
  if (element.get(*array) == simdjson::SUCCESS) return true;
  Fail(name, "is no array");
  return false;
}

bool Fields::Has(std::string_view name) const {
  simdjson::dom::element element;
  return Find(name, &element);
}

void Fields::Text(std::string_view name, std::string* out) const {
  simdjson::dom::element element;
  if (!Find(name, &element)) return;
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return Fail(name, "is no text");
  *out = text;
}

void Fields::Flag(std::string_view name, bool* out) const {
  simdjson::dom::element element;
  if (Find(name, &element) && element.get(*out) != simdjson::SUCCESS) Fail(name, "is neither true nor false");
}

void Fields::Number(std::string_view name, std::uint64_t max, std::uint64_t* out) const {
  simdjson::dom::element element;
  if (!Find(name, &element)) return;
  std::uint64_t number = 0;
  if (element.get(number) != simdjson::SUCCESS) return Fail(name, "is no whole number");
  if (number > max) return Fail(name, fmt::format("is {}, more than {}", number, max));
  *out = number;
}

}  // namespace knp::identity::kube
