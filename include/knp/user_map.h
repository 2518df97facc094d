// A map of a user's own BPF object, typed: NetworkMonitor::OpenMap<Key, Value>("name").
//
// Key and value must be trivially copyable and have exactly the sizes that the map was declared with; this is checked
// when the map is opened. Safe from any thread: the kernel orders the accesses. A UserMap must not outlive its monitor.
#ifndef KNP_USER_MAP_H_
#define KNP_USER_MAP_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <functional>
#include <string>
#include <type_traits>

namespace knp {

// The untyped map; use UserMap<Key, Value>.
class RawMap {
 public:
  RawMap(int fd, std::string name, std::size_t key_size, std::size_t value_size, std::size_t copies)
      : fd_(fd), name_(std::move(name)), key_size_(key_size), value_size_(value_size), copies_(copies) {}

  absl::Status Lookup(const void* key, void* value) const;
  absl::Status Update(const void* key, const void* value) const;
  absl::Status Delete(const void* key) const;
  // Calls `visit` with each key, in the kernel's order; stops when it returns false. Keys that come or go meanwhile may
  // be missed or seen twice, as with any BPF map.
  absl::Status ForEachKey(const std::function<bool(const void* key)>& visit) const;
  // Values a key has: the number of possible CPUs for a per-CPU map, else 1.
  std::size_t copies() const { return copies_; }
  std::size_t key_size() const { return key_size_; }
  std::size_t value_size() const { return value_size_; }

 private:
  int fd_;  // borrowed from the monitor's object
  std::string name_;
  std::size_t key_size_, value_size_, copies_;
};

template <typename Key, typename Value>
  requires std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>
class UserMap {
 public:
  explicit UserMap(RawMap raw) : raw_(std::move(raw)) {}

  // NotFound if the map has no such key.
  absl::StatusOr<Value> Lookup(const Key& key) const {
    Value value{};
    absl::Status status = raw_.Lookup(&key, &value);
    if (!status.ok()) return status;
    return value;
  }
  // Inserts or overwrites; ResourceExhausted if the map is full.
  absl::Status Update(const Key& key, const Value& value) const { return raw_.Update(&key, &value); }
  // NotFound if the map has no such key.
  absl::Status Delete(const Key& key) const { return raw_.Delete(&key); }
  // Visits every pair; `visit(key, value)` returns false to stop.
  absl::Status ForEach(const std::function<bool(const Key&, const Value&)>& visit) const {
    return raw_.ForEachKey([&](const void* key) {
      absl::StatusOr<Value> value = Lookup(*static_cast<const Key*>(key));
      return !value.ok() || visit(*static_cast<const Key*>(key), *value);
    });
  }

 private:
  RawMap raw_;
};

}  // namespace knp

#endif  // KNP_USER_MAP_H_
