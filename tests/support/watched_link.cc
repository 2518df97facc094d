// See watched_link.h.
#include "tests/support/watched_link.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace knp::test {
namespace {

std::string Text(const Count& c) { return fmt::format("{} packets {} bytes", c.packets, c.bytes); }

std::string Text(const Ledger& ledger) {
  std::string text = fmt::format("seen {}, in_flows {}, in_flight {}", Text(ledger.seen), Text(ledger.in_flows),
                                 Text(ledger.in_flight));
  for (const auto& [reason, count] : ledger.remainder) text += fmt::format(", {} {}", reason, Text(count));
  for (const auto& [where, count] : ledger.lost) text += fmt::format(", lost.{} {}", where, Text(count));
  return text;
}

}  // namespace

void ExpectExact(const PacketStats& stats, const FlowBook& book, const std::string& what) {
  EXPECT_EQ(book.Violations(), "") << what;
  EXPECT_TRUE(stats.total.Balanced()) << what << ": " << Text(stats.total);
  EXPECT_EQ(stats.total.in_flows.packets, book.Total().packets) << what << ": " << Text(stats.total);
  EXPECT_EQ(stats.total.in_flows.bytes, book.Total().bytes) << what << ": " << Text(stats.total);
  // An interface that was attached several times has as many rows, and one name.
  std::map<std::string, Count> in_flows;
  for (const InterfaceStats& one : stats.interfaces) {
    EXPECT_TRUE(one.ledger.Balanced()) << what << ", " << one.name << ": " << Text(one.ledger);
    std::uint64_t sized = 0;
    for (const PacketSizeBucket& bucket : one.sizes) sized += bucket.rx_packets + bucket.tx_packets;
    EXPECT_EQ(sized, one.ledger.seen.packets) << what << ", " << one.name << ": the size histogram";
    Count protocols;
    for (const auto& [protocol, count] : one.protocols) protocols += count;
    EXPECT_TRUE(protocols == one.ledger.in_flows)
        << what << ", " << one.name << ": protocols sum up to " << Text(protocols);
    in_flows[one.name] += one.ledger.in_flows;
  }
  for (const auto& [name, count] : book.Sums())
    EXPECT_TRUE(in_flows[name] == count) << what << ", " << name << ": ledger " << Text(in_flows[name]) << ", book "
                                         << Text(count);
}

InterfaceStats StatsOf(const PacketStats& stats, const std::string& interface) {
  for (const InterfaceStats& one : stats.interfaces)
    if (one.name == interface) return one;
  ADD_FAILURE() << "no statistics of " << interface;
  return {};
}

absl::StatusOr<std::unique_ptr<WatchedLink>> WatchedLink::Start(const NetnsRig& rig, Side side,
                                                                const MonitorOptions& options, bool by_conversation) {
  std::unique_ptr<WatchedLink> link(new WatchedLink(rig, side, by_conversation));
  auto monitor = rig.RunIn(side, [&] { return NetworkMonitor::Create(options); });
  if (!monitor.ok()) return monitor.status();
  link->monitor_ = *std::move(monitor);
  link->monitor_->SetFlowHandler(link->book_.Handler());
  link->before_ = link->ReadLink();
  if (absl::Status status = link->monitor_->AttachToInterface(rig.interface(side)); !status.ok()) return status;
  if (absl::Status status = link->monitor_->StartEventProcessing(); !status.ok()) return status;
  return link;
}

datapath::LinkInfo WatchedLink::ReadLink() const {
  const auto link = rig_.RunIn(side_, [this] { return datapath::GetLink(rig_.interface(side_)); });
  EXPECT_TRUE(link.ok()) << link.status();
  return link.ok() ? *link : datapath::LinkInfo();
}

PacketStats WatchedLink::Finish() {
  const absl::Status silent = rig_.WaitUntilSilent();
  EXPECT_TRUE(silent.ok()) << silent;
  const absl::Status finished = monitor_->Finish();
  EXPECT_TRUE(finished.ok()) << finished;
  after_ = ReadLink();
  auto stats = monitor_->GetPacketStats();
  EXPECT_TRUE(stats.ok()) << stats.status();
  if (!stats.ok()) return {};
  ExpectExact(*stats, book_, rig_.interface(side_));
  EXPECT_EQ(book_.open(), 0u) << "flows without a final record";
  return *stats;
}

datapath::LinkInfo WatchedLink::Moved() const {
  datapath::LinkInfo moved = after_;
  moved.rx_packets -= before_.rx_packets;
  moved.rx_bytes -= before_.rx_bytes;
  moved.tx_packets -= before_.tx_packets;
  moved.tx_bytes -= before_.tx_bytes;
  moved.tx_dropped -= before_.tx_dropped;
  return moved;
}

void WatchedLink::ExpectLinkCounters(const PacketStats& stats, bool packets) const {
  const InterfaceStats ours = StatsOf(stats, rig_.interface(side_));
  const datapath::LinkInfo moved = Moved();
  ASSERT_EQ(moved.tx_dropped, 0u) << "the other end's queue was full: the device did not count what the hook saw";
  EXPECT_EQ(ours.rx.skbs, moved.rx_packets);
  EXPECT_EQ(ours.rx.skb_bytes, moved.rx_bytes);
  EXPECT_EQ(ours.tx.skbs, moved.tx_packets);
  EXPECT_EQ(ours.tx.skb_bytes, moved.tx_bytes);
  if (!packets) return;
  EXPECT_EQ(ours.rx.packets, moved.rx_packets);
  EXPECT_EQ(ours.rx.bytes, moved.rx_bytes);
  EXPECT_EQ(ours.tx.packets, moved.tx_packets);
  EXPECT_EQ(ours.tx.bytes, moved.tx_bytes);
}

}  // namespace knp::test
