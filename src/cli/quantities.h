// Numbers as people read them: short with SI prefixes where space is short, in full where there is room.
#ifndef KNP_CLI_QUANTITIES_H_
#define KNP_CLI_QUANTITIES_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace knp::cli {

// Three significant digits and an SI prefix, at most 5 columns: "0", "7.5", "999", "1.23k", "12.3M", "184Z".
std::string Short(double value);
std::string Short(std::uint64_t value);

// "18,446,744,073,709,551,615".
std::string Grouped(std::uint64_t value);

// Share of a whole in at most 5 columns: "0%", "<0.1%", "12.3%", "100%".
std::string Percent(std::uint64_t part, std::uint64_t whole);

// At most 4 columns: "0s", "59s", "12m", "23h", "999d".
std::string ShortAge(std::chrono::nanoseconds age);

// At most 6 columns: "999ns", "12.3us", "7.5ms", "12.3s", "4.5h".
std::string ShortSpan(std::chrono::nanoseconds span);

// "1.5s", "12s", "1m05s", "2h03m", "3d04h".
std::string Elapsed(std::chrono::nanoseconds time);

// "500ms", "5s", "1m30s": as ParseDuration reads it.
std::string DurationText(std::chrono::milliseconds duration);

// "12:34:56", UTC.
std::string ClockTime(std::uint64_t unix_ns);

}  // namespace knp::cli

#endif  // KNP_CLI_QUANTITIES_H_
