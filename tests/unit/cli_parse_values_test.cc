// Durations, sizes and numbers as people type them (src/cli/parse_values.h), and guesses at mistyped words.
#include "src/cli/parse_values.h"

#include <gtest/gtest.h>

#include "src/cli/nearest_match.h"
#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

using std::chrono::milliseconds;

TEST(ParseDuration, GoodTexts_AreMilliseconds) {
  const std::pair<const char*, std::int64_t> cases[] = {
      {"500ms", 500},           {"5s", 5000},        {"2m", 120'000},
      {"1h", 3'600'000},        {"1d", 86'400'000},  {"1m30s", 90'000},
      {"1.5s", 1500},           {"0.001s", 1},       {"0s", 0},
      {"1h0m1s1ms", 3'601'001}, {"2.25m", 135'000},  {"007s", 7000},
      {"366d", 31'622'400'000}, {"90min", 5'400'000}};
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<milliseconds> parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(parsed->count(), expected) << text;
  }
}

TEST(ParseDuration, Garbage_IsRefusedWithAnExample) {
  for (const char* text : {"",
                           "5",
                           "s",
                           "-5s",
                           "+5s",
                           "5 s",
                           " 5s",
                           "5s ",
                           "5x",
                           "5sec",
                           "1.s",
                           ".5s",
                           "1..5s",
                           "1e3s",
                           "0.0001s",
                           "0.1ms",
                           "0x5s",
                           "5s5",
                           "367d",
                           "99999999999999999999s",
                           "18446744073709551616ms",
                           "1.12345678901s",
                           "nan",
                           "5µs",
                           "1h-1s",
                           "5S"}) {
    const absl::StatusOr<milliseconds> parsed = ParseDuration(text);
    ASSERT_FALSE(parsed.ok()) << text << " gave " << parsed->count();
    EXPECT_NE(std::string(parsed.status().message()).find("500ms"), std::string::npos) << text;
  }
}

TEST(ParseDuration, NulByte_IsRefused) { EXPECT_FALSE(ParseDuration(std::string("5s\0", 3)).ok()); }

TEST(ParseDuration, DurationText_ReadsBackTheSame) {
  for (const std::int64_t count : {0, 1, 999, 1000, 61'001, 3'600'000, 86'399'999})
    EXPECT_EQ(ParseDuration(DurationText(milliseconds(count)))->count(), count);
}

TEST(ParseSize, GoodTexts_AreBytes) {
  const std::pair<const char*, std::size_t> cases[] = {{"0", 0},
                                                       {"4096", 4096},
                                                       {"4096B", 4096},
                                                       {"512K", 524288},
                                                       {"512k", 524288},
                                                       {"20M", 20971520},
                                                       {"20MiB", 20971520},
                                                       {"20Mi", 20971520},
                                                       {"1G", 1073741824},
                                                       {"2T", 2199023255552},
                                                       {"16777215T", 18446742974197923840u},
                                                       {"18446744073709551615", 18446744073709551615u}};
  for (const auto& [text, expected] : cases) {
    const absl::StatusOr<std::size_t> parsed = ParseSize(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseSize, Garbage_IsRefusedWithAnExample) {
  for (const char* text : {"", "M", "-1", "20 M", "20MB", "20X", "1.5G", "20Mib", "0x10", "20M ", "16777216T",
                           "18446744073709551616", "99999999999999999999999", "1KK", "20\n"}) {
    const absl::StatusOr<std::size_t> parsed = ParseSize(text);
    ASSERT_FALSE(parsed.ok()) << text << " gave " << *parsed;
    EXPECT_NE(std::string(parsed.status().message()).find("512K"), std::string::npos) << text;
  }
}

TEST(ParseNumber, Bounds_AreInclusive) {
  EXPECT_EQ(*ParseNumber("0", 10), 0u);
  EXPECT_EQ(*ParseNumber("10", 10), 10u);
  EXPECT_EQ(*ParseNumber("18446744073709551615", ~std::uint64_t{0}), ~std::uint64_t{0});
  for (const char* text : {"11", "", "-1", "+1", "1.0", "1 ", "0x1", "ten", "18446744073709551616"})
    EXPECT_FALSE(ParseNumber(text, 10).ok()) << text;
}

TEST(NearestMatch, Slips_FindTheirWord) {
  const std::vector<std::string> words = {"monitor", "doctor", "help"};
  const std::pair<const char*, const char*> cases[] = {
      {"monitr", "monitor"}, {"mointor", "monitor"}, {"mon", "monitor"},    {"docter", "doctor"},
      {"hlep", "help"},      {"halp", "help"},       {"Monitor", "monitor"}};
  for (const auto& [word, expected] : cases) EXPECT_EQ(NearestMatch(word, words).value_or("none"), expected) << word;
}

TEST(NearestMatch, OtherWords_FindNothing) {
  const std::vector<std::string> words = {"monitor", "doctor", "help"};
  for (const char* word : {"", "x", "replay", "observe", "zzzzzzzz"}) EXPECT_FALSE(NearestMatch(word, words)) << word;
  EXPECT_FALSE(NearestMatch(std::string(100'000, 'm'), words));
  EXPECT_FALSE(NearestMatch("monitor", {}));
}

}  // namespace
}  // namespace knp::cli
