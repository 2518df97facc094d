// See array.h.
#include "src/datapath/array.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "src/datapath/errors.h"
#include "src/datapath/object.h"

namespace knp::datapath {
namespace {

// Bytes that one call copies: the kernel collects them value by value, and we keep room for three such copies.
constexpr std::size_t kBytesACall = std::size_t{64} << 10;

void CopyWords(const std::byte* from, std::size_t bytes, std::byte* to) {
  const auto* source = reinterpret_cast<const std::uint64_t*>(from);
  auto* destination = reinterpret_cast<std::uint64_t*>(to);
  for (std::size_t i = 0; i < bytes / sizeof *source; i++)
    destination[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
}

}  // namespace

RawArray& RawArray::operator=(RawArray&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(values_, other.values_);
  std::swap(value_size_, other.value_size_);
  std::swap(values_a_call_, other.values_a_call_);
  return *this;
}

RawArray::~RawArray() {
  if (memory_) munmap(memory_, mapped_bytes_);
}

absl::StatusOr<RawArray> RawArray::Open(const Object& object, const char* name) {
  const Object::MapInfo info = object.DescribeMap(name);
  RawArray array;
  array.name_ = name;
  array.fd_ = info.fd;
  array.values_ = info.max_entries;
  array.value_size_ = info.value_size;
  if (object.reading() == Object::Reading::kMapped) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (array.values_ * array.value_size_ + page - 1) / page * page;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd, 0);
    if (memory == MAP_FAILED)
      return ErrnoStatus(errno, fmt::format("cannot map BPF map {} ({} values)", name, array.values_));
    array.memory_ = static_cast<std::byte*>(memory);
    array.mapped_bytes_ = bytes;
  } else if (object.reading() == Object::Reading::kBatched) {
    array.values_a_call_ = std::clamp<std::size_t>(kBytesACall / array.value_size_, 1, array.values_);
  }
  return array;
}

absl::Status RawArray::Copy(std::size_t first, std::size_t count, std::byte* to) const {
  if (memory_) {
    CopyWords(memory_ + first * value_size_, count * value_size_, to);
    return absl::OkStatus();
  }
  const auto failed = [&](int error) {
    return ErrnoStatus(error,
                       fmt::format("cannot read values {} to {} of BPF map {}", first, first + count - 1, name_));
  };
  std::size_t done = 0;
  while (done < count && values_a_call_ > 1) {
    // "After which key": none at first, else the last one read.
    auto after = static_cast<std::uint32_t>(first + done - 1), next = after;
    std::vector<std::uint32_t> keys(std::min(count - done, values_a_call_));
    auto read = static_cast<std::uint32_t>(keys.size());
    const int result = bpf_map_lookup_batch(fd_, first + done == 0 ? nullptr : &after, &next, keys.data(),
                                            to + done * value_size_, &read, nullptr);
    if (result != 0 && (result != -ENOENT || read == 0)) return failed(-result);
    done += read;
  }
  for (; done < count; done++) {
    const auto key = static_cast<std::uint32_t>(first + done);
    if (const int result = bpf_map_lookup_elem(fd_, &key, to + done * value_size_); result != 0) return failed(-result);
  }
  return absl::OkStatus();
}

absl::Status RawArray::Store(std::size_t value, const std::byte* from) const {
  if (memory_) {
    std::byte* to = memory_ + value * value_size_;
    if (value_size_ == sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, from, sizeof word);
      __atomic_store_n(reinterpret_cast<std::uint64_t*>(to), word, __ATOMIC_RELEASE);
    } else {
      std::memcpy(to, from, value_size_);
    }
    return absl::OkStatus();
  }
  const auto key = static_cast<std::uint32_t>(value);
  if (const int result = bpf_map_update_elem(fd_, &key, from, BPF_ANY); result != 0)
    return ErrnoStatus(-result, fmt::format("cannot write value {} of BPF map {}", value, name_));
  return absl::OkStatus();
}

}  // namespace knp::datapath
