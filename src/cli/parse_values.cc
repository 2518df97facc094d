// See parse_values.h.
#include "src/cli/parse_values.h"

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

namespace knp::cli {
namespace {

constexpr std::uint64_t kMillisecondsPerYear = std::uint64_t{366} * 24 * 3600 * 1000;
constexpr const char* kDurationExamples = "write for example 500ms, 5s, 1m30s or 2h";
constexpr const char* kSizeExamples = "write for example 4096, 512K, 20M or 1G (powers of 1024)";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view TakeWhile(std::string_view& rest, bool (*wanted)(char)) {
  std::size_t length = 0;
  while (length < rest.size() && wanted(rest[length])) ++length;
  const std::string_view taken = rest.substr(0, length);
  rest.remove_prefix(length);
  return taken;
}

std::optional<std::uint64_t> Digits(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> UnitMilliseconds(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s") return 1000;
  if (unit == "m" || unit == "min") return 60'000;
  if (unit == "h") return 3'600'000;
  if (unit == "d") return 86'400'000;
  return std::nullopt;
}

absl::Status BadDuration(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(fmt::format("'{}' is no duration: {}; {}", text, why, kDurationExamples));
}

// ".25" of a unit, in milliseconds; nullopt if that is no whole number of them.
std::optional<std::uint64_t> FractionMilliseconds(std::string_view decimals, std::uint64_t unit_ms) {
  std::uint64_t scale = 1;
  const std::optional<std::uint64_t> value = decimals.size() > 9 ? std::nullopt : Digits(decimals);
  if (!value) return std::nullopt;
  for (std::size_t i = 0; i < decimals.size(); ++i) scale *= 10;
  if (*value * unit_ms % scale != 0) return std::nullopt;
  return *value * unit_ms / scale;
}

// Takes one "1.5s" off the front of `rest`.
absl::StatusOr<std::uint64_t> TakeComponent(const std::string& text, std::string_view& rest) {
  const std::string_view whole = TakeWhile(rest, IsDigit);
  if (whole.empty()) return BadDuration(text, "a number is missing");
  std::string_view decimals;
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    decimals = TakeWhile(rest, IsDigit);
    if (decimals.empty()) return BadDuration(text, "digits are missing after the point");
  }
  const std::string_view unit = TakeWhile(rest, [](char c) { return !IsDigit(c); });
  if (unit.empty()) return BadDuration(text, "the unit is missing");
  const std::optional<std::uint64_t> unit_ms = UnitMilliseconds(unit);
  if (!unit_ms) return BadDuration(text, fmt::format("'{}' is no unit (ms, s, m, h, d)", unit));
  const std::optional<std::uint64_t> value = Digits(whole);
  if (!value || *value > kMillisecondsPerYear / *unit_ms) return BadDuration(text, "it is longer than a year");
  std::uint64_t milliseconds = *value * *unit_ms;
  if (!decimals.empty()) {
    const std::optional<std::uint64_t> fraction = FractionMilliseconds(decimals, *unit_ms);
    if (!fraction) return BadDuration(text, "it is finer than a millisecond");
    milliseconds += *fraction;
  }
  return milliseconds;
}

}  // namespace

absl::StatusOr<std::chrono::milliseconds> ParseDuration(const std::string& text) {
  std::string_view rest = text;
  if (rest.empty()) return BadDuration(text, "it is empty");
  std::uint64_t total = 0;
  while (!rest.empty()) {
    absl::StatusOr<std::uint64_t> component = TakeComponent(text, rest);
    if (!component.ok()) return component.status();
    total += *component;
    if (total > kMillisecondsPerYear) return BadDuration(text, "it is longer than a year");
  }
  return std::chrono::milliseconds(total);
}

absl::StatusOr<std::size_t> ParseSize(const std::string& text) {
  std::string_view rest = text;
  const auto bad = [&text](const std::string& why) {
    return absl::InvalidArgumentError(fmt::format("'{}' is no size: {}; {}", text, why, kSizeExamples));
  };
  const std::string_view digits = TakeWhile(rest, IsDigit);
  if (digits.empty()) return bad(text.empty() ? "it is empty" : "it does not start with a number");
  std::uint64_t unit = 1;
  if (!rest.empty() && rest != "B") {
    const std::size_t power = std::string_view("KMGT").find(static_cast<char>(std::toupper(rest[0])));
    const std::string_view tail = rest.substr(1);
    if (power == std::string_view::npos || !(tail.empty() || tail == "i" || tail == "iB"))
      return bad(fmt::format("'{}' is no suffix (K, M, G, T)", rest));
    unit = std::uint64_t{1} << (10 * (power + 1));
  }
  const std::optional<std::uint64_t> value = Digits(digits);
  if (!value || *value > std::numeric_limits<std::size_t>::max() / unit) return bad("it is too large");
  return *value * unit;
}

absl::StatusOr<std::uint64_t> ParseNumber(const std::string& text, std::uint64_t most) {
  std::string_view rest = text;
  if (TakeWhile(rest, IsDigit).empty() || !rest.empty())
    return absl::InvalidArgumentError(fmt::format("'{}' is no whole number from 0 to {}", text, most));
  const std::optional<std::uint64_t> value = Digits(text);
  if (!value || *value > most)
    return absl::InvalidArgumentError(fmt::format("'{}' is too large: the most is {}", text, most));
  return *value;
}

absl::StatusOr<double> ParseDecimal(const std::string& text) {
  std::string_view rest = text;
  const auto bad = [&text] {
    return absl::InvalidArgumentError(fmt::format("'{}' is no number: write for example 10 or 0.25", text));
  };
  if (TakeWhile(rest, IsDigit).empty()) return bad();
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    if (TakeWhile(rest, IsDigit).empty()) return bad();
  }
  double value = 0;
  if (!rest.empty() || std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return bad();
  return value;
}

absl::Status ParseMitigationMode(const std::string& text, MitigationMode& mode) {
  for (const MitigationMode each : {MitigationMode::kOff, MitigationMode::kDryRun, MitigationMode::kDrop})
    if (text == MitigationModeName(each)) {
      mode = each;
      return absl::OkStatus();
    }
  return absl::InvalidArgumentError(fmt::format("'{}' is no mode: off, dry-run or drop", text));
}

absl::Status ParsePrefixes(const std::string& text, std::vector<Prefix>& prefixes) {
  std::vector<Prefix> parsed;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    auto prefix = Prefix::Parse(text.substr(at, comma - at));
    if (!prefix.ok()) return prefix.status();
    parsed.push_back(*prefix);
    at = comma + 1;
  }
  prefixes.insert(prefixes.end(), parsed.begin(), parsed.end());
  return absl::OkStatus();
}

}  // namespace knp::cli
