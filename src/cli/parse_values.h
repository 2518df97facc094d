// What people type for values: durations ("500ms", "1m30s"), sizes ("512K", "20MiB"), numbers. Each error says what is
// wrong with the text and shows a good one.
#ifndef KNP_CLI_PARSE_VALUES_H_
#define KNP_CLI_PARSE_VALUES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/mitigation.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace knp::cli {

// One or more numbers with a unit each (ms, s, m, h, d), decimals allowed: "500ms", "5s", "1.5s", "1m30s". Whole
// milliseconds; at most a year. InvalidArgument else.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(const std::string& text);

// Bytes, or with a binary suffix K, M, G or T, alone or as "Ki", "KiB", in either case: "4096", "512K", "20MiB".
absl::StatusOr<std::size_t> ParseSize(const std::string& text);

// Decimal digits only. InvalidArgument beyond `most`.
absl::StatusOr<std::uint64_t> ParseNumber(const std::string& text, std::uint64_t most);

// Digits, with decimals or without: "10", "0.25". No sign, no exponent.
absl::StatusOr<double> ParseDecimal(const std::string& text);

// "off", "dry-run", "drop".
absl::Status ParseMitigationMode(const std::string& text, MitigationMode& mode);

// "10.0.0.0/8,fd00::1": appends them, or none.
absl::Status ParsePrefixes(const std::string& text, std::vector<Prefix>& prefixes);

}  // namespace knp::cli

#endif  // KNP_CLI_PARSE_VALUES_H_
