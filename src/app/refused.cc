#include "src/app/refused.h"

#include <algorithm>
#include <array>

namespace knp::app {
namespace {

struct Refused {
  std::string_view name;
  std::string_view reason;
};

constexpr std::array<Refused, 1> kRefused = {{
    {"Unknown", "no name"},
}};

}  // namespace

bool IsRefused(std::string_view name) {
  return std::any_of(kRefused.begin(), kRefused.end(), [&](const Refused& refused) { return refused.name == name; });
}

}  // namespace knp::app
