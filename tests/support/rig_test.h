// What most network tests start from: a rig of their own.
#ifndef KNP_TESTS_SUPPORT_RIG_TEST_H_
#define KNP_TESTS_SUPPORT_RIG_TEST_H_

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "tests/support/netns_rig.h"

namespace knp::test {

class RigTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }
  void SetUp() override {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }

  std::unique_ptr<NetnsRig> rig_;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_RIG_TEST_H_
