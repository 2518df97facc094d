// What the tests of restarts start from: a rig, a bpffs of their own, and agents that are real processes: this program
// again, as tests/netns/restart_netns_test.cc's hidden case, so that they can be killed.
#ifndef KNP_TESTS_SUPPORT_RESTART_RIG_H_
#define KNP_TESTS_SUPPORT_RESTART_RIG_H_

#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/datapath/netlink.h"
#include "tests/support/flow_book.h"
#include "tests/support/netns_rig.h"
#include "tests/support/traffic.h"

namespace knp::test {

// What an agent has told its flow handler; in memory that it shares with the test, so that it outlives a kill.
struct HandedOver {
  std::atomic<std::uint64_t> packets, bytes;  // of all agents so far
  std::atomic<std::uint64_t> agents;          // that came as far as to watch
  std::atomic<std::uint64_t> broken;          // that found more in flows than was seen, or could not begin
};

class RestartTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  MonitorOptions Options() const;
  // An agent of this process; null, and the test failed, if there could be none.
  std::unique_ptr<NetworkMonitor> Create(const MonitorOptions& options);
  std::unique_ptr<NetworkMonitor> Create() { return Create(Options()); }
  absl::Status Uninstall();
  // What the interface has counted, and the peer.
  datapath::LinkInfo Link(Side side) const;
  // Programs of ours at veth_a's hooks.
  std::size_t Hooks() const;
  FloodResult FloodFromA(const FloodOptions& options) const;

  pid_t StartAgent() const;
  static void Kill(pid_t pid);

  std::unique_ptr<NetnsRig> rig_;
  std::string mount_, directory_;
  std::string disabled_;  // features
  std::size_t budget_ = std::size_t{1} << 20;
  UniqueFd memory_;
  HandedOver* handed_over_ = nullptr;
};

// The agent's own side: watches veth_a until it is killed. Does nothing in a program that is no agent.
void RunAgent();

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_RESTART_RIG_H_
