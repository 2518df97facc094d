// Filter terms on who talks: addresses, ports, pods, services, names, labels, identities, workloads, clusters. See flow_filter.h.
#include <absl/strings/numbers.h>
#include <knp/prefix.h>

#include <optional>
#include <utility>

#include "src/export/hubble/filter_terms.h"
#include "src/export/hubble/label_selector.h"
#include "src/export/hubble/name_pattern.h"

namespace knp::hubble {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

// The two ends of a flow, so that each term is written once.
struct Side {
  const char* name;
  const ::flow::Endpoint& (*endpoint)(const ::flow::Flow&);
  const ::flow::Service& (*service)(const ::flow::Flow&);
  const Texts& (*names)(const ::flow::Flow&);
  std::string (*ip)(const ::flow::Flow&);
  std::optional<std::uint32_t> (*port)(const ::flow::Flow&);
};

template <class Get>
std::optional<std::uint32_t> PortOf(const ::flow::Flow& flow, Get get) {
  const ::flow::Layer4& layer4 = flow.l4();
  if (layer4.has_tcp()) return get(layer4.tcp());
  if (layer4.has_udp()) return get(layer4.udp());
  if (layer4.has_sctp()) return get(layer4.sctp());
  return std::nullopt;
}

constexpr Side kSource = {
    "source",
    [](const ::flow::Flow& f) -> const ::flow::Endpoint& { return f.source(); },
    [](const ::flow::Flow& f) -> const ::flow::Service& { return f.source_service(); },
    [](const ::flow::Flow& f) -> const Texts& { return f.source_names(); },
    [](const ::flow::Flow& f) { return f.ip().source(); },
    [](const ::flow::Flow& f) { return PortOf(f, [](const auto& ports) { return ports.source_port(); }); },
};
constexpr Side kDestination = {
    "destination",
    [](const ::flow::Flow& f) -> const ::flow::Endpoint& { return f.destination(); },
    [](const ::flow::Flow& f) -> const ::flow::Service& { return f.destination_service(); },
    [](const ::flow::Flow& f) -> const Texts& { return f.destination_names(); },
    [](const ::flow::Flow& f) { return f.ip().destination(); },
    [](const ::flow::Flow& f) { return PortOf(f, [](const auto& ports) { return ports.destination_port(); }); },
};

absl::Status AddIp(const std::string& field, const Texts& values, std::string (*get)(const ::flow::Flow&),
                   FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  std::vector<Prefix> prefixes;
  for (const std::string& value : values) {
    const auto prefix = Prefix::Parse(value);
    if (!prefix.ok()) return BadValue(field, prefix.status());
    prefixes.push_back(*prefix);
  }
  terms->push_back([prefixes = std::move(prefixes), get](const ::flow::Flow& flow) {
    const auto ip = ParseIpAddress(get(flow));
    return ip &&
           std::any_of(prefixes.begin(), prefixes.end(), [&](const Prefix& prefix) { return prefix.Contains(*ip); });
  });
  return absl::OkStatus();
}

absl::Status AddPort(const std::string& field, const Texts& values, const Side& side, FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  std::vector<std::uint32_t> ports;
  for (const std::string& value : values) {
    std::uint32_t port = 0;
    if (!absl::SimpleAtoi(value, &port) || port > 65535) return BadValue(field, fmt::format("'{}' is no port", value));
    ports.push_back(port);
  }
  terms->push_back([ports = std::move(ports), get = side.port](const ::flow::Flow& flow) {
    const auto port = get(flow);
    return port && Contains(ports, *port);
  });
  return absl::OkStatus();
}

// "shop/web": in that namespace, names that begin so; "shop/": all of it; "/web": in any; "web": in "default".
struct NamePrefix {
  std::string name_space, prefix;
};

absl::StatusOr<std::vector<NamePrefix>> ParseNames(const std::string& field, const Texts& values) {
  std::vector<NamePrefix> names;
  for (const std::string& value : values) {
    if (value.empty()) return BadValue(field, "a name is empty");
    const std::size_t slash = value.find('/');
    if (slash == std::string::npos) {
      names.push_back({"default", value});
    } else {
      names.push_back({value.substr(0, slash), value.substr(slash + 1)});
    }
  }
  return names;
}

template <class Get>
absl::Status AddNames(const std::string& field, const Texts& values, Get get, FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  auto names = ParseNames(field, values);
  if (!names.ok()) return names.status();
  terms->push_back([names = *std::move(names), get](const ::flow::Flow& flow) {
    const auto& [name_space, name] = get(flow);
    if (name_space.empty() && name.empty()) return false;
    return std::any_of(names.begin(), names.end(), [&, &in = name_space, &of = name](const NamePrefix& wanted) {
      return (wanted.name_space.empty() || wanted.name_space == in) && std::string_view(of).starts_with(wanted.prefix);
    });
  });
  return absl::OkStatus();
}

absl::Status AddFqdn(const std::string& field, const Texts& values, const Side& side, FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  auto pattern = CompileHostPatterns(values);
  if (!pattern.ok()) return BadValue(field, pattern.status());
  terms->push_back([pattern = *std::move(pattern), get = side.names](const ::flow::Flow& flow) {
    const Texts& names = get(flow);
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return RE2::FullMatch(name, *pattern); });
  });
  return absl::OkStatus();
}

void AddWorkloads(const google::protobuf::RepeatedPtrField<::flow::Workload>& values, const Side& side,
                  FilterTerms* terms) {
  if (values.empty()) return;
  terms->push_back([values, get = side.endpoint](const ::flow::Flow& flow) {
    for (const ::flow::Workload& has : get(flow).workloads())
      for (const ::flow::Workload& wanted : values)
        if ((wanted.name().empty() || wanted.name() == has.name()) &&
            (wanted.kind().empty() || wanted.kind() == has.kind()))
          return true;
    return false;
  });
}

template <class Labels>
absl::Status AddLabels(const std::string& field, const Texts& values, Labels labels, FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  std::vector<LabelSelector> selectors;
  for (const std::string& value : values) {
    auto selector = LabelSelector::Parse(value);
    if (!selector.ok()) return BadValue(field, selector.status());
    selectors.push_back(*std::move(selector));
  }
  terms->push_back([selectors = std::move(selectors), labels](const ::flow::Flow& flow) {
    return std::any_of(selectors.begin(), selectors.end(),
                       [&](const LabelSelector& s) { return s.Matches(labels(flow)); });
  });
  return absl::OkStatus();
}

// What a filter asks of one side.
struct SideValues {
  const Texts &ip, &pod, &fqdn, &label, &port, &service, &cluster;
  const google::protobuf::RepeatedField<std::uint32_t>& identity;
  const google::protobuf::RepeatedPtrField<::flow::Workload>& workload;
};

absl::Status AddSide(const Side& side, const SideValues& values, FilterTerms* terms) {
  const auto field = [&](const char* name) { return fmt::format("{}_{}", side.name, name); };
  absl::Status status = AddIp(field("ip"), values.ip, side.ip, terms);
  status.Update(AddPort(field("port"), values.port, side, terms));
  status.Update(AddNames(
      field("pod"), values.pod,
      [get = side.endpoint](const ::flow::Flow& f) { return std::pair(get(f).namespace_(), get(f).pod_name()); },
      terms));
  status.Update(AddNames(
      field("service"), values.service,
      [get = side.service](const ::flow::Flow& f) { return std::pair(get(f).namespace_(), get(f).name()); }, terms));
  status.Update(AddFqdn(field("fqdn"), values.fqdn, side, terms));
  status.Update(AddLabels(
      field("label"), values.label,
      [get = side.endpoint](const ::flow::Flow& f) -> const Texts& { return get(f).labels(); }, terms));
  AddWorkloads(values.workload, side, terms);
  if (!values.identity.empty())
    terms->push_back([wanted = values.identity, get = side.endpoint](const ::flow::Flow& f) {
      return Contains(wanted, get(f).identity());
    });
  if (Contains(values.cluster, std::string())) return BadValue(field("cluster_name"), "a name is empty");
  if (!values.cluster.empty())
    terms->push_back([wanted = values.cluster, get = side.endpoint](const ::flow::Flow& f) {
      return Contains(wanted, get(f).cluster_name());
    });
  return status;
}

}  // namespace

absl::Status AddEndpointTerms(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  absl::Status status = AddSide(
      kSource,
      {filter.source_ip(), filter.source_pod(), filter.source_fqdn(), filter.source_label(), filter.source_port(),
       filter.source_service(), filter.source_cluster_name(), filter.source_identity(), filter.source_workload()},
      terms);
  status.Update(
      AddSide(kDestination,
              {filter.destination_ip(), filter.destination_pod(), filter.destination_fqdn(), filter.destination_label(),
               filter.destination_port(), filter.destination_service(), filter.destination_cluster_name(),
               filter.destination_identity(), filter.destination_workload()},
              terms));
  status.Update(AddIp(
      "source_ip_xlated", filter.source_ip_xlated(), [](const ::flow::Flow& f) { return f.ip().source_xlated(); },
      terms));
  status.Update(AddLabels(
      "node_labels", filter.node_labels(), [](const ::flow::Flow& f) -> const Texts& { return f.node_labels(); },
      terms));
  return status;
}

}  // namespace knp::hubble
