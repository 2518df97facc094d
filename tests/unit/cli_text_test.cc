// Text that fits its columns (src/cli/styled_text.h) and numbers as people read them (src/cli/quantities.h).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "src/cli/quantities.h"
#include "src/cli/styled_text.h"

namespace knp::cli {
namespace {

TEST(Printable, EscapesAndBrokenUtf8_BecomeQuestionMarks) {
  EXPECT_EQ(Printable("eth0"), "eth0");
  EXPECT_EQ(Printable("a\x1b[2Jb"), "a?[2Jb");
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "2Jb"),
            "a?2Jb")
      << "the C1 form of the same";
  const std::string override_mark{'\xe2', '\x80', '\xae'};  // U+202E, right to left
  EXPECT_EQ(Printable("a" + override_mark + "b"), "a?b");
  EXPECT_EQ(Printable("\xff\xc0\xaf"), "???");
  EXPECT_EQ(Printable("łódź"), "łódź");
  EXPECT_EQ(Printable("łódź", false), "??d?");
}

TEST(Printable, RandomBytes_NeverReachTheTerminalAsControls) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::string text(random() % 16, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string printable = Printable(text);
    for (const char c : printable) ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    ASSERT_EQ(Printable(printable), printable);
    for (int width = 0; width < 12; ++width) {
      ASSERT_LE(DisplayWidth(Truncated(printable, width, "…")), width);
      ASSERT_EQ(DisplayWidth(Cell(printable, width, Align::kRight, "…")), width);
    }
  }
}

TEST(DisplayWidth, Characters_CountTheirColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("→✓…█"), 4);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1) << "combining accent";
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("😀"), 2);
}

TEST(Truncated, LongText_EndsInTheEllipsis) {
  EXPECT_EQ(Truncated("abcdef", 6, "…"), "abcdef");
  EXPECT_EQ(Truncated("abcdef", 5, "…"), "abcd…");
  EXPECT_EQ(Truncated("日本語", 4, "…"), "日…") << "a wide character does not fit half";
  EXPECT_EQ(Truncated("abc", 0, "…"), "");
}

TEST(Bar, Fractions_FillTheirShare) {
  EXPECT_EQ(Bar(0.5, 4, false), "##  ");
  EXPECT_EQ(Bar(1, 3, true), "███");
  EXPECT_EQ(Bar(0, 3, true), "   ");
  for (const double fraction : {-1.0, 0.01, 0.333, 0.99, 2.0, std::nan("")})
    for (const bool utf8 : {false, true}) EXPECT_EQ(DisplayWidth(Bar(fraction, 10, utf8)), 10) << fraction;
}

TEST(TextLine, CutTo_MarksWhatIsMissing) {
  TextLine line("abc");
  line.Add("def", Style::kBad);
  EXPECT_EQ(TextLine(line).CutTo(6, "…").Text(false), "abcdef");
  EXPECT_EQ(TextLine(line).CutTo(4, "…").Text(false), "abc…");
  EXPECT_EQ(TextLine(line).CutTo(3, "…").Text(false), "ab…") << "the first part fits, but more follows";
  EXPECT_EQ(TextLine(line).CutTo(0, "…").width(), 0);
}

TEST(TextLine, Colours_AreSwitchedOffAgain) {
  TextLine line("a", Style::kGood);
  line.Add("b");
  EXPECT_EQ(line.Text(false), "ab");
  EXPECT_EQ(line.Text(true), "\x1b[32ma\x1b[0mb");
  EXPECT_EQ(line.width(), 2);
}

TEST(Short, AnyNumber_TakesFiveColumnsAtMost) {
  const std::pair<double, const char*> cases[] = {{0, "0"},          {0.04, "0"},        {0.5, "0.5"},
                                                  {7, "7"},          {9.96, "10"},       {999, "999"},
                                                  {999.6, "1.00k"},  {1234, "1.23k"},    {12345, "12.3k"},
                                                  {999'499, "999k"}, {999'500, "1.00M"}, {1.8446744e19, "18.4E"},
                                                  {1.5e20, "150E"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(Short(value), text) << value;
  for (int i = -30; i < 240; ++i)
    for (const double digit : {1.0, 1.26, 9.994, 9.9951, 9.999}) {
      const double value = digit * std::pow(10, i / 10.0);
      ASSERT_LE(Short(value).size(), 5u) << value;
    }
  EXPECT_EQ(Short(std::nan("")), "-");
  EXPECT_EQ(Short(-1.0), "-");
}

TEST(Grouped, EveryDigit_IsKept) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(0xffffffffffffffff), "18,446,744,073,709,551,615");
}

TEST(Percent, SmallAndLargeShares_AreNotRoundedAway) {
  EXPECT_EQ(Percent(0, 0), "0%");
  EXPECT_EQ(Percent(0, 7), "0%");
  EXPECT_EQ(Percent(1, 1'000'000), "<0.1%");
  EXPECT_EQ(Percent(999'999, 1'000'000), ">99%");
  EXPECT_EQ(Percent(1, 3), "33.3%");
  EXPECT_EQ(Percent(5, 5), "100%");
}

TEST(Ages, AllLengths_FitTheirColumn) {
  using std::chrono::seconds;
  EXPECT_EQ(ShortAge(seconds(0)), "0s");
  EXPECT_EQ(ShortAge(seconds(99)), "99s");
  EXPECT_EQ(ShortAge(seconds(100)), "1m");
  EXPECT_EQ(ShortAge(seconds(47 * 3600)), "47h");
  EXPECT_EQ(ShortAge(seconds(30LL * 365 * 86400)), "999d");
  EXPECT_EQ(ShortAge(seconds(-5)), "0s");
  EXPECT_EQ(Elapsed(std::chrono::milliseconds(1500)), "1.5s");
  EXPECT_EQ(Elapsed(seconds(65)), "1m05s");
  EXPECT_EQ(Elapsed(seconds(86400 + 3600)), "1d01h");
}

TEST(Spans, Borders_FitTheirColumn) {
  using std::chrono::nanoseconds;
  const std::pair<std::int64_t, const char*> cases[] = {{-1, "0ns"},
                                                        {0, "0ns"},
                                                        {1, "1ns"},
                                                        {999, "999ns"},
                                                        {1'000, "1.0us"},
                                                        {99'949, "99.9us"},
                                                        {99'950, "100us"},
                                                        {999'499, "999us"},
                                                        {1'000'000, "1.0ms"},
                                                        {99'950'000, "100ms"},
                                                        {999'999'999, "1000ms"},
                                                        {1'000'000'000, "1.0s"},
                                                        {3'599'000'000'000, "3599s"},
                                                        {3'600'000'000'000, "1.0h"},
                                                        {std::int64_t{30} * 86'400'000'000'000, "720h"},
                                                        {std::numeric_limits<std::int64_t>::max(), "9999h"},
                                                        {std::numeric_limits<std::int64_t>::min(), "0ns"}};
  for (const auto& [ns, text] : cases) EXPECT_EQ(ShortSpan(nanoseconds(ns)), text) << ns;
  for (std::int64_t ns = 1; ns > 0 && ns < std::numeric_limits<std::int64_t>::max() / 3; ns = ns * 2 + 1)
    EXPECT_LE(ShortSpan(nanoseconds(ns)).size(), 6u) << ns;
}

}  // namespace
}  // namespace knp::cli
