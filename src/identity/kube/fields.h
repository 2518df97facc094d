// Reads a JSON object's fields by name, and remembers the first that is not what the Kubernetes API says it is, with its path.
// What is absent or null stays as it was. Used by decode.cc.
#ifndef KNP_IDENTITY_KUBE_FIELDS_H_
#define KNP_IDENTITY_KUBE_FIELDS_H_

#include <absl/status/status.h>
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace knp::identity::kube {

class Fields {
 public:
  // The whole of `element`, which errors call `what`. `problem` receives the first error.
  Fields(const simdjson::dom::element& element, std::string_view what, absl::Status* problem);
  Fields(const Fields&) = delete;  // the fields within refer to it
  Fields& operator=(const Fields&) = delete;

  void Text(std::string_view name, std::string* out) const;
  void Flag(std::string_view name, bool* out) const;
  // An integer of at most `max`.
  void Number(std::string_view name, std::uint64_t max, std::uint64_t* out) const;
  bool Has(std::string_view name) const;

  // visit(const Fields&) of the object of that name, if it is there.
  template <class Visit>
  void Within(std::string_view name, Visit visit) const {
    simdjson::dom::element element;
    if (!Find(name, &element)) return;
    visit(Fields(element, *this, name, kNoIndex));
  }
  // visit(const Fields&) of each object in the array of that name.
  template <class Visit>
  void Each(std::string_view name, Visit visit) const {
    simdjson::dom::array array;
    if (!FindArray(name, &array)) return;
    std::size_t index = 0;
    for (const simdjson::dom::element element : array) visit(Fields(element, *this, name, index++));
  }
  // visit(std::string_view) of each text in the array of that name.
  template <class Visit>
  void EachText(std::string_view name, Visit visit) const {
    simdjson::dom::array array;
    if (!FindArray(name, &array)) return;
    for (const simdjson::dom::element element : array) {
      std::string_view text;
      if (element.get(text) != simdjson::SUCCESS) return Fail(name, "has an element that is no text");
      visit(text);
    }
  }
  // visit(std::string_view name, std::string_view value) of each text in this object.
  template <class Visit>
  void AllTexts(Visit visit) const {
    for (const auto& field : object_) {
      std::string_view text;
      if (field.value.get(text) == simdjson::SUCCESS) visit(field.key, text);
    }
  }

  // The field makes no sense, because it `is`: "is no address: 'x'".
  void Fail(std::string_view name, std::string_view is) const;
  absl::Status* problem() const { return problem_; }

 private:
  static constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);
  Fields(const simdjson::dom::element& element, const Fields& parent, std::string_view name, std::size_t index);
  bool Find(std::string_view name, simdjson::dom::element* element) const;
  bool FindArray(std::string_view name, simdjson::dom::array* array) const;
  void Open(const simdjson::dom::element& element);
  std::string Path() const;

  const Fields* const parent_ = nullptr;
  const std::string_view name_;
  const std::size_t index_ = kNoIndex;
  absl::Status* const problem_;
  simdjson::dom::object object_;
  bool valid_ = false;  // it is an object
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_FIELDS_H_
