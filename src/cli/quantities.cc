// See quantities.h.
#include "src/cli/quantities.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace knp::cli {

std::string Short(double value) {
  if (!std::isfinite(value) || value < 0) return "-";
  if (value < 9.995) {
    const double tenths = std::round(value * 10) / 10;
    return tenths == std::floor(tenths) ? fmt::format("{:.0f}", tenths) : fmt::format("{:.1f}", tenths);
  }
  constexpr char kPrefixes[] = {'\0', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'};
  std::size_t power = 0;
  // 999.5 would be printed as "1000".
  while (value >= 999.5 && power + 1 < sizeof kPrefixes) {
    value /= 1000;
    ++power;
  }
  if (power == 0) return fmt::format("{:.0f}", value);
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, decimals, kPrefixes[power]);
}

std::string Short(std::uint64_t value) { return Short(static_cast<double>(value)); }

std::string Grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string Percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0 || part == 0) return "0%";
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (percent < 0.1) return "<0.1%";
  if (part < whole && percent > 99.9) return ">99%";
  return percent >= 99.95 ? "100%" : fmt::format("{:.1f}%", percent);
}

std::string ShortAge(std::chrono::nanoseconds age) {
  const std::int64_t seconds = std::max<std::int64_t>(0, age.count() / 1'000'000'000);
  if (seconds < 100) return fmt::format("{}s", seconds);
  if (seconds < 6000) return fmt::format("{}m", seconds / 60);
  if (seconds < 172'800) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", std::min<std::int64_t>(999, seconds / 86400));
}

std::string ShortSpan(std::chrono::nanoseconds span) {
  struct Unit {
    double length_ns;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{3600e9, "h"}, {1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
  const auto ns =
      static_cast<double>(std::clamp<std::int64_t>(span.count(), 0, std::int64_t{9999} * 3'600'000'000'000));
  for (const Unit& unit : kUnits) {
    const double value = ns / unit.length_ns;
    if (value < 1 && unit.length_ns > 1) continue;
    return value < 99.95 && unit.length_ns > 1 ? fmt::format("{:.1f}{}", value, unit.name)
                                               : fmt::format("{:.0f}{}", value, unit.name);
  }
  return "0ns";
}

std::string Elapsed(std::chrono::nanoseconds time) {
  const double exact = std::max(0.0, static_cast<double>(time.count()) / 1e9);
  if (exact < 9.95) return fmt::format("{:.1f}s", exact);
  const auto seconds = std::int64_t{std::llround(exact)};
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string DurationText(std::chrono::milliseconds duration) {
  std::int64_t left = duration.count();
  std::string text;
  constexpr struct {
    std::int64_t milliseconds;
    const char* name;
  } kUnits[] = {{3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}};
  for (const auto& unit : kUnits) {
    if (left < unit.milliseconds) continue;
    text += fmt::format("{}{}", left / unit.milliseconds, unit.name);
    left %= unit.milliseconds;
  }
  return text.empty() ? "0s" : text;
}

std::string ClockTime(std::uint64_t unix_ns) {
  const std::uint64_t of_day = unix_ns / 1'000'000'000 % 86400;
  return fmt::format("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
}

}  // namespace knp::cli
