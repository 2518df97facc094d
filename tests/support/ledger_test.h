// What the tests of the ledger start from: a rig, monitors on its ends, floods over it.
#ifndef KNP_TESTS_SUPPORT_LEDGER_TEST_H_
#define KNP_TESTS_SUPPORT_LEDGER_TEST_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/netns_rig.h"
#include "tests/support/traffic.h"
#include "tests/support/watched_link.h"

namespace knp::test {

class LedgerTest : public ::testing::Test {
 protected:
  void MakeRig(const NetnsRig::Options& options = {}) {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create(options);
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }
  static NetnsRig::Options Offload() {
    NetnsRig::Options options;
    options.offload = true;
    return options;
  }
  // Null, and the test failed, if that could not be.
  std::unique_ptr<WatchedLink> Watch(Side side, const MonitorOptions& options = {}, bool by_conversation = false) {
    auto link = WatchedLink::Start(*rig_, side, options, by_conversation);
    EXPECT_TRUE(link.ok()) << link.status();
    return link.ok() ? *std::move(link) : nullptr;
  }
  FloodResult FloodFrom(Side side, const FloodOptions& options) {
    const auto result = rig_->RunIn(side, [&] { return Flood(rig_->interface(side), options); });
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : FloodResult();
  }
  void Ethtool(Side side, const std::string& setting) {
    const std::string command =
        "nsenter --net=" + rig_->NamespacePath(side) + " ethtool -K " + rig_->interface(side) + " " + setting;
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::unique_ptr<NetnsRig> rig_;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_LEDGER_TEST_H_
