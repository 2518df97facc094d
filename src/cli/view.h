// The pages of `knp monitor`'s lower half: chosen by --view, or by a key on a terminal.
#ifndef KNP_CLI_VIEW_H_
#define KNP_CLI_VIEW_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knp::cli {

enum class View : std::uint8_t { kFlows, kDetails, kNames, kTraffic, kHost };

struct ViewName {
  View view;
  const char* name;
  const char* shows;
};

inline constexpr std::array<ViewName, 5> kViews = {{
    {View::kFlows, "flows", "connections by rate"},
    {View::kDetails, "details", "connections with application, name, latency, process, drops"},
    {View::kNames, "names", "questions to name servers and their answers"},
    {View::kTraffic, "traffic", "hosts, protocols and applications over 1, 10 and 60 s"},
    {View::kHost, "host", "what the host knows besides packets: drops, full listeners, failed connects"},
}};

inline std::optional<View> ParseView(std::string_view name) {
  for (const ViewName& view : kViews)
    if (name == view.name) return view.view;
  return std::nullopt;
}

// '1' to '5', or Tab for the next one; nullopt: the key is of no view.
inline std::optional<View> ViewOfKey(char key, View now) {
  const auto at = [](std::size_t i) { return kViews[i % kViews.size()].view; };
  if (key == '\t') return at(static_cast<std::size_t>(now) + 1);
  if (key >= '1' && key < static_cast<char>('1' + kViews.size())) return at(static_cast<std::size_t>(key - '1'));
  return std::nullopt;
}

}  // namespace knp::cli

#endif  // KNP_CLI_VIEW_H_
