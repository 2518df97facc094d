// About how often each was seen, never less than it was (Cormode and Muthukrishnan 2005): with a table of w columns and d rows
// it errs by more than e * total / w with a probability of e^-d. Ages by halving.
#ifndef KNP_BASE_COUNT_MIN_H_
#define KNP_BASE_COUNT_MIN_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace knp {

template <std::size_t kColumns, std::size_t kRows = 2>
class CountMin {
  static_assert((kColumns & (kColumns - 1)) == 0);

 public:
  // Adds, and tells the new estimate. `hash`: all 64 bits well mixed.
  std::uint32_t Add(std::uint64_t hash, std::uint32_t count = 1) {
    std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
    for (std::size_t row = 0; row < kRows; row++) {
      std::uint32_t& cell = Cell(row, hash);
      cell = count > std::numeric_limits<std::uint32_t>::max() - cell ? std::numeric_limits<std::uint32_t>::max()
                                                                      : cell + count;
      least = std::min(least, cell);
    }
    return least;
  }
  std::uint32_t Count(std::uint64_t hash) const {
    std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
    for (std::size_t row = 0; row < kRows; row++) least = std::min(least, cells_[Index(row, hash)]);
    return least;
  }
  void Halve() {
    for (std::uint32_t& cell : cells_) cell /= 2;
  }

 private:
  static std::size_t Index(std::size_t row, std::uint64_t hash) {
    return row * kColumns + ((hash >> (row * (64 / kRows))) & (kColumns - 1));
  }
  std::uint32_t& Cell(std::size_t row, std::uint64_t hash) { return cells_[Index(row, hash)]; }
  std::array<std::uint32_t, kColumns * kRows> cells_{};
};

}  // namespace knp

#endif  // KNP_BASE_COUNT_MIN_H_
