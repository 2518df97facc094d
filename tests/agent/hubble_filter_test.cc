// Hubble's filters, label selectors and field masks, one after the other.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>

#include "src/export/hubble/field_mask.h"
#include "src/export/hubble/flow_filter.h"
#include "src/export/hubble/flow_mapper.h"
#include "src/export/hubble/label_selector.h"
#include "tests/agent/hubble_records.h"

namespace knp::hubble {
namespace {

::flow::Flow Mapped(const FlowRecord& record, FlowEvent event = FlowEvent::kOpened) {
  MapperOptions options;
  options.node_name = "node-a";
  options.node_labels = {"zone=west"};
  return FlowMapper(options).Map(record, event, 1);
}

google::protobuf::RepeatedPtrField<::flow::FlowFilter> Filters(const std::string& text) {
  google::protobuf::RepeatedPtrField<::flow::FlowFilter> filters;
  if (text.empty()) return filters;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, filters.Add())) << text;
  return filters;
}

bool Matches(const std::string& filter, const ::flow::Flow& flow) {
  const auto set = FlowFilterSet::Create(Filters(filter), {});
  EXPECT_TRUE(set.ok()) << filter << ": " << set.status();
  return set.ok() && set->Matches(flow);
}

std::string Refusal(const std::string& filter) {
  const auto set = FlowFilterSet::Create(Filters(filter), {});
  EXPECT_FALSE(set.ok()) << filter;
  return set.ok() ? "" : std::string(set.status().message());
}

struct Case {
  const char* holds;
  const char* does_not;
};

TEST(HubbleFilter, EachFieldOfAnEndpoint_DecidesByItself) {
  FlowRecord record = WebToDb(1);
  record.source.dns_name = "web.shop.svc";
  record.destination.dns_name = "db.shop.svc";
  record.destination.service = "db-svc";
  const ::flow::Flow flow = Mapped(record);
  const std::string web = std::to_string(flow.source().identity()), db = std::to_string(flow.destination().identity());
  const Case cases[] = {
      {"source_ip: '10.1.0.5'", "source_ip: '10.1.0.50'"},
      {"source_ip: '10.1.0.0/24'", "source_ip: '10.2.0.0/16'"},
      {"source_ip: ['192.0.2.1', '10.0.0.0/8']", "source_ip: 'fd00::/8'"},
      {"destination_ip: '10.1.1.9'", "destination_ip: '10.1.0.5'"},
      {"source_pod: 'shop/'", "source_pod: 'sho/'"},
      {"source_pod: 'shop/web-'", "source_pod: 'shop/db'"},
      {"source_pod: '/web'", "source_pod: 'web'"},  // without a slash: in "default"
      {"destination_pod: 'shop/db-0'", "destination_pod: 'shop/db-1'"},
      {"destination_service: 'shop/db'", "destination_service: 'other/db'"},
      {"source_fqdn: 'web.shop.svc'", "source_fqdn: 'shop.svc'"},
      {"source_fqdn: '*.SHOP.svc.'", "source_fqdn: '*.other.svc'"},
      {"destination_fqdn: ['nobody', 'db*']", "destination_fqdn: 'web*'"},
      {"source_label: 'app=web'", "source_label: 'app=db'"},
      {"source_label: 'k8s:app=web'", "source_label: 'reserved:app=web'"},
      {"destination_label: 'app in (web, db)'", "destination_label: 'app notin (web, db)'"},
      {"source_port: '40000'", "source_port: '40001'"},
      {"destination_port: ['80', '5432']", "destination_port: '543'"},
      {"source_workload: {name: 'web'}", "source_workload: {name: 'we'}"},
      {"source_workload: {kind: 'Deployment'}", "source_workload: {kind: 'DaemonSet'}"},
      {"destination_workload: {name: 'db' kind: 'Deployment'}", "destination_workload: {name: 'db' kind: 'Pod'}"},
      {"source_cluster_name: 'default'", "source_cluster_name: 'east'"},
      {"destination_cluster_name: 'default'", "destination_cluster_name: 'east'"},
      {"node_labels: 'zone=west'", "node_labels: 'zone=east'"},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(Matches(c.holds, flow)) << c.holds;
    EXPECT_FALSE(Matches(c.does_not, flow)) << c.does_not;
  }
  EXPECT_TRUE(Matches("source_identity: " + web, flow));
  EXPECT_FALSE(Matches("source_identity: " + db, flow));
  EXPECT_TRUE(Matches("destination_identity: [2, " + db + "]", flow));
  EXPECT_FALSE(Matches("source_ip_xlated: '10.0.0.0/8'", flow));
  EXPECT_FALSE(Matches("source_service: 'shop/'", flow));
}

TEST(HubbleFilter, EachFieldOfWhatPassed_DecidesByItself) {
  const ::flow::Flow flow = Mapped(WebToDb(1));
  const Case cases[] = {
      {"verdict: FORWARDED", "verdict: DROPPED"},
      {"event_type: {type: 4}", "event_type: {type: 129}"},
      {"event_type: {type: 4 match_sub_type: true sub_type: 11}",
       "event_type: {type: 4 match_sub_type: true sub_type: 0}"},
      {"protocol: 'TCP'", "protocol: 'udp'"},
      {"protocol: ['dns', 'tcp']", "protocol: ['dns', 'http', 'kafka', 'icmp', 'sctp']"},
      {"tcp_flags: {SYN: true}", "tcp_flags: {SYN: true ACK: true}"},
      {"tcp_flags: [{RST: true}, {SYN: true}]", "tcp_flags: {FIN: true}"},
      {"reply: false", "reply: true"},
      {"traffic_direction: EGRESS", "traffic_direction: INGRESS"},
      {"ip_version: IPv4", "ip_version: IPv6"},
      {"encrypted: false", "encrypted: true"},
      {"node_name: 'node-a'", "node_name: 'node-b'"},
      {"node_name: 'default/node-*'", "node_name: 'east/node-a'"},
      {"node_name: 'default/'", "node_name: 'east/'"},
      {"node_name: '*'", "node_name: '*.example'"},
      {"interface: {name: 'eth0'}", "interface: {name: 'eth1'}"},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(Matches(c.holds, flow)) << c.holds;
    EXPECT_FALSE(Matches(c.does_not, flow)) << c.does_not;
  }
  EXPECT_TRUE(Matches("uuid: '" + flow.uuid() + "'", flow));
  EXPECT_FALSE(Matches("uuid: 'x'", flow));
  EXPECT_FALSE(Matches("drop_reason_desc: DROP_REASON_UNKNOWN", flow));
  for (const char* never : {"trace_id: 'a'", "ip_trace_id: 0"}) EXPECT_FALSE(Matches(never, flow)) << never;
  FlowRecord dropped = WebToDb(2);
  dropped.drops = {{"NETFILTER_DROP", "", {1, 60}}};
  EXPECT_TRUE(Matches("drop_reason_desc: POLICY_DENIED", Mapped(dropped, FlowEvent::kDropped)));
}

TEST(HubbleFilter, EachFieldOfAnApplication_DecidesByItself) {
  const ::flow::Flow http = Mapped(HttpExchange(1, "/api%20v1/cart?id=1", 404), FlowEvent::kHttpResponse);
  const Case cases[] = {
      {"http_status_code: '404'", "http_status_code: '403'"},
      {"http_status_code: '4+'", "http_status_code: '5+'"},
      {"http_status_code: ['200', '40+']", "http_status_code: '41+'"},
      {"http_method: 'get'", "http_method: 'POST'"},
      {"http_path: '^/api v1/c.*t$'", "http_path: 'id=1'"},
      {"http_url: 'db.shop/.*id=1'", "http_url: 'https'"},
      {"http_header: {key: 'Host' value: 'db.shop'}", "http_header: {key: 'Host' value: 'x'}"},
      {"protocol: 'http'", "protocol: 'dns'"},
      {"event_type: {type: 129} http_method: 'GET'", "event_type: {type: 129} http_method: 'PUT'"},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(Matches(c.holds, http)) << c.holds;
    EXPECT_FALSE(Matches(c.does_not, http)) << c.does_not;
  }
  const ::flow::Flow dns = Mapped(DnsQuestion(1, "web.shop.svc.cluster.local"), FlowEvent::kDnsAnswer);
  EXPECT_TRUE(Matches("dns_query: 'shop.*local'", dns));
  EXPECT_FALSE(Matches("dns_query: '^shop'", dns));
  EXPECT_TRUE(Matches("protocol: 'dns'", dns));
  EXPECT_FALSE(Matches("http_status_code: '4+'", dns));
  EXPECT_FALSE(Matches("dns_query: '.'", http));
}

TEST(HubbleFilter, SeveralFieldsAndFilters_CombineAsHubblesDo) {
  const ::flow::Flow flow = Mapped(WebToDb(1));
  EXPECT_TRUE(Matches("source_pod: 'shop/' destination_port: '5432'", flow));
  EXPECT_FALSE(Matches("source_pod: 'shop/' destination_port: '80'", flow));
  auto either = Filters("source_pod: 'nowhere/'");
  either.MergeFrom(Filters("destination_pod: 'shop/'"));
  EXPECT_TRUE(FlowFilterSet::Create(either, {})->Matches(flow));
  EXPECT_FALSE(FlowFilterSet::Create(either, Filters("protocol: 'tcp'"))->Matches(flow));
  EXPECT_TRUE(FlowFilterSet::Create({}, Filters("protocol: 'udp'"))->Matches(flow));
  EXPECT_TRUE(FlowFilterSet::Create({}, {})->Matches(flow));
}

TEST(HubbleFilter, BadValue_IsRefusedByName) {
  EXPECT_EQ(Refusal("source_ip: '10.1.0'").substr(0, 32), "whitelist: source_ip: '10.1.0' i");
  EXPECT_NE(Refusal("destination_ip: '10.0.0.0/33'").find("destination_ip: '10.0.0.0/33'"), std::string::npos);
  EXPECT_NE(Refusal("dns_query: '('").find("dns_query: '('"), std::string::npos);
  EXPECT_NE(Refusal("http_path: '['").find("http_path: '['"), std::string::npos);
  EXPECT_NE(Refusal("http_status_code: '4xx'").find("http_status_code: '4xx'"), std::string::npos);
  EXPECT_NE(Refusal("http_status_code: '+'").find("http_status_code: '+'"), std::string::npos);
  EXPECT_NE(Refusal("source_port: '65536'").find("source_port: '65536'"), std::string::npos);
  EXPECT_NE(Refusal("protocol: 'smtp'").find("protocol: 'smtp'"), std::string::npos);
  EXPECT_NE(Refusal("source_fqdn: 'a b'").find("source_fqdn: 'a b'"), std::string::npos);
  EXPECT_NE(Refusal("node_name: 'a/b/c'").find("node_name: 'a/b/c'"), std::string::npos);
  EXPECT_NE(Refusal("source_label: 'app in web'").find("source_label: 'app in web'"), std::string::npos);
  EXPECT_NE(Refusal("source_pod: ''").find("source_pod"), std::string::npos);
  EXPECT_NE(Refusal("source_cluster_name: ''").find("source_cluster_name"), std::string::npos);
  EXPECT_NE(Refusal("experimental: {cel_expression: 'true'}").find("cel_expression"), std::string::npos);
  EXPECT_NE(Refusal("http_method: 'GET' event_type: {type: 4}").find("129"), std::string::npos);
  EXPECT_NE(Refusal("dns_query: '(((a{1,1000}){1,1000}){1,1000})'").find("dns_query"), std::string::npos);
}

TEST(HubbleFilter, MoreValuesThanAnybodyWrites_AreRefused) {
  google::protobuf::RepeatedPtrField<::flow::FlowFilter> many;
  for (int i = 0; i < 5000; i++) many.Add()->add_source_port("80");
  EXPECT_FALSE(FlowFilterSet::Create(many, {}).ok());
  google::protobuf::RepeatedPtrField<::flow::FlowFilter> expressions;
  for (int i = 0; i < 129; i++) expressions.Add()->add_dns_query("a");
  EXPECT_FALSE(FlowFilterSet::Create({}, expressions).ok());
}

TEST(HubbleLabels, Selectors_FollowKubernetes) {
  google::protobuf::RepeatedPtrField<std::string> labels;
  for (const char* label : {"k8s:app=web", "k8s:tier=3", "reserved:host", "k8s:app.kubernetes.io/name=shop"})
    *labels.Add() = label;
  for (const char* holds : {"", "app", "app=web", "app == web", "app!=db", "other!=x", "!other", "k8s:app",
                            "any:app=web", "tier>2", "tier<4", "app in (db,web)", "app notin (db)", "app=web,tier=3",
                            "reserved:host", "app in (web), !x , app.kubernetes.io/name=shop"}) {
    const auto selector = LabelSelector::Parse(holds);
    ASSERT_TRUE(selector.ok()) << holds << selector.status();
    EXPECT_TRUE(selector->Matches(labels)) << holds;
  }
  for (const char* not_so :
       {"app=db", "!app", "other", "tier>3", "app>1", "app in (db)", "other in (x)", "k8s:host", "app=web,tier=4"}) {
    const auto selector = LabelSelector::Parse(not_so);
    ASSERT_TRUE(selector.ok()) << not_so;
    EXPECT_FALSE(selector->Matches(labels)) << not_so;
  }
  for (const char* wrong : {"app in", "app in (", "app in (a", "=x", "app web", ",", "app,", "tier>x", "(", "app=web)"})
    EXPECT_FALSE(LabelSelector::Parse(wrong).ok()) << wrong;
}

absl::StatusOr<FlowFieldMask> Mask(std::initializer_list<const char*> paths) {
  google::protobuf::FieldMask mask;
  for (const char* path : paths) mask.add_paths(path);
  return FlowFieldMask::Create(mask);
}

TEST(HubbleMask, Paths_KeepWhatTheyNameAndNothingElse) {
  const ::flow::Flow flow = Mapped(WebToDb(1));
  ::flow::Flow cut;
  const auto mask = Mask({"time", "verdict", "IP", "l4", "source.pod_name", "source.labels", "Type", "Summary",
                          "is_reply", "event_type.type"});
  ASSERT_TRUE(mask.ok()) << mask.status();
  ASSERT_TRUE(mask->active());
  mask->Copy(flow, &cut);
  EXPECT_EQ(cut.time().seconds(), flow.time().seconds());
  EXPECT_EQ(cut.ip().source(), "10.1.0.5");
  EXPECT_EQ(cut.l4().tcp().destination_port(), 5432u);
  EXPECT_EQ(cut.source().pod_name(), flow.source().pod_name());
  EXPECT_EQ(cut.source().labels_size(), 2);
  EXPECT_EQ(cut.source().identity(), 0u);
  EXPECT_EQ(cut.source().workloads_size(), 0);
  EXPECT_EQ(cut.event_type().type(), 4);
  EXPECT_EQ(cut.event_type().sub_type(), 0);
  EXPECT_TRUE(cut.has_is_reply());
  EXPECT_FALSE(cut.has_destination());
  EXPECT_FALSE(cut.has_extensions());
  EXPECT_EQ(cut.uuid(), "");
}

TEST(HubbleMask, LongerAndShorterPaths_TheShorterWins) {
  const ::flow::Flow flow = Mapped(WebToDb(1));
  ::flow::Flow cut;
  for (const auto& mask : {Mask({"source.pod_name", "source"}), Mask({"source", "source.pod_name"})}) {
    ASSERT_TRUE(mask.ok());
    mask->Copy(flow, &cut);
    EXPECT_EQ(cut.source().workloads_size(), 1);
  }
}

TEST(HubbleMask, UnknownPath_IsRefusedByName) {
  for (const char* path : {"source.nothing", "nothing", "", "source..pod_name", "verdict.x", "source_names.x",
                           "source.workloads.name", "ip"}) {
    const auto mask = Mask({path});
    ASSERT_FALSE(mask.ok()) << path;
    EXPECT_NE(std::string(mask.status().message()).find(std::string("'") + path + "'"), std::string::npos);
  }
  EXPECT_FALSE(Mask({})->active());
}

}  // namespace
}  // namespace knp::hubble
