// See stats_metrics.h.
#include "src/export/prometheus/stats_metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace knp::prometheus_text {
namespace {

struct Side {
  const char* direction;
  TrafficCount InterfaceStats::*count;
  std::map<std::string, Count> InterfaceStats::*protocols;
};
constexpr Side kSides[] = {{"ingress", &InterfaceStats::rx, &InterfaceStats::rx_protocols},
                           {"egress", &InterfaceStats::tx, &InterfaceStats::tx_protocols}};

double AsDouble(std::uint64_t value) { return static_cast<double>(value); }

// Live ones by traffic, as many as may have series.
std::vector<const InterfaceStats*> Shown(const PacketStats& stats, std::size_t most) {
  std::vector<const InterfaceStats*> shown;
  for (const InterfaceStats& interface : stats.interfaces)
    if (interface.attached && !interface.gone) shown.push_back(&interface);
  if (shown.size() <= most) return shown;
  std::nth_element(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(most), shown.end(),
                   [](const InterfaceStats* a, const InterfaceStats* b) {
                     return a->rx.packets + a->tx.packets > b->rx.packets + b->tx.packets;
                   });
  shown.resize(most);
  return shown;
}

void AppendInterfaces(const PacketStats& stats, const std::vector<const InterfaceStats*>& shown, Families* families) {
  auto packets = CounterFamily("interface_packets_total",
                               "Packets on the wire (segments of merged packets) that passed our hooks.");
  auto bytes = CounterFamily("interface_bytes_total",
                             "Bytes of these packets: Ethernet without FCS, else from the IP header on.");
  auto skbs =
      CounterFamily("interface_skbs_total", "What passed our hooks as the kernel had it: merged packets count once.");
  const auto add = [&](const std::string& name, const Side& side, const TrafficCount& count) {
    const Labels labels = {{"interface", name}, {"direction", side.direction}};
    AddSample(&packets, labels, AsDouble(count.packets));
    AddSample(&bytes, labels, AsDouble(count.bytes));
    AddSample(&skbs, labels, AsDouble(count.skbs));
  };
  for (const Side& side : kSides) {
    TrafficCount other;
    bool any = false;
    for (const InterfaceStats& interface : stats.interfaces) {
      const TrafficCount& count = interface.*side.count;
      if (std::find(shown.begin(), shown.end(), &interface) != shown.end()) {
        add(interface.name, side, count);
        continue;
      }
      any = true;
      other += count;  // of Count: packets and bytes
      other.skbs += count.skbs;
    }
    if (any) add("other", side, other);
  }
  for (auto* family : {&packets, &bytes, &skbs}) families->push_back(std::move(*family));
}

void Subtract(const Ledger& part, Ledger* from) {
  from->seen = from->seen - part.seen;
  from->in_flows = from->in_flows - part.in_flows;
  from->in_flight = from->in_flight - part.in_flight;
  for (const auto& [reason, count] : part.remainder) from->remainder[reason] = from->remainder[reason] - count;
  for (const auto& [where, count] : part.lost) from->lost[where] = from->lost[where] - count;
}

void AppendProtocols(const PacketStats& stats, Families* families) {
  auto packets = CounterFamily("protocol_packets_total", "Packets in flows, by IP protocol.");
  auto bytes = CounterFamily("protocol_bytes_total", "Bytes in flows, by IP protocol.");
  for (const Side& side : kSides) {
    std::map<std::string, Count> sums;
    for (const InterfaceStats& interface : stats.interfaces)
      for (const auto& [protocol, count] : interface.*side.protocols) sums[protocol] += count;
    for (const auto& [protocol, count] : sums) {
      const Labels labels = {{"protocol", protocol}, {"direction", side.direction}};
      AddSample(&packets, labels, AsDouble(count.packets));
      AddSample(&bytes, labels, AsDouble(count.bytes));
    }
  }
  families->push_back(std::move(packets));
  families->push_back(std::move(bytes));
}

struct LedgerRow {
  std::string interface;
  Ledger ledger;
};

// Gauges, for CONTRACT.md's names of them have no _total; all but in_flight only grow.
void AppendLedger(const PacketStats& stats, const std::vector<const InterfaceStats*>& shown, Families* families) {
  std::vector<LedgerRow> rows;
  Ledger other = stats.total;  // what is of no interface, too
  for (const InterfaceStats* interface : shown) {
    rows.push_back({interface->name, interface->ledger});
    Subtract(interface->ledger, &other);
  }
  if (other.seen.packets != 0) rows.push_back({"other", std::move(other)});
  const auto append = [families](const std::string& name, const std::string& help, const auto& add) {
    auto packets = GaugeFamily((name + "_packets").c_str(), ("Packets " + help).c_str());
    auto bytes = GaugeFamily((name + "_bytes").c_str(), ("Bytes of packets " + help).c_str());
    add([&packets, &bytes](const Labels& labels, const Count& count) {
      AddSample(&packets, labels, AsDouble(count.packets));
      AddSample(&bytes, labels, AsDouble(count.bytes));
    });
    families->push_back(std::move(packets));
    families->push_back(std::move(bytes));
  };
  const auto one = [&](const char* name, const char* help, Count Ledger::*part) {
    append(name, help, [&](const auto& sample) {
      for (const LedgerRow& row : rows) sample({{"interface", row.interface}}, row.ledger.*part);
    });
  };
  const auto several = [&](const char* name, const char* help, const char* label,
                           std::map<std::string, Count> Ledger::*part) {
    append(name, help, [&](const auto& sample) {
      for (const LedgerRow& row : rows)
        for (const auto& [key, count] : row.ledger.*part) sample({{"interface", row.interface}, {label, key}}, count);
    });
  };
  one("ledger_seen", "that passed our hooks.", &Ledger::seen);
  one("ledger_in_flows", "that flow records have told of.", &Ledger::in_flows);
  one("ledger_in_flight", "seen, and not read and reported yet.", &Ledger::in_flight);
  several("ledger_remainder", "seen that are in no flow, by reason.", "reason", &Ledger::remainder);
  several("ledger_lost", "seen whose counts were lost, by place.", "where", &Ledger::lost);
}

void AppendHooks(const std::vector<const InterfaceStats*>& shown, Families* families) {
  auto shadowed =
      GaugeFamily("hook_shadowed", "1: another program ended the chain before ours within the last minute.");
  auto repairs = CounterFamily("hook_repairs_total", "How often a hook of ours was removed by somebody and put back.");
  auto unseen = GaugeFamily("unseen_packets", "What the interface counted since we attached and no hook saw.");
  for (const InterfaceStats* interface : shown) {
    AddSample(&shadowed, {{"interface", interface->name}}, interface->hook_shadowed ? 1 : 0);
    AddSample(&repairs, {{"interface", interface->name}}, AsDouble(interface->hook_repairs));
    if (interface->unseen.rx_known)
      AddSample(&unseen, {{"interface", interface->name}, {"direction", "ingress"}},
                AsDouble(interface->unseen.rx_packets));
    if (interface->unseen.tx_known)
      AddSample(&unseen, {{"interface", interface->name}, {"direction", "egress"}},
                AsDouble(interface->unseen.tx_packets));
  }
  for (auto* family : {&shadowed, &repairs, &unseen}) families->push_back(std::move(*family));
}

void AppendDegraded(const PacketStats& stats, Families* families) {
  auto degraded = GaugeFamily("kernel_degraded",
                              "1: this kernel lacks the feature, and we do without; knp doctor tells what that costs.");
  for (const std::string& text : stats.degraded) AddSample(&degraded, {{"feature", text.substr(0, text.find(':'))}}, 1);
  families->push_back(std::move(degraded));
}

}  // namespace

void AppendStatsFamilies(const PacketStats& stats, std::size_t most_interfaces, Families* families) {
  const std::vector<const InterfaceStats*> shown = Shown(stats, most_interfaces);
  AppendInterfaces(stats, shown, families);
  AppendProtocols(stats, families);
  AppendLedger(stats, shown, families);
  AppendHooks(shown, families);
  AppendDegraded(stats, families);
}

}  // namespace knp::prometheus_text
