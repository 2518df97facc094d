// From flow records to Hubble's flows: which events come of a conversation, and what is in them.
#include <gtest/gtest.h>

#include <set>

#include "proto/knp/flow_extension.pb.h"
#include "src/export/hubble/flow_layers.h"
#include "src/export/hubble/flow_mapper.h"
#include "tests/agent/hubble_records.h"

namespace knp::hubble {
namespace {

FlowMapper Mapper(const std::string& cluster = "default") {
  MapperOptions options;
  options.node_name = "node-a";
  options.cluster_name = cluster;
  options.instance = 0x1234567890abcdef;
  return FlowMapper(options);
}

kubenetprobe::hubble::FlowDetail DetailOf(const ::flow::Flow& flow) {
  kubenetprobe::hubble::FlowDetail detail;
  EXPECT_TRUE(flow.extensions().UnpackTo(&detail));
  return detail;
}

std::vector<FlowEvent> Judged(EventJudge* judge, const FlowRecord& record) {
  const FlowEvents events = judge->Judge(record);
  return {events.begin(), events.end()};
}

using Events = std::vector<FlowEvent>;

TEST(HubbleEvents, Conversation_LivesAndEnds_IsToldOfAtEachChangeOnce) {
  EventJudge judge(100, false);
  FlowRecord record = WebToDb(1);
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kOpened});
  EXPECT_EQ(Judged(&judge, record), Events{});
  record.state = FlowState::kEstablished;
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kChanged});
  record.sent.bytes = 1'000'000;
  EXPECT_EQ(Judged(&judge, record), Events{});
  record.state = FlowState::kClosed;
  record.final = true;
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kEnded});
  EXPECT_EQ(judge.size(), 0u);
}

TEST(HubbleEvents, Conversation_FirstToldOfWhenItIsOver_IsOneFlow) {
  EventJudge judge(100, false);
  FlowRecord record = WebToDb(1);
  record.state = FlowState::kReset;
  record.final = true;
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kOpened});
  EXPECT_EQ(judge.size(), 0u);
}

TEST(HubbleEvents, Reports_AskedFor_AreFlowsOfTheirOwn) {
  EventJudge judge(100, true);
  const FlowRecord record = WebToDb(1);
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kOpened});
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kReport});
}

TEST(HubbleEvents, Drops_WhenThereAreMore_AreToldOf) {
  EventJudge judge(100, false);
  FlowRecord record = WebToDb(1);
  record.drops = {{"NETFILTER_DROP", "nf_hook_slow", {2, 120}}};
  EXPECT_EQ(Judged(&judge, record), (Events{FlowEvent::kOpened, FlowEvent::kDropped}));
  EXPECT_EQ(Judged(&judge, record), Events{});
  record.drops[0].count.packets = 3;
  EXPECT_EQ(Judged(&judge, record), Events{FlowEvent::kDropped});
}

TEST(HubbleEvents, DnsAndHttp_WhenKnown_AreToldOfOnce) {
  EventJudge judge(100, false);
  FlowRecord dns = DnsQuestion(1, "web.shop");
  EXPECT_EQ(Judged(&judge, dns), (Events{FlowEvent::kOpened, FlowEvent::kDnsAnswer}));
  EXPECT_EQ(Judged(&judge, dns), Events{});
  dns.dns->responses = 2;
  EXPECT_EQ(Judged(&judge, dns), Events{FlowEvent::kDnsAnswer});
  dns.dns->timeouts = 1;
  dns.dns->last.rcode.reset();
  dns.dns->last.timed_out = true;
  EXPECT_EQ(Judged(&judge, dns), Events{FlowEvent::kDnsQuery});

  FlowRecord http = HttpExchange(2, "/cart", 200);
  http.app->http_status.reset();
  EXPECT_EQ(Judged(&judge, http), (Events{FlowEvent::kOpened, FlowEvent::kHttpRequest}));
  http.app->http_status = 200;
  EXPECT_EQ(Judged(&judge, http), Events{FlowEvent::kHttpResponse});
  EXPECT_EQ(Judged(&judge, http), Events{});
}

TEST(HubbleEvents, MoreConversationsThanRoom_AreBounded) {
  EventJudge judge(10, false);
  for (std::uint64_t id = 1; id <= 1000; id++) EXPECT_EQ(Judged(&judge, WebToDb(id)), Events{FlowEvent::kOpened});
  EXPECT_LE(judge.size(), 10u);
}

TEST(HubbleMapping, NewTcpConversation_HasAllThatClientsNeed) {
  const FlowRecord record = WebToDb(42);
  const ::flow::Flow flow = Mapper().Map(record, FlowEvent::kOpened, 7);
  EXPECT_EQ(flow.verdict(), ::flow::FORWARDED);
  EXPECT_EQ(flow.type(), ::flow::L3_L4);
  EXPECT_EQ(flow.event_type().type(), 4);
  EXPECT_EQ(flow.event_type().sub_type(), 11);  // to-network: the other end is on node-b
  EXPECT_EQ(flow.trace_observation_point(), ::flow::TO_NETWORK);
  EXPECT_EQ(flow.traffic_direction(), ::flow::EGRESS);
  ASSERT_TRUE(flow.has_is_reply());
  EXPECT_FALSE(flow.is_reply().value());
  EXPECT_EQ(flow.node_name(), "node-a");
  EXPECT_EQ(flow.uuid(), "12345678-90ab-8def-8000-000000000007");
  EXPECT_EQ(flow.ip().source(), "10.1.0.5");
  EXPECT_EQ(flow.ip().destination(), "10.1.1.9");
  EXPECT_EQ(flow.ip().ipversion(), ::flow::IPv4);
  EXPECT_EQ(flow.l4().tcp().source_port(), 40000u);
  EXPECT_EQ(flow.l4().tcp().destination_port(), 5432u);
  EXPECT_TRUE(flow.l4().tcp().flags().syn());
  EXPECT_FALSE(flow.l4().tcp().flags().ack());
  EXPECT_EQ(flow.summary(), "TCP Flags: SYN");
  EXPECT_EQ(flow.source().namespace_(), "shop");
  EXPECT_EQ(flow.source().pod_name(), "web-7d9f-abcde");
  EXPECT_EQ(flow.source().cluster_name(), "default");
  EXPECT_EQ(flow.source().workloads(0).name(), "web");
  EXPECT_EQ(flow.source().workloads(0).kind(), "Deployment");
  EXPECT_EQ(std::vector<std::string>(flow.source().labels().begin(), flow.source().labels().end()),
            (std::vector<std::string>{"k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"}));
  EXPECT_GE(flow.source().identity(), 256u);
  EXPECT_NE(flow.source().identity(), flow.destination().identity());
  EXPECT_EQ(flow.interface().name(), "eth0");
  EXPECT_EQ(static_cast<std::uint64_t>(flow.time().seconds()), record.end_unix_ns / kSecond);
  const auto detail = DetailOf(flow);
  EXPECT_EQ(detail.flow_id(), 42u);
  EXPECT_EQ(detail.state(), "half_open");
  EXPECT_EQ(detail.sent().bytes(), 74u);
  EXPECT_EQ(detail.event(), kubenetprobe::hubble::FlowDetail::OPENED);
}

TEST(HubbleMapping, Identity_OfOneWorkload_IsTheSameForItsPodsAndForEver) {
  const auto one = Pod("shop", "web-1", "web", "node-a");
  const auto other = Pod("shop", "web-2", "web", "node-b");
  EXPECT_EQ(WorkloadNumber(*one), WorkloadNumber(*other));
  // A number that changes with the build would be another card on a page after an update.
  EXPECT_EQ(WorkloadNumber(*one), 436239596u);
  EXPECT_NE(WorkloadNumber(*one), WorkloadNumber(*Pod("stage", "web-1", "web")));
  Identity bare;  // no workload: its labels, but for those that each pod has of its own
  bare.namespace_name = "shop";
  bare.pod = "a";
  bare.labels = {{"app", "x"}, {"pod-template-hash", "111"}};
  Identity twin = bare;
  twin.pod = "b";
  twin.labels = {{"pod-template-hash", "222"}, {"app", "x"}};
  EXPECT_EQ(WorkloadNumber(bare), WorkloadNumber(twin));
  std::set<std::uint32_t> numbers;
  for (int i = 0; i < 2000; i++) numbers.insert(WorkloadNumber(*Pod("ns", "p", "w" + std::to_string(i))));
  EXPECT_EQ(numbers.size(), 2000u);
  EXPECT_GE(*numbers.begin(), 256u);
}

TEST(HubbleMapping, EndsWithoutIdentity_AreHostOrWorld_NeverZero) {
  FlowRecord record = WebToDb(1);
  record.source.identity.reset();
  record.destination.identity.reset();
  auto process = std::make_shared<Process>();
  process->pid = 77;
  process->name = "curl";
  record.source.process = process;
  record.destination.dns_name = "api.example.com";
  const ::flow::Flow flow = Mapper().Map(record, FlowEvent::kOpened, 0);
  EXPECT_EQ(flow.source().identity(), kHost);
  EXPECT_EQ(flow.source().labels(0), "reserved:host");
  EXPECT_EQ(flow.destination().identity(), kWorld);
  EXPECT_EQ(flow.destination().labels(0), "reserved:world");
  EXPECT_EQ(flow.destination_names(0), "api.example.com");
  EXPECT_EQ(flow.traffic_direction(), ::flow::EGRESS);
  EXPECT_EQ(DetailOf(flow).source_process().pid(), 77u);
  EXPECT_EQ(DetailOf(flow).source_process().name(), "curl");
}

TEST(HubbleMapping, NodesAndApiServer_HaveReservedNumbers) {
  FlowRecord record = WebToDb(1);
  Identity here;
  here.kind = IdentityKind::kNode;
  here.node = "node-a";
  Identity there = here;
  there.node = "node-b";
  record.source.identity = std::make_shared<const Identity>(there);
  record.destination.identity = std::make_shared<const Identity>(here);
  ::flow::Flow flow = Mapper().Map(record, FlowEvent::kOpened, 0);
  EXPECT_EQ(flow.source().identity(), kRemoteNode);
  EXPECT_EQ(flow.destination().identity(), kHost);
  EXPECT_EQ(flow.traffic_direction(), ::flow::INGRESS);
  EXPECT_EQ(flow.event_type().sub_type(), 3);  // to-stack
  Identity api;
  api.kind = IdentityKind::kService;
  api.namespace_name = "default";
  api.service = "kubernetes";
  record.destination.identity = std::make_shared<const Identity>(api);
  record.destination.service = "kubernetes";
  flow = Mapper().Map(record, FlowEvent::kOpened, 0);
  EXPECT_EQ(flow.destination().identity(), kKubeApiserver);
  EXPECT_EQ(flow.destination().labels(0), "reserved:kube-apiserver");
  EXPECT_EQ(flow.destination_service().name(), "kubernetes");
  EXPECT_EQ(flow.destination_service().namespace_(), "default");
}

TEST(HubbleMapping, ServiceAddress_WithABackend_NamesTheBackendAndTheService) {
  FlowRecord record = WebToDb(1);
  Translation behind{record.source, record.destination};
  behind.source.ip = Ip("192.0.2.1");  // masqueraded as well
  Identity service;
  service.kind = IdentityKind::kService;
  service.namespace_name = "shop";
  service.service = "db";
  record.destination = Endpoint();
  record.destination.ip = Ip("10.96.0.20");
  record.destination.port = 15432;
  record.destination.service = "db";
  record.destination.identity = std::make_shared<const Identity>(service);
  record.translated = behind;
  const ::flow::Flow flow = Mapper().Map(record, FlowEvent::kOpened, 0);
  EXPECT_EQ(flow.destination().pod_name(), "db-0");
  EXPECT_EQ(flow.ip().destination(), "10.1.1.9");
  EXPECT_EQ(flow.l4().tcp().destination_port(), 5432u);
  EXPECT_EQ(flow.ip().source_xlated(), "192.0.2.1");
  EXPECT_EQ(flow.destination_service().name(), "db");
  EXPECT_EQ(flow.destination_service().namespace_(), "shop");
  EXPECT_EQ(DetailOf(flow).original_destination().ip(), "10.96.0.20");
  EXPECT_EQ(DetailOf(flow).original_destination().port(), 15432u);
}

TEST(HubbleMapping, ForwardedTraffic_HasNoDirection) {
  FlowRecord record = WebToDb(1);
  record.source.identity = Pod("a", "x", "x", "node-b");
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).traffic_direction(), ::flow::TRAFFIC_DIRECTION_UNKNOWN);
  record.source.identity.reset();
  record.destination.identity.reset();
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).traffic_direction(), ::flow::TRAFFIC_DIRECTION_UNKNOWN);
  MapperOptions options;
  options.node_name = "node-a";
  options.is_local_address = [](const IpAddress& ip) { return ip == Ip("10.1.1.9"); };
  const ::flow::Flow flow = FlowMapper(options).Map(record, FlowEvent::kOpened, 0);
  EXPECT_EQ(flow.traffic_direction(), ::flow::INGRESS);
  EXPECT_EQ(flow.destination().identity(), kHost);
}

TEST(HubbleMapping, Drop_HasItsReason) {
  FlowRecord record = WebToDb(1);
  record.drops = {{"NETFILTER_DROP", "nf_hook_slow", {2, 120}}};
  ::flow::Flow flow = Mapper().Map(record, FlowEvent::kDropped, 0);
  EXPECT_EQ(flow.verdict(), ::flow::DROPPED);
  EXPECT_EQ(flow.drop_reason_desc(), ::flow::POLICY_DENIED);
  EXPECT_EQ(flow.event_type().type(), 1);
  EXPECT_EQ(flow.event_type().sub_type(), 133);
  EXPECT_EQ(DetailOf(flow).drops(0).location(), "nf_hook_slow");
  record.drops[0].reason = "SOMETHING_NEW";
  flow = Mapper().Map(record, FlowEvent::kDropped, 0);
  EXPECT_EQ(flow.drop_reason_desc(), ::flow::DROP_REASON_UNKNOWN);
  EXPECT_EQ(DetailOf(flow).drops(0).reason(), "SOMETHING_NEW");
}

TEST(HubbleMapping, DnsAnswer_IsAnApplicationsFlow) {
  const ::flow::Flow flow = Mapper().Map(DnsQuestion(1, "web.shop.svc"), FlowEvent::kDnsAnswer, 0);
  EXPECT_EQ(flow.type(), ::flow::L7);
  EXPECT_EQ(flow.event_type().type(), 129);
  EXPECT_EQ(flow.l7().type(), ::flow::RESPONSE);
  EXPECT_EQ(flow.l7().latency_ns(), 3'000'000u);
  EXPECT_EQ(flow.l7().dns().query(), "web.shop.svc.");
  EXPECT_EQ(flow.l7().dns().ips(0), "192.0.2.7");
  EXPECT_EQ(flow.l7().dns().cnames(0), "alias.example.com");
  EXPECT_EQ(flow.l7().dns().qtypes(0), "A");
  EXPECT_EQ(flow.summary(), "DNS Answer \"192.0.2.7\" CNAMEs: \"alias.example.com\" (Query web.shop.svc. A)");
  FlowRecord missing = DnsQuestion(1, "nowhere");
  missing.dns->last.rcode = 3;
  missing.dns->last.answers.clear();
  EXPECT_EQ(Mapper().Map(missing, FlowEvent::kDnsAnswer, 0).summary(), "DNS Answer RCode: NXDOMAIN (Query nowhere. A)");
}

TEST(HubbleMapping, HttpExchange_IsRequestAndResponse) {
  const FlowRecord record = HttpExchange(1, "/cart?id=1", 503);
  ::flow::Flow flow = Mapper().Map(record, FlowEvent::kHttpRequest, 0);
  EXPECT_EQ(flow.l7().type(), ::flow::REQUEST);
  EXPECT_EQ(flow.l7().http().url(), "http://db.shop/cart?id=1");
  EXPECT_EQ(flow.l7().http().code(), 0u);
  EXPECT_EQ(flow.summary(), "HTTP GET http://db.shop/cart?id=1");
  flow = Mapper().Map(record, FlowEvent::kHttpResponse, 0);
  EXPECT_EQ(flow.l7().http().code(), 503u);
  EXPECT_EQ(flow.summary(), "HTTP 503 12ms (GET http://db.shop/cart?id=1)");
  EXPECT_TRUE(flow.l4().has_tcp());
}

TEST(HubbleMapping, OtherProtocols_HaveALayer4) {
  FlowRecord record = WebToDb(1);
  record.protocol = IPPROTO_ICMP;
  record.icmp = {8, 0};
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).summary(), "ICMPv4 EchoRequest");
  record.protocol = IPPROTO_ICMPV6;
  record.icmp = {135, 0};
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).l4().icmpv6().type(), 135u);
  record.protocol = IPPROTO_SCTP;
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).l4().sctp().destination_port(), 5432u);
  record.protocol = IPPROTO_UDP;
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).summary(), "UDP");
  record.protocol = IPPROTO_GRE;
  EXPECT_TRUE(Mapper().Map(record, FlowEvent::kOpened, 0).has_l4());
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).summary(), "GRE");
  record.tunnel = Tunnel{TunnelType::kGeneve, 99};
  EXPECT_EQ(Mapper().Map(record, FlowEvent::kOpened, 0).tunnel().vni(), 99u);
}

TEST(HubbleMapping, FoldedFlood_HasBothEnds) {
  FlowRecord record;
  record.id = 1;
  record.folded = true;
  record.protocol = IPPROTO_TCP;
  record.source.ip.version = 0;
  record.destination.ip = Ip("fd00::1");
  const ::flow::Flow flow = Mapper().Map(record, FlowEvent::kOpened, 0);
  EXPECT_TRUE(flow.has_l4());
  EXPECT_EQ(flow.ip().source(), "");
  EXPECT_EQ(flow.ip().ipversion(), ::flow::IPv6);
  EXPECT_EQ(flow.source().identity(), kWorld);
  EXPECT_TRUE(DetailOf(flow).folded());
}

TEST(HubbleMapping, NamedCluster_StandsBeforeTheNode) {
  EXPECT_EQ(Mapper("east").Map(WebToDb(1), FlowEvent::kOpened, 0).node_name(), "east/node-a");
}

}  // namespace
}  // namespace knp::hubble
