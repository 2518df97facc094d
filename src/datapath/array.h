// A BPF array as user space reads and writes it: as memory where the kernel can map it (5.5), else copied by look-ups,
// many values a call where it can (5.6). Opened by Datapath from its Object; read by the tables' readers.
#ifndef KNP_DATAPATH_ARRAY_H_
#define KNP_DATAPATH_ARRAY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace knp::datapath {

class Object;

// The bytes of an array, without their type. A value is what one look-up copies.
class RawArray {
 public:
  RawArray() = default;
  RawArray(RawArray&& other) noexcept { *this = std::move(other); }
  RawArray& operator=(RawArray&& other) noexcept;
  RawArray(const RawArray&) = delete;
  RawArray& operator=(const RawArray&) = delete;
  ~RawArray();

  // A map that `object` has loaded. Borrows its descriptor.
  static absl::StatusOr<RawArray> Open(const Object& object, const char* name);

  std::byte* memory() const { return memory_; }  // nullptr: not mapped
  std::size_t values() const { return values_; }
  std::size_t value_size() const { return value_size_; }
  // How many values should be asked for at once.
  std::size_t values_a_call() const { return values_a_call_; }

  absl::Status Copy(std::size_t first, std::size_t count, std::byte* to) const;
  absl::Status Store(std::size_t value, const std::byte* from) const;

 private:
  std::string name_;
  int fd_ = -1;
  std::byte* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t values_ = 0, value_size_ = 0, values_a_call_ = 1;
};

// An array whose values are one T each, or several in a row.
template <typename T>
class Array {
  static_assert(sizeof(T) % 8 == 0, "the kernel rounds array elements up to 8 bytes");

 public:
  static absl::StatusOr<Array> Open(const Object& object, const char* name) {
    auto raw = RawArray::Open(object, name);
    if (!raw.ok()) return raw.status();
    Array array;
    array.raw_ = *std::move(raw);
    return array;
  }

  std::size_t size() const { return raw_.values() * a_value(); }
  // What the kernel writes while we read; empty: not mapped.
  std::span<T> live() const { return {reinterpret_cast<T*>(raw_.memory()), raw_.memory() ? size() : 0}; }
  // Copy should be asked for multiples of this.
  std::size_t step() const { return raw_.values_a_call() * a_value(); }

  // Entries [first, first + count) as they are now, each of their 64-bit words whole. `first` is a multiple of what a value
  // holds; so is `count`.
  absl::Status Copy(std::size_t first, std::size_t count, T* to) const {
    return raw_.Copy(first / a_value(), count / a_value(), reinterpret_cast<std::byte*>(to));
  }
  // Only where a value is one T. A T of 8 bytes is written at once where the array is mapped.
  absl::Status Store(std::size_t index, const T& entry) const {
    return raw_.Store(index, reinterpret_cast<const std::byte*>(&entry));
  }

 private:
  std::size_t a_value() const { return raw_.value_size() / sizeof(T); }
  RawArray raw_;
};

// Opens the arrays of an object one after the other; the first failure is kept.
class ArrayOpener {
 public:
  explicit ArrayOpener(const Object& object) : object_(object) {}

  template <typename T>
  void operator()(Array<T>* to, const char* name) {
    auto array = Array<T>::Open(object_, name);
    if (array.ok())
      *to = *std::move(array);
    else if (status_.ok())
      status_ = array.status();
  }
  const absl::Status& status() const { return status_; }

 private:
  const Object& object_;
  absl::Status status_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_ARRAY_H_
