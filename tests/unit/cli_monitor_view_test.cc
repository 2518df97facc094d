// The page of `knp monitor` (src/cli/monitor_view.h and its parts): it fits its canvas whatever the data are, and shows
// what it must.
#include "src/cli/monitor_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <random>

#include "src/cli/ledger_text.h"
#include "src/cli/monitor_summary.h"
#include "src/cli/top_flows.h"

namespace knp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kStart = 1'767'323'045'000'000'000;
constexpr std::uint64_t kMost = 0xffffffffffffffff;

std::string Joined(const std::vector<TextLine>& lines) {
  std::string text;
  for (const TextLine& line : lines) text += line.Text(false) + "\n";
  return text;
}

Endpoint At(const std::string& ip, std::uint16_t port) { return {*ParseIpAddress(ip), port}; }

InterfaceStats Interface(const std::string& name) {
  InterfaceStats interface;
  interface.name = name;
  interface.attached = true;
  interface.rx = {{1'234'567, 98'765'432}, 1000, 98'000'000};
  interface.tx = {{12, 800}, 12, 800};
  interface.protocols = {{"TCP", {900, 90'000}}, {"UDP", {100, 10'000}}};
  for (const std::uint32_t up_to : {64, 127, 255, 511, 1023, 1518, 9018, 0}) interface.sizes.push_back({up_to, 10, 5});
  interface.rates = {{1, 10, 1000, 1, 10}, {10, 20, 2000, 2, 20}, {60, 30, 3000, 3, 30}};
  interface.ledger.seen = {1000, 100'000};
  interface.ledger.in_flows = {990, 99'000};
  interface.ledger.remainder = {{"arp", {8, 800}}};
  interface.ledger.in_flight = {2, 200};
  return interface;
}

FlowRow Row(std::uint64_t id, const std::string& source, const std::string& destination) {
  FlowRow row;
  row.flow.id = id;
  row.flow.protocol = IPPROTO_TCP;
  row.flow.state = FlowState::kEstablished;
  row.flow.start_unix_ns = kStart;
  row.flow.source = At(source, 65535);
  row.flow.destination = At(destination, 65535);
  row.flow.observations = {{"eth0", Direction::kIngress, {1, 1}}};
  return row;
}

MonitorFrame Frame() {
  MonitorFrame frame;
  frame.stats.since_unix_ns = kStart;
  frame.stats.time_unix_ns = kStart + 65'000'000'000;
  frame.stats.interfaces = {Interface("eth0")};
  frame.stats.total = frame.stats.interfaces[0].ledger;
  frame.active_flows = frame.total_flows = 2;
  frame.flows = {Row(1, "10.0.0.1", "10.0.0.2"), Row(2, "10.0.0.3", "10.0.0.4")};
  frame.keys_work = true;
  return frame;
}

Ledger HugeLedger() {
  Ledger ledger;
  ledger.seen = ledger.in_flows = {kMost, kMost};
  return ledger;
}

AppDetail App(const std::string& protocol, const std::string& application, const std::string& server_name) {
  AppDetail app;
  app.protocol = protocol;
  app.application = application;
  app.server_name = server_name;
  return app;
}

TrafficUse HugeUse() {
  TrafficUse use;
  use.count = {kMost, kMost};
  use.rates = {{1, 1e30, 1e30}, {10, 1e30, 1e30}, {60, 1e30, 1e30}};
  use.peak = use.p95 = {kMost, kMost};
  return use;
}

void FillNastily(HostReport* host, std::size_t rows) {
  const std::string hostile = std::string("\x1b[2J\n\xff日本語") + std::string(250, 'n');
  host->sockets = host->processes = host->translations = kMost;
  for (const bool on : {true, false})
    for (std::size_t i = 0; i < 5; ++i) {
      HostPiece piece;
      piece.name = "piece" + std::to_string(i);
      piece.on = on;
      piece.how = i % 2 == 0 ? hostile : "";
      piece.why = i % 3 == 0 ? hostile : "";
      piece.lost = piece.forgotten = i % 2 * kMost;
      host->pieces.push_back(piece);
    }
  for (std::size_t i = 0; i < std::min<std::size_t>(rows, 64); ++i) {
    host->drops.push_back(
        {i % 2 == 0 ? hostile : "", hostile, hostile, static_cast<DropPosition>(i % 3), {kMost, kMost}});
    ListenerTotal listener;
    listener.endpoint = At("2001:db8:85a3:1111:2222:8a2e:1370:7334", 65535);
    listener.endpoint.process = std::make_shared<const Process>(Process{.pid = 4'294'967'295,
                                                                        .name = hostile,
                                                                        .cgroup = {},
                                                                        .container_id = {},
                                                                        .container_runtime = {},
                                                                        .pod_uid = {},
                                                                        .unit = hostile});
    listener.protocol = 253;
    listener.queued = listener.queue_limit = 4'294'967'295;
    listener.overflows = kMost;
    host->listeners.push_back(listener);
    host->connect_failures["E" + std::to_string(i) + hostile] = kMost;
  }
}

// What the views besides the flows show, and the details of flows.
void FillNastily(MonitorFrame* frame, std::size_t rows) {
  const std::string hostile = std::string("\x1b[2J\n\xff日本語") + std::string(250, 'n');
  for (FlowRow& row : frame->flows) {
    if (row.flow.id % 3 == 0) continue;
    row.flow.app = App(hostile, hostile, hostile);
    row.flow.tcp.handshake_ns = row.flow.first_answer_ns = kMost;
    row.flow.tunnel = Tunnel{};
    row.flow.tunnel->id = 0xffffff;
    row.flow.dscp = row.flow.ttl = 255;
    row.flow.pattern = TrafficPattern::kRequestResponse;
    row.flow.source.process = row.flow.destination.process =
        std::make_shared<const Process>(Process{.pid = 4'294'967'295,
                                                .name = hostile,
                                                .cgroup = hostile,
                                                .container_id = hostile,
                                                .container_runtime = hostile,
                                                .pod_uid = hostile,
                                                .unit = hostile});
    row.flow.source_socket.emplace().retransmits = kMost;
    row.flow.drops = {{hostile, hostile, {kMost, kMost}}, {"", hostile, {1, 1}}};
    if (row.flow.id % 2 == 0) row.flow.translated = Translation{row.flow.destination, row.flow.source};
  }
  for (InterfaceStats& interface : frame->stats.interfaces) interface.troubles = {{hostile, kMost, hostile}};
  FillNastily(&frame->stats.host.emplace(), rows);
  frame->name_counts = {kMost, kMost, kMost};
  for (std::size_t i = 0; i < std::min<std::size_t>(rows, 256); ++i) {
    frame->names.push_back({kMost, At("2001:db8:85a3:1111:2222:8a2e:1370:7334", 1), At("255.255.255.255", 53), {}});
    DnsTransaction& dns = frame->names.back().transaction;
    dns.name = hostile;
    dns.type = 65535;
    dns.answers = {hostile, hostile};
    dns.latency_ns = kMost;
    frame->traffic.hosts.push_back({HugeUse(), *ParseIpAddress("2001:db8:85a3:1111:2222:8a2e:1370:7334"), "", {}, {}});
    if (i % 2 == 0) frame->traffic.hosts.back().dns_name = hostile;
    frame->traffic.protocols.push_back({HugeUse(), "TCP"});
    frame->traffic.applications.push_back({HugeUse(), i == 0 ? "" : hostile});
  }
  static_cast<TrafficUse&>(frame->traffic.total) = HugeUse();
}

// Everything as long, as many and as large as it can be.
MonitorFrame NastyFrame(std::size_t interfaces, std::size_t flows) {
  MonitorFrame frame;
  frame.stats.time_unix_ns = kMost;
  frame.active_flows = frame.total_flows = frame.evicted_flows = frame.kernel_evictions = kMost;
  frame.stats.events_suppressed = frame.stats.events_lost = kMost;
  frame.stats.degraded = {std::string(300, 'd'), "tcx\x1b[2J"};
  frame.interval = std::chrono::milliseconds(86'399'999);
  for (std::size_t i = 0; i < interfaces; ++i) {
    InterfaceStats interface = Interface("cali0123456789a");
    if (i % 4 == 1) interface.name = "\x1b[31m\xff\n\t日本語日";
    interface.rx = interface.tx = {{kMost, kMost}, kMost, kMost};
    for (Rates& rates : interface.rates) rates = {rates.window_s, 1e30, 1e30, 1e30, 1e30};
    for (PacketSizeBucket& bucket : interface.sizes) bucket.rx_packets = kMost / 64;
    for (unsigned protocol = 0; protocol < 256; ++protocol)
      interface.protocols[ProtocolName(static_cast<std::uint8_t>(protocol))] = {kMost / 512, kMost};
    interface.hook_shadowed = i % 2 == 0;
    interface.gone = i % 3 == 0;
    interface.unseen = {kMost, kMost, std::string(200, 'c') + "\x1b]0;title\x07"};
    interface.ledger = HugeLedger();
    frame.stats.interfaces.push_back(interface);
  }
  frame.stats.total = HugeLedger();
  for (std::size_t i = 0; i < flows; ++i) {
    FlowRow row = Row(i, "2001:db8:85a3:1111:2222:8a2e:1370:7334", "fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    if (i % 5 == 0) row = Row(i, "255.255.255.255", "255.255.255.255");
    row.flow.state = static_cast<FlowState>(i % 6);
    row.flow.protocol = i % 7 == 0 ? IPPROTO_ICMPV6 : i % 7 == 1 ? 253 : IPPROTO_TCP;
    row.flow.start_unix_ns = i % 3 == 0 ? 0 : kMost;
    row.flow.sent = row.flow.received = {kMost / 2, kMost / 2};
    row.sent_bytes_per_second = row.received_bytes_per_second = row.sent_packets_per_second = 1e30;
    if (i % 11 == 0) row.flow.observations.clear();
    frame.flows.push_back(row);
  }
  for (std::size_t i = 0; i < 64; ++i)
    frame.events.push_back({.time_unix_ns = kMost,
                            .important = i % 2 == 0,
                            .alert = i % 4 == 0,
                            .label = "ALERT critical ddos.amplification",
                            .text = std::string(400, 'x') + "\x1b[2J\n",
                            .times = kMost});
  frame.keys_work = true;
  FillNastily(&frame, flows);
  return frame;
}

void ExpectFits(const MonitorFrame& frame, const Canvas& canvas) {
  const std::vector<TextLine> lines = RenderMonitor(frame, canvas);
  if (canvas.height > 0) {
    EXPECT_EQ(static_cast<int>(lines.size()), canvas.height);
  }
  for (const TextLine& line : lines) {
    const std::string text = line.Text(false);
    EXPECT_LE(DisplayWidth(text), canvas.width) << text;
    EXPECT_EQ(DisplayWidth(text), line.width()) << text;
    for (const char c : text) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20) << text;
    EXPECT_EQ(Printable(text), text) << "no byte that a terminal would obey";
  }
}

TEST(MonitorView, NastyData_FitEveryCanvas) {
  for (const std::size_t interfaces : {0, 1, 3, 40})
    for (const std::size_t flows : {0, 1, 2000}) {
      MonitorFrame frame = NastyFrame(interfaces, flows);
      frame.view = kViews[(interfaces + flows) % kViews.size()].view;
      for (const bool utf8 : {true, false})
        for (const auto& [width, height] :
             {std::pair{80, 24}, {160, 50}, {100, 30}, {132, 43}, {40, 10}, {300, 100}, {80, 0}, {120, 0}}) {
          SCOPED_TRACE(testing::Message() << width << "x" << height << " utf8=" << utf8 << " interfaces=" << interfaces
                                          << " flows=" << flows);
          ExpectFits(frame, {.width = width, .height = height, .colour = false, .utf8 = utf8});
        }
    }
}

TEST(MonitorView, AnySizeAndView_NeitherBreaksNorOverflows) {
  MonitorFrame frame = NastyFrame(5, 50);
  for (const ViewName& view : kViews)
    for (int width = 1; width < 200; width += 7)
      for (int height = 1; height < 70; height += height < 16 ? 1 : 5) {
        frame.view = view.view;
        const Canvas canvas{.width = width, .height = height};
        const std::vector<TextLine> lines = RenderMonitor(frame, canvas);
        ASSERT_EQ(static_cast<int>(lines.size()), height) << view.name;
        for (const TextLine& line : lines) ASSERT_LE(line.width(), width) << view.name << width << "x" << height;
        TextLine ledger = RenderLedgerLine(frame.stats.total, canvas);
        ASSERT_EQ(lines.back().Text(false), ledger.CutTo(width, GlyphsOf(canvas).ellipsis).Text(false)) << view.name;
      }
}

TEST(MonitorView, EachViewInEachWidth_FitsAndIsPrintable) {
  MonitorFrame frame = NastyFrame(1, 20);
  for (const ViewName& view : kViews)
    for (const bool utf8 : {true, false})
      for (const auto& [width, height] : {std::pair{40, 20}, {80, 24}, {120, 40}, {160, 50}, {200, 60}, {80, 0}}) {
        SCOPED_TRACE(testing::Message() << view.name << " " << width << "x" << height << " utf8=" << utf8);
        frame.view = view.view;
        ExpectFits(frame, {.width = width, .height = height, .colour = false, .utf8 = utf8});
      }
}

TEST(MonitorView, Keys_NamedAsFarAsTheyFit) {
  MonitorFrame frame = Frame();
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 120, .height = 24})),
              HasSubstr("1 flows 2 details 3 names 4 traffic 5 host q quits"));
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 80, .height = 24})), HasSubstr("1-5 views q quits"));
  frame.keys_work = false;
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 120, .height = 24})), Not(HasSubstr("q quits")));
}

TEST(MonitorView, Standard80x24_ShowsEverySection) {
  MonitorFrame frame = Frame();
  frame.events = {{.time_unix_ns = kStart,
                   .important = true,
                   .alert = true,
                   .label = "ALERT high scan.vertical",
                   .text = "10.0.0.9 tried 11 ports",
                   .times = 1}};
  const std::vector<TextLine> lines = RenderMonitor(frame, {.width = 80, .height = 24});
  const std::string page = Joined(lines);
  for (const char* text :
       {"knp monitor eth0", "up 1m05s", "every 5s", "q quits", "INTERFACE", "PROTOCOLS", "PACKET SIZES", "TCP", "90.0%",
        "2 active", "10.0.0.1:65535", "EVENTS", "scan.vertical", "1.23M pkt", "98.8MB"})
    EXPECT_THAT(page, HasSubstr(text));
  for (const char* window : {"  1s ", " 10s ", " 60s "}) EXPECT_THAT(page, HasSubstr(window));
  EXPECT_EQ(lines.back().Text(false),
            "LEDGER seen 1,000 = in flows 990 + remainder 8 + lost 0 + in flight 2 ✓ balanced");
}

TEST(MonitorView, ManyInterfaces_SayHowManyAreNotShown) {
  MonitorFrame frame = Frame();
  for (int i = 0; i < 30; ++i) frame.stats.interfaces.push_back(Interface("veth" + std::to_string(i)));
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 80, .height = 24})), HasSubstr("more interfaces"));
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 80, .height = 0})), Not(HasSubstr("more interfaces")));
}

TEST(MonitorView, Troubles_AreNamedWithTheirCause) {
  MonitorFrame frame = Frame();
  frame.stats.degraded = {"gso: counts once", "ringbuf: perf buffer instead"};
  frame.stats.interfaces[0].hook_shadowed = true;
  frame.stats.interfaces[0].unseen = {12, 0, "program 'y' (id 8) ends the chain before us"};
  const std::string page = Joined(RenderMonitor(frame, {.width = 80, .height = 24}));
  EXPECT_THAT(page, HasSubstr("degraded: gso, ringbuf (`knp doctor`"));
  EXPECT_THAT(page, HasSubstr("eth0: SHADOWED; unseen rx 12 tx 0: program 'y' (id 8) ends the chain"));
  frame.stats.interfaces[0].gone = true;
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 160, .height = 24})), HasSubstr("eth0: GONE"));
}

TEST(MonitorView, InterfaceTroubles_AreNamedWithTheirCount) {
  MonitorFrame frame = Frame();
  frame.stats.interfaces[0].troubles = {{"qdisc_drops", 30, "bfifo 1: dropped 30"}, {"carrier_changes", 2, ""}};
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 80, .height = 24})),
              HasSubstr("eth0: qdisc_drops 30; carrier_changes 2"));
}

TEST(MonitorView, MoreFlowsAndEventsThanLines_ShareThem) {
  MonitorFrame frame = NastyFrame(1, 100);
  const std::string page = Joined(RenderMonitor(frame, {.width = 80, .height = 40}));
  std::size_t events = 0;
  for (std::size_t at = 0; (at = page.find("ALERT critical", at)) != std::string::npos; ++at) ++events;
  EXPECT_GE(events, 3u);
  EXPECT_LE(events, 10u);
  frame.flows.clear();
  EXPECT_THAT(Joined(RenderMonitor(frame, {.width = 80, .height = 24})), HasSubstr("ALERT critical"));
}

TEST(MonitorView, Colour_IsThereOnlyWhenAskedFor) {
  for (const TextLine& line : RenderMonitor(Frame(), {.width = 80, .height = 24}))
    EXPECT_THAT(line.Text(false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(RenderMonitor(Frame(), {.width = 80, .height = 24})[0].Text(true), HasSubstr("\x1b[1;36m"));
}

TEST(MonitorView, Ascii_UsesNoOtherCharacters) {
  for (const TextLine& line : RenderMonitor(Frame(), {.width = 160, .height = 50, .colour = false, .utf8 = false}))
    for (const char c : line.Text(false)) ASSERT_LT(static_cast<unsigned char>(c), 0x80) << line.Text(false);
}

TEST(EndpointText, LongIpv6_KeepsBothEnds) {
  const Canvas canvas;
  const Endpoint endpoint = At("2001:db8:85a3:1111:2222:8a2e:1370:7334", 443);
  EXPECT_EQ(EndpointText(endpoint, true, 50, canvas), "[2001:db8:85a3:1111:2222:8a2e:1370:7334]:443");
  EXPECT_EQ(EndpointText(endpoint, true, 21, canvas), "[2001:…:7334]:443");
  EXPECT_EQ(EndpointText(endpoint, true, 26, canvas), "[2001:db8:…:1370:7334]:443");
  EXPECT_EQ(EndpointText(endpoint, false, 16, canvas), "2001:…:1370:7334");
  EXPECT_EQ(EndpointText(At("fd00::1", 443), true, 21, canvas), "[fd00::1]:443");
  EXPECT_EQ(EndpointText(At("10.0.0.1", 80), true, 21, canvas), "10.0.0.1:80");
  EXPECT_EQ(EndpointText(At("10.0.0.1", 0), false, 21, canvas), "10.0.0.1");
  for (int width = 0; width < 60; ++width)
    for (const bool port : {true, false}) EXPECT_LE(DisplayWidth(EndpointText(endpoint, port, width, canvas)), width);
}

TEST(TopFlows, WideCanvas_ShowsAddressesInFull) {
  const std::string address = "2001:db8:85a3:1111:2222:8a2e:1370:7334";
  const std::string text =
      Joined(RenderFlows({Row(1, address, address)}, 5, kStart, View::kFlows, {.width = 160, .height = 0}));
  EXPECT_THAT(text, HasSubstr("[" + address + "]:65535 → [" + address + "]:65535"));
  EXPECT_THAT(text, HasSubstr("established"));
}

FlowRow Detailed(std::uint64_t id) {
  FlowRow row = Row(id, "10.0.0.1", "10.0.0.2");
  row.flow.app = App("TLS", "YouTube", "www.example.com");
  row.flow.tcp.handshake_ns = 12'300'000;
  row.flow.first_answer_ns = 1'500;
  row.flow.pattern = TrafficPattern::kRequestResponse;
  row.flow.dscp = 46;
  row.flow.ttl = 57;
  row.flow.vlan = 7;
  return row;
}

std::string Details(const FlowRow& row, int width, int height = 50) {
  return Joined(RenderFlows({row}, 5, kStart, View::kDetails, {.width = width, .height = height}));
}

TEST(TopFlowDetails, WideCanvas_ShowsAll) {
  const std::string text = Details(Detailed(1), 200);
  for (const char* part : {"10.0.0.1:65535", "established", "YouTube", "www.example.com", "12.3ms", "1.5us",
                           "request_response", " 46 ", " 57 ", "vlan 7", "pattern", "dscp", "ttl", "tunnel"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(TopFlowDetails, NarrowCanvas_AddressesComeBeforeWhatIsLessWorth) {
  const std::string text = Details(Detailed(1), 80, 0);
  for (const char* part : {"10.0.0.1 ", "10.0.0.2:65535", "YouTube", "www.example", "12.3ms", "1.5us"})
    EXPECT_THAT(text, HasSubstr(part));
  for (const char* part : {"dscp", "ttl", "tunnel", "pattern", "10.0.0.1:"}) EXPECT_THAT(text, Not(HasSubstr(part)));
}

std::shared_ptr<const Process> Named(const std::string& name, std::uint32_t pid, const std::string& unit) {
  Process process;
  process.name = name;
  process.pid = pid;
  process.unit = unit;
  return std::make_shared<const Process>(process);
}

FlowRow OfThisHost() {
  FlowRow row = Detailed(1);
  row.flow.source.process = Named("curl", 812, "session-1.scope");
  row.flow.destination.process = Named("nginx", 77, "nginx.service");
  row.flow.source_socket.emplace().retransmits = 3;
  row.flow.drops = {{"NO_SOCKET", "tcp_v4_rcv", {12, 720}}};
  return row;
}

TEST(TopFlowDetails, StandardWidth_WhatTheHostKnowsComesBeforePatternAndAnswer) {
  const std::string text = Details(OfThisHost(), 80, 24);
  for (const char* part : {"10.0.0.1 ", "10.0.0.2:65535", "curl>nginx", "12 NO_SOCKET", "   3 ", "YouTube"})
    EXPECT_THAT(text, HasSubstr(part));
  for (const char* part : {"pattern", "answer"}) EXPECT_THAT(text, Not(HasSubstr(part)));
}

TEST(TopFlowDetails, WideCanvas_ShowsWhatTheHostKnowsToo) {
  const std::string medium = Details(OfThisHost(), 140, 40);
  for (const char* part : {"curl/812>nginx/77", "12 NO_SOCKET", "   3 ", "12.3ms", "1.5us"})
    EXPECT_THAT(medium, HasSubstr(part));
  const std::string wide = Details(OfThisHost(), 240, 40);
  for (const char* part : {"curl/812>nginx/77", "session-1.scope>nginx.service", "request_response", "vlan 7"})
    EXPECT_THAT(wide, HasSubstr(part));
}

FlowRow Translated() {
  FlowRow row = Row(1, "10.61.0.1", "10.96.9.9");
  row.flow.destination.port = 80;
  row.flow.translated = Translation{row.flow.source, At("10.62.0.2", 8080)};
  return row;
}

std::string Flows(const FlowRow& row, const Canvas& canvas) {
  return Joined(RenderFlows({row}, 5, kStart, View::kFlows, canvas));
}

TEST(TopFlows, TranslatedDestination_BackendBesideIt) {
  EXPECT_THAT(Flows(Translated(), {.width = 80, .height = 24}),
              HasSubstr("10.61.0.1:65535 → 10.96.9.9:80⇒10.62.0.2:8080"));
  EXPECT_THAT(Flows(Translated(), {.width = 80, .height = 24, .utf8 = false}),
              HasSubstr("10.96.9.9:80=>10.62.0.2:8080"));
  FlowRow both = Translated();
  both.flow.translated->source = At("192.0.2.1", 1024);
  EXPECT_THAT(Flows(both, {.width = 140, .height = 24}),
              HasSubstr("10.61.0.1:65535⇒192.0.2.1:1024 → 10.96.9.9:80⇒10.62.0.2:8080"));
  EXPECT_THAT(Flows(both, {.width = 80, .height = 24}), HasSubstr("10.61.0.1:65535 → 10.96.9.9:80⇒10.62.0.2:8080"))
      << "the backend is worth more than the masquerade";
}

TEST(TopFlows, TranslatedDestinationWithoutRoom_BackendInThePlaceOfTheName) {
  FlowRow row = Translated();
  row.flow.translated->destination = At("2001:db8::1", 8080);
  const std::string text = Details(row, 80, 24);
  EXPECT_THAT(text, HasSubstr("10.96.9.9:80 "));
  EXPECT_THAT(text, HasSubstr("⇒[2001:db8"));
}

TEST(TopFlowDetails, NothingKnown_EmptyColumnsGoWherePagesDoNotRepeat) {
  const FlowRow row = Row(1, "10.0.0.1", "10.0.0.2");
  EXPECT_THAT(Details(row, 200, 0), Not(HasSubstr("tunnel")));
  EXPECT_THAT(Details(row, 200, 50), HasSubstr("tunnel"));
}

TEST(TopFlowDetails, Name_BestThatIsKnown) {
  FlowRow row = Row(1, "10.0.0.1", "10.0.0.2");
  row.flow.destination.dns_name = "by-dns.example";
  EXPECT_THAT(Details(row, 120), HasSubstr("by-dns.example"));
  row.flow.app = App("HTTP", "", "");
  row.flow.app->http_host = "by-host.example";
  EXPECT_THAT(Details(row, 120), HasSubstr("by-host.example"));
  EXPECT_THAT(Details(row, 120), HasSubstr("HTTP"));
  row.flow.app->server_name = "by-sni.example";
  EXPECT_THAT(Details(row, 120), HasSubstr("by-sni.example"));
}

TEST(TopFlowDetails, FinalFlow_AgeEndsWithIt) {
  FlowRow row = Row(1, "10.0.0.1", "10.0.0.2");
  row.flow.final = true;
  row.flow.end_unix_ns = row.flow.start_unix_ns + 7'000'000'000;
  const auto lines = RenderFlows({row}, 1, kStart + 86'400'000'000'000, View::kDetails, {.width = 160, .height = 0});
  EXPECT_THAT(Joined(lines), HasSubstr("  7s"));
}

TEST(LedgerLine, Imbalance_SaysByHowMuch) {
  Ledger ledger = Interface("eth0").ledger;
  ledger.in_flows.packets -= 3;
  EXPECT_THAT(RenderLedgerLine(ledger, {.width = 80}).Text(false), HasSubstr("✗ 3 packets unaccounted for"));
  ledger.in_flows.packets += 5;
  EXPECT_THAT(RenderLedgerLine(ledger, {.width = 80}).Text(false), HasSubstr("✗ 2 packets too many"));
  ledger = Interface("eth0").ledger;
  ledger.seen.bytes += 1;
  EXPECT_THAT(RenderLedgerLine(ledger, {.width = 80}).Text(false), HasSubstr("bytes do not add up"));
}

TEST(LedgerLine, WideCanvas_HasEveryDigitAndItsLabel) {
  EXPECT_EQ(RenderLedgerLine(Interface("eth0").ledger, {.width = 120}).Text(false),
            "LEDGER seen 1,000 = in flows 990 + remainder 8 + lost 0 + in flight 2 ✓ balanced");
  Ledger ledger;
  ledger.seen = ledger.in_flows = {123'456'789, 1};
  EXPECT_EQ(RenderLedgerLine(ledger, {.width = 80}).Text(false),
            "seen 123,456,789 = in flows 123,456,789 + remainder 0 + lost 0 + in flight 0 ✓")
      << "the digits are worth more than the label";
  EXPECT_THAT(RenderLedgerLine(HugeLedger(), {.width = 80}).Text(false), HasSubstr("seen 18.4E = in flows 18.4E"));
}

TEST(Summary, SettledRun_IsBalancedAndBrokenDown) {
  json::Summary summary{.stats = Frame().stats, .flows = 1234, .alerts = 2};
  summary.stats.total.in_flows += summary.stats.total.in_flight;
  summary.stats.total.in_flight = {};
  summary.stats.interfaces[0].unseen = {3, 4, ""};
  summary.stats.interfaces[0].troubles = {{"qdisc_drops", 1234, ""}, {"carrier_changes", 2, ""}};
  const std::string text = Joined(RenderSummary(summary, {.width = 80, .height = 0}));
  for (const char* part :
       {"SUMMARY of 1m05s", "1,234,567", "98,765,432", "1,234 flows, 2 alerts, 0 malformed packets",
        "eth0: qdisc_drops 1,234, carrier_changes 2", "arp 8", "✓ balanced: every packet is accounted for",
        "3 packets in and 4 out that no hook of ours saw: cause not known"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_EQ(ImbalanceText(summary.stats.total), "");
}

TEST(Summary, UnsettledLedger_IsNotCalledBalanced) {
  const json::Summary summary{.stats = Frame().stats};
  EXPECT_THAT(Joined(RenderSummary(summary, {.width = 80})),
              HasSubstr("✗ NOT BALANCED: 2 packets are still in flight"));
  EXPECT_EQ(ImbalanceText(summary.stats.total), "2 packets are still in flight");
}

}  // namespace
}  // namespace knp::cli
