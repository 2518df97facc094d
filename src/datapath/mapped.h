// A mmapable BPF array seen as memory: the kernel's counters without a system call. The pages belong to the map and stay
// valid after it is closed.
#ifndef KNP_DATAPATH_MAPPED_H_
#define KNP_DATAPATH_MAPPED_H_

#include <absl/status/statusor.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

namespace knp::datapath {

template <typename T>
class Mapped {
  static_assert(sizeof(T) % 8 == 0, "the kernel rounds array elements up to 8 bytes");

 public:
  Mapped() = default;
  Mapped(Mapped&& other) noexcept { std::swap(span_, other.span_); }
  Mapped& operator=(Mapped&& other) noexcept {
    std::swap(span_, other.span_);
    return *this;
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (!span_.empty()) munmap(span_.data(), Bytes(span_.size()));
  }

  static absl::StatusOr<Mapped> Map(int map_fd, const char* name, std::size_t entries) {
    void* memory = mmap(nullptr, Bytes(entries), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (memory == MAP_FAILED)
      return absl::InternalError(fmt::format("cannot map BPF map {} ({} entries): {}", name, entries, strerror(errno)));
    Mapped mapped;
    mapped.span_ = {static_cast<T*>(memory), entries};
    return mapped;
  }

  std::span<T> span() const { return span_; }
  T& operator[](std::size_t i) const { return span_[i]; }
  std::size_t size() const { return span_.size(); }

 private:
  static std::size_t Bytes(std::size_t entries) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (entries * sizeof(T) + page - 1) / page * page;
  }
  std::span<T> span_;
};

// A counter that one CPU of the kernel writes while we read.
inline std::uint64_t ReadOnce(const __u64& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_MAPPED_H_
