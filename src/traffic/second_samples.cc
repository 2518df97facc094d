// See second_samples.h.
#include "src/traffic/second_samples.h"

#include <algorithm>
#include <bit>

namespace knp::traffic {
namespace {

constexpr std::uint32_t kFineBits = 4;
constexpr std::uint64_t kExact = 2u << kFineBits;

// The leading bits of `value`, with the number of those behind them.
std::uint32_t BucketOf(std::uint64_t value) {
  if (value < kExact) return static_cast<std::uint32_t>(value);
  const auto shift = static_cast<std::uint32_t>(std::bit_width(value)) - (kFineBits + 1);
  return (shift << kFineBits) + static_cast<std::uint32_t>(value >> shift);
}

std::uint64_t MiddleOf(std::uint32_t bucket) {
  if (bucket < kExact) return bucket;
  const std::uint32_t shift = (bucket >> kFineBits) - 1;
  const std::uint64_t first = std::uint64_t{bucket - (shift << kFineBits)} << shift;
  return first + (std::uint64_t{1} << shift) / 2;
}

}  // namespace

void Histogram::Add(std::uint64_t value) {
  if (value == 0) return;
  ++added_;
  const std::uint32_t number = BucketOf(value);
  const auto found = std::lower_bound(buckets_.begin(), buckets_.end(), number,
                                      [](const Bucket& bucket, std::uint32_t n) { return bucket.number < n; });
  if (found != buckets_.end() && found->number == number)
    ++found->times;
  else
    buckets_.insert(found, {number, 1});
}

std::uint64_t Histogram::Percentile(std::uint32_t percent, std::uint64_t samples) const {
  const std::uint64_t all = std::max(samples, added_);
  const std::uint64_t rank = (all * percent + 99) / 100;
  std::uint64_t passed = all - added_;
  if (rank <= passed) return 0;
  for (const Bucket& bucket : buckets_) {
    passed += bucket.times;
    if (rank <= passed) return MiddleOf(bucket.number);
  }
  return 0;
}

void SecondRing::Add(std::uint32_t second, const Count& count) {
  Slot& slot = slots_[second % slots_.size()];
  if (slot.second != second) slot = {second, {}};
  slot.count += count;
}

const Count& SecondRing::At(std::uint32_t second) const {
  static constexpr Count kNothing{};
  const Slot& slot = slots_[second % slots_.size()];
  return slot.second == second ? slot.count : kNothing;
}

Count SecondRing::Window(std::uint32_t now, std::uint32_t seconds) const {
  Count sum;
  for (std::uint32_t i = 1; i <= std::min({seconds, now, kKept}); ++i) sum += At(now - i);
  return sum;
}

void SecondRing::Merge(const SecondRing& other) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& theirs = other.slots_[i];
    if (theirs.second > slots_[i].second) slots_[i] = {theirs.second, {}};
    if (theirs.second == slots_[i].second) slots_[i].count += theirs.count;
  }
}

void SecondSamples::Add(std::uint32_t second, const Count& count) {
  Settle(second);
  ring_.Add(second, count);
  last_ = second;
  open_ = true;
}

void SecondSamples::Settle(std::uint32_t now) {
  if (!open_ || last_ >= now) return;
  const Count& count = ring_.At(last_);
  packets_.Add(count.packets);
  bytes_.Add(count.bytes);
  peak_ = Peak();
  open_ = false;
}

SecondCount SecondSamples::Peak() const {
  if (!open_) return peak_;
  const Count& count = ring_.At(last_);
  return {std::max(peak_.packets, count.packets), std::max(peak_.bytes, count.bytes)};
}

SecondCount SecondSamples::Percentile(std::uint32_t percent, std::uint64_t seconds) const {
  return {packets_.Percentile(percent, seconds), bytes_.Percentile(percent, seconds)};
}

}  // namespace knp::traffic
