// Traffic by whole seconds: the last minute of it exactly, its largest second, and how its seconds are distributed. Fed
// and read by the traffic meter. Seconds are numbered by the caller; an empty one costs nothing.
#ifndef KNP_TRAFFIC_SECOND_SAMPLES_H_
#define KNP_TRAFFIC_SECOND_SAMPLES_H_

#include <knp/traffic.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace knp::traffic {

// How often which value came, but for zeros. Below 32 each value has a bucket of its own, above there are 16 to each
// power of two: a bucket's middle is at most 1/32 from what is in it. Buckets that were never hit take no memory.
class Histogram {
 public:
  void Add(std::uint64_t value);
  // The value of which `percent` in a hundred of `samples` are no larger (nearest rank); samples that were not added
  // are 0.
  std::uint64_t Percentile(std::uint32_t percent, std::uint64_t samples) const;

 private:
  struct Bucket {
    std::uint32_t number;
    std::uint32_t times;
  };
  std::vector<Bucket> buckets_;  // ascending
  std::uint64_t added_ = 0;
};

class SecondRing {
 public:
  // `second` must not go back by more than kKept.
  void Add(std::uint32_t second, const Count& count);
  // Of the `seconds` before `now`, at most kKept.
  Count Window(std::uint32_t now, std::uint32_t seconds) const;
  const Count& At(std::uint32_t second) const;  // zero if nothing came
  void Merge(const SecondRing& other);

  static constexpr std::uint32_t kKept = 63;

 private:
  struct Slot {
    std::uint32_t second = 0;
    Count count;
  };
  std::array<Slot, kKept + 1> slots_{};
};

class SecondSamples {
 public:
  // `second` must not go back.
  void Add(std::uint32_t second, const Count& count);
  // `now` has begun: what came before is whole.
  void Settle(std::uint32_t now);

  const SecondRing& ring() const { return ring_; }
  std::uint32_t last() const { return last_; }
  SecondCount Peak() const;
  // Of `seconds` whole ones, after Settle.
  SecondCount Percentile(std::uint32_t percent, std::uint64_t seconds) const;

 private:
  SecondRing ring_;
  Histogram packets_, bytes_;
  SecondCount peak_;
  std::uint32_t last_ = 0;
  bool open_ = false;  // the last second is not in the histograms yet
};

}  // namespace knp::traffic

#endif  // KNP_TRAFFIC_SECOND_SAMPLES_H_
