// See link_counters.h.
#include "src/host/interfaces/link_counters.h"

#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

namespace knp::host {
namespace {

using datapath::Attribute;
using datapath::AttributesAfter;
using datapath::Bytes;
using datapath::NetlinkRequest;
using datapath::NextAttribute;
using datapath::ReadAs;

constexpr std::size_t kCarrierChanges = kTroubleCounters - 1;

// In the order of kTroubles.
void ReadStatistics(const rtnl_link_stats64& stats, LinkCounters* link) {
  link->counters = {stats.rx_errors,         stats.rx_dropped,        stats.rx_missed_errors,
                    stats.rx_fifo_errors,    stats.rx_crc_errors,     stats.rx_frame_errors,
                    stats.rx_over_errors,    stats.rx_nohandler,      stats.tx_errors,
                    stats.tx_dropped,        stats.tx_carrier_errors, stats.tx_fifo_errors,
                    stats.tx_aborted_errors, stats.collisions,        link->counters[kCarrierChanges]};
}

void ReadLink(Bytes body, std::map<std::uint32_t, LinkCounters>* links) {
  LinkCounters& link = (*links)[static_cast<std::uint32_t>(ReadAs<ifinfomsg>(body).ifi_index)];
  Bytes rest = AttributesAfter<ifinfomsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == IFLA_STATS64) ReadStatistics(attribute.As<rtnl_link_stats64>(), &link);
    if (attribute.type == IFLA_CARRIER_CHANGES) link.counters[kCarrierChanges] = attribute.As<std::uint32_t>();
  }
}

// Root ones only: what their children drop is in their count. clsact's is another's: our own programs stand there.
void ReadQdisc(Bytes body, std::map<std::uint32_t, LinkCounters>* links) {
  const auto header = ReadAs<tcmsg>(body);
  const auto link = links->find(static_cast<std::uint32_t>(header.tcm_ifindex));
  if (header.tcm_parent != TC_H_ROOT || link == links->end()) return;
  QdiscCounter qdisc;
  bool known = false;
  Bytes rest = AttributesAfter<tcmsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == TCA_KIND) qdisc.kind = attribute.String();
    if (attribute.type != TCA_STATS2) continue;
    Bytes nested = attribute.payload;
    for (Attribute inner; NextAttribute(&nested, &inner);) {
      if (inner.type != TCA_STATS_QUEUE) continue;
      qdisc.drops = inner.As<gnet_stats_queue>().drops;
      known = true;
    }
  }
  if (known) link->second.qdiscs[header.tcm_handle] = std::move(qdisc);
}

}  // namespace

// What they mean: the kernel's Documentation/networking/statistics.rst and include/uapi/linux/if_link.h.
const std::array<TroubleCounter, kTroubleCounters> kTroubles = {{
    {"rx_errors", "received packets that were bad, in all"},
    {"rx_dropped", "received packets that the host did not take, for want of room or of a use"},
    {"rx_missed_errors", "packets for which the device had no room: the host was too slow"},
    {"rx_fifo_errors", "packets for which the device's queue had no room"},
    {"rx_crc_errors", "frames with a wrong checksum: a bad cable, port or transceiver"},
    {"rx_frame_errors", "frames that are misaligned: a bad cable, port or transceiver"},
    {"rx_over_errors", "frames too long for the buffers"},
    {"rx_nohandler", "packets that nobody takes on an inactive device, as of a bond"},
    {"tx_errors", "packets that could not be sent, in all"},
    {"tx_dropped", "packets to send that the device or its driver dropped"},
    {"tx_carrier_errors", "packets lost while the link was not there"},
    {"tx_fifo_errors", "packets that the device was not given in time"},
    {"tx_aborted_errors", "packets whose sending was given up"},
    {"collisions", "collisions: half duplex, or the ends disagree on it"},
    {"carrier_changes", "how often the link came or went"},
}};

absl::StatusOr<std::map<std::uint32_t, LinkCounters>> ReadLinkCounters(datapath::NetlinkSocket& socket) {
  std::map<std::uint32_t, LinkCounters> links;
  NetlinkRequest link_request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  absl::Status status = socket.Dump(
      link_request, "cannot list the interfaces", [&links] { links.clear(); },
      [&links](std::uint16_t type, Bytes body) {
        if (type == RTM_NEWLINK && body.size() >= sizeof(ifinfomsg)) ReadLink(body, &links);
      });
  if (!status.ok()) return status;
  NetlinkRequest qdisc_request(RTM_GETQDISC, NLM_F_DUMP, tcmsg{});
  status = socket.Dump(
      qdisc_request, "cannot list the qdiscs",
      [&links] {
        for (auto& [ifindex, link] : links) link.qdiscs.clear();
      },
      [&links](std::uint16_t type, Bytes body) {
        if (type == RTM_NEWQDISC && body.size() >= sizeof(tcmsg)) ReadQdisc(body, &links);
      });
  if (!status.ok()) return status;
  return links;
}

}  // namespace knp::host
