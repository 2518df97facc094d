// ULIDs: form, time, order, and that no two are the same.
#include "src/base/ulid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace knp {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

TEST(Ulid, Form_Is26DigitsOfCrockfordsBase32) {
  std::random_device random;
  for (int i = 0; i < 200; i++)
    EXPECT_THAT(MakeUlid(1'700'000'000'000 * kMs, random), testing::MatchesRegex("[0-9A-HJKMNP-TV-Z]{26}"));
}

TEST(Ulid, TimeOfTheSpecification_GivesItsFirstTenDigits) {
  std::random_device random;
  EXPECT_EQ(MakeUlid(1'469'918'176'385 * kMs, random).substr(0, 10), "01ARYZ6S41");
  EXPECT_EQ(MakeUlid(0, random).substr(0, 10), "0000000000");
}

TEST(Ulid, LaterTime_SortsBehind) {
  std::random_device random;
  std::string last;
  for (const std::uint64_t ms : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{31}, std::uint64_t{32},
                                 std::uint64_t{1023}, std::uint64_t{1024}, std::uint64_t{1'700'000'000'000},
                                 std::uint64_t{1'700'000'000'001}, std::uint64_t{4'000'000'000'000}}) {
    const std::string ulid = MakeUlid(ms * kMs, random);
    EXPECT_LT(last, ulid) << ms;
    last = ulid;
  }
}

TEST(Ulid, SameMillisecond_NoTwoAreTheSame) {
  std::random_device random;
  std::set<std::string> all;
  for (int i = 0; i < 2000; i++) EXPECT_TRUE(all.insert(MakeUlid(1'700'000'000'000 * kMs, random)).second);
}

}  // namespace
}  // namespace knp
