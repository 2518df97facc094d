// Text cut at a character, for the kernel's files and paths. Abseil's has a string_view of its own where the distribution
// built it for C++14.
#ifndef KNP_HOST_NAMES_SPLIT_H_
#define KNP_HOST_NAMES_SPLIT_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace knp::host {

// With the empty parts.
inline std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

inline bool ConsumeEnd(std::string_view* text, std::string_view end) {
  if (!text->ends_with(end)) return false;
  text->remove_suffix(end.size());
  return true;
}

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_SPLIT_H_
