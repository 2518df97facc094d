// A NetworkMonitor on one end of a NetnsRig, its second bookkeeping, and the kernel's own counters of that end: what the
// tests of the ledger are made of.
//
//   absl::StatusOr<std::unique_ptr<WatchedLink>> watched = WatchedLink::Start(rig, Side::kB, options);
//   … traffic …
//   const PacketStats stats = (*watched)->Finish();   // checks what must hold whatever the traffic was
#ifndef KNP_TESTS_SUPPORT_WATCHED_LINK_H_
#define KNP_TESTS_SUPPORT_WATCHED_LINK_H_

#include <absl/status/statusor.h>
#include <knp/network_monitor.h>

#include <memory>
#include <string>

#include "src/datapath/netlink.h"
#include "tests/support/flow_book.h"
#include "tests/support/netns_rig.h"

namespace knp::test {

// The ledger balances, is what the book says, for each interface and in total, and no record broke its word. Fails the
// running test where that is not so; `what` goes into the message.
void ExpectExact(const PacketStats& stats, const FlowBook& book, const std::string& what);

// The interface's statistics; fails the test if there are none.
InterfaceStats StatsOf(const PacketStats& stats, const std::string& interface);

class WatchedLink {
 public:
  static absl::StatusOr<std::unique_ptr<WatchedLink>> Start(const NetnsRig& rig, Side side,
                                                            const MonitorOptions& options = {},
                                                            bool by_conversation = false);

  NetworkMonitor& monitor() { return *monitor_; }
  const FlowBook& book() const { return book_; }
  FlowBook& book_to_fill() { return book_; }  // for a flow handler of the test's own, which must hand on each record

  // Waits until the wire is silent, ends the monitor, expects it to be exact.
  PacketStats Finish();
  // What the kernel counted on this end from Start to Finish: received, and handed over to be sent.
  datapath::LinkInfo Moved() const;
  // Expects `stats` to have as many skbs and their bytes as Moved, and with `packets` also as many packets and bytes.
  void ExpectLinkCounters(const PacketStats& stats, bool packets) const;

 private:
  WatchedLink(const NetnsRig& rig, Side side, bool by_conversation) : rig_(rig), side_(side), book_(by_conversation) {}
  datapath::LinkInfo ReadLink() const;

  const NetnsRig& rig_;
  const Side side_;
  FlowBook book_;
  datapath::LinkInfo before_, after_;
  std::unique_ptr<NetworkMonitor> monitor_;  // last: its destructor still calls the book
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_WATCHED_LINK_H_
