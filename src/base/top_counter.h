// Which of many carried most, in kPlaces places (SpaceSaving, Metwally et al. 2005): a count errs by at most total / kPlaces,
// always upwards. Whoever has more than that share is in it.
#ifndef KNP_BASE_TOP_COUNTER_H_
#define KNP_BASE_TOP_COUNTER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace knp {

template <class Key, std::size_t kPlaces>
class TopCounter {
 public:
  struct Place {
    Key key{};
    std::uint64_t count = 0;
  };

  void Add(const Key& key, std::uint64_t count = 1) {
    Place* least = &places_[0];
    for (Place& place : places_) {
      if (place.count != 0 && place.key == key) {
        place.count += count;
        return;
      }
      if (place.count < least->count) least = &place;
    }
    least->key = key;
    least->count += count;  // what the one before had is the error
  }
  // What was added turned out to be none; who has lost its place meanwhile has nothing to give back.
  void Remove(const Key& key, std::uint64_t count) {
    for (Place& place : places_)
      if (place.count != 0 && place.key == key) place.count -= std::min(place.count, count);
  }
  void Clear() { places_.fill({}); }

  // The largest first.
  std::vector<Place> Top() const {
    std::vector<Place> top;
    for (const Place& place : places_)
      if (place.count != 0) top.push_back(place);
    std::sort(top.begin(), top.end(), [](const Place& a, const Place& b) { return a.count > b.count; });
    return top;
  }
  // Their keys alone, likewise.
  std::vector<Key> Keys() const {
    std::vector<Key> keys;
    for (const Place& place : Top()) keys.push_back(place.key);
    return keys;
  }
  // Of all that was added, what the largest one has; at most 1 / kPlaces too much.
  double LargestShare() const {
    std::uint64_t largest = 0, all = 0;
    for (const Place& place : places_) {
      largest = std::max(largest, place.count);
      all += place.count;
    }
    return all == 0 ? 0 : static_cast<double>(largest) / static_cast<double>(all);
  }

 private:
  std::array<Place, kPlaces> places_{};
};

}  // namespace knp

#endif  // KNP_BASE_TOP_COUNTER_H_
