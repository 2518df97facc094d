// Filter terms on what passed, and how: protocol, flags, verdict, event, direction, IP version. See flow_filter.h.
#include <absl/strings/ascii.h>

#include <utility>

#include "src/export/hubble/filter_terms.h"

namespace knp::hubble {
namespace {

bool HasProtocol(const ::flow::Flow& flow, const std::string& name) {
  const ::flow::Layer4& layer4 = flow.l4();
  if (name == "tcp") return layer4.has_tcp();
  if (name == "udp") return layer4.has_udp();
  if (name == "sctp") return layer4.has_sctp();
  if (name == "icmp") return layer4.has_icmpv4() || layer4.has_icmpv6();
  if (name == "icmpv4") return layer4.has_icmpv4();
  if (name == "icmpv6") return layer4.has_icmpv6();
  if (name == "vrrp") return layer4.has_vrrp();
  if (name == "igmp") return layer4.has_igmp();
  if (name == "dns") return flow.l7().has_dns();
  if (name == "http") return flow.l7().has_http();
  return false;  // "kafka"
}

absl::Status AddProtocols(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.protocol().empty()) return absl::OkStatus();
  static constexpr const char* kNames[] = {"tcp",  "udp",  "sctp", "icmp", "icmpv4", "icmpv6",
                                           "vrrp", "igmp", "dns",  "http", "kafka"};
  std::vector<std::string> wanted;
  for (const std::string& value : filter.protocol()) {
    wanted.push_back(absl::AsciiStrToLower(value));
    if (std::find(std::begin(kNames), std::end(kNames), wanted.back()) == std::end(kNames))
      return BadValue("protocol", fmt::format("'{}' is no protocol that is known here", value));
  }
  terms->push_back([wanted = std::move(wanted)](const ::flow::Flow& flow) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name) { return HasProtocol(flow, name); });
  });
  return absl::OkStatus();
}

// All that are asked for are there; others may be as well.
bool HasFlags(const ::flow::TCPFlags& has, const ::flow::TCPFlags& wanted) {
  return (!wanted.fin() || has.fin()) && (!wanted.syn() || has.syn()) && (!wanted.rst() || has.rst()) &&
         (!wanted.psh() || has.psh()) && (!wanted.ack() || has.ack()) && (!wanted.urg() || has.urg()) &&
         (!wanted.ece() || has.ece()) && (!wanted.cwr() || has.cwr()) && (!wanted.ns() || has.ns());
}

void AddFlags(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.tcp_flags().empty()) return;
  terms->push_back([wanted = filter.tcp_flags()](const ::flow::Flow& flow) {
    return flow.l4().has_tcp() && std::any_of(wanted.begin(), wanted.end(), [&](const ::flow::TCPFlags& flags) {
             return HasFlags(flow.l4().tcp().flags(), flags);
           });
  });
}

void AddEventTypes(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.event_type().empty()) return;
  terms->push_back([wanted = filter.event_type()](const ::flow::Flow& flow) {
    return flow.has_event_type() && std::any_of(wanted.begin(), wanted.end(), [&](const ::flow::EventTypeFilter& type) {
             return (type.type() == 0 || type.type() == flow.event_type().type()) &&
                    (!type.match_sub_type() || type.sub_type() == flow.event_type().sub_type());
           });
  });
}

void AddVerdicts(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (!filter.verdict().empty())
    terms->push_back(
        [wanted = filter.verdict()](const ::flow::Flow& flow) { return Contains(wanted, flow.verdict()); });
  if (!filter.drop_reason_desc().empty())
    terms->push_back([wanted = filter.drop_reason_desc()](const ::flow::Flow& flow) {
      return flow.verdict() == ::flow::DROPPED && Contains(wanted, flow.drop_reason_desc());
    });
}

}  // namespace

absl::Status AddLayerTerms(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (auto status = AddProtocols(filter, terms); !status.ok()) return status;
  AddFlags(filter, terms);
  AddEventTypes(filter, terms);
  AddVerdicts(filter, terms);
  if (!filter.traffic_direction().empty())
    terms->push_back([wanted = filter.traffic_direction()](const ::flow::Flow& flow) {
      return Contains(wanted, flow.traffic_direction());
    });
  if (!filter.reply().empty())
    terms->push_back([wanted = filter.reply()](const ::flow::Flow& flow) {
      return flow.has_is_reply() && Contains(wanted, flow.is_reply().value());
    });
  if (!filter.ip_version().empty())
    terms->push_back(
        [wanted = filter.ip_version()](const ::flow::Flow& flow) { return Contains(wanted, flow.ip().ipversion()); });
  if (!filter.encrypted().empty())
    terms->push_back(
        [wanted = filter.encrypted()](const ::flow::Flow& flow) { return Contains(wanted, flow.ip().encrypted()); });
  return absl::OkStatus();
}

}  // namespace knp::hubble
