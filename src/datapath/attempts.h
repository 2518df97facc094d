// How often something may be tried within a while: for what others may undo as fast as we do it. Used by the watch over
// the hooks.
#ifndef KNP_DATAPATH_ATTEMPTS_H_
#define KNP_DATAPATH_ATTEMPTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace knp::datapath {

class Attempts {
 public:
  constexpr Attempts(std::size_t most, std::uint64_t within_ns) : most_(most), within_ns_(within_ns) {}

  // True, and one attempt is used up; false: there were `most` within the last `within_ns`.
  bool Take(std::uint64_t now_ns) {
    taken_ns_.erase(std::remove_if(taken_ns_.begin(), taken_ns_.end(),
                                   [&](std::uint64_t then) { return now_ns - then >= within_ns_; }),
                    taken_ns_.end());
    if (taken_ns_.size() >= most_) return false;
    taken_ns_.push_back(now_ns);
    return true;
  }
  std::size_t most() const { return most_; }

 private:
  std::size_t most_;
  std::uint64_t within_ns_;
  std::vector<std::uint64_t> taken_ns_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_ATTEMPTS_H_
