// EXPECT_ERROR(expression, IsNotFound, HasSubstr("…")): an absl::Status of that code, whose message matches.
#ifndef KNP_TESTS_SUPPORT_EXPECT_ERROR_H_
#define KNP_TESTS_SUPPORT_EXPECT_ERROR_H_

#include <absl/status/status.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#define EXPECT_ERROR(expression, is_code, matcher)       \
  do {                                                   \
    const absl::Status& error_ = (expression);           \
    EXPECT_TRUE(absl::is_code(error_)) << error_;        \
    EXPECT_THAT(std::string(error_.message()), matcher); \
  } while (false)

#endif  // KNP_TESTS_SUPPORT_EXPECT_ERROR_H_
