// The monitor's view of what the host knows (src/cli/host_table.h), and what the closing summary says of it.
#include "src/cli/host_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <string>

#include "src/cli/monitor_summary.h"
#include "src/cli/monitor_view.h"

namespace knp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

HostPiece Piece(const std::string& name, bool on, const std::string& how, const std::string& why) {
  HostPiece piece;
  piece.name = name;
  piece.on = on;
  piece.how = how;
  piece.why = why;
  return piece;
}

HostReport Report() {
  HostReport report;
  report.pieces = {Piece("processes", true, "cgroup hooks", ""), Piece("sockets", true, "cgroup hooks", ""),
                   Piece("drops", true, "tracing", "no names of modules' reasons"),
                   Piece("nat", false, "", "this kernel has no conntrack"), Piece("interfaces", true, "rtnetlink", "")};
  report.sockets = 12;
  report.processes = 5;
  report.drops = {{"NETFILTER_DROP", "nf_hook_slow", "eth0", DropPosition::kBehindHook, {1234, 98'765}},
                  {"", "tcp_v4_rcv", "", DropPosition::kUnknown, {3, 180}}};
  ListenerTotal& listener = report.listeners.emplace_back();
  listener.endpoint = {*ParseIpAddress("0.0.0.0"), 80};
  Process process;
  process.name = "nginx";
  process.pid = 77;
  listener.endpoint.process = std::make_shared<const Process>(process);
  listener.protocol = IPPROTO_TCP;
  listener.queued = 5;
  listener.queue_limit = 4;
  listener.overflows = 9;
  report.connect_failures = {{"ECONNREFUSED", 2}, {"ETIMEDOUT", 30}};
  return report;
}

std::string Joined(const std::vector<TextLine>& lines) {
  std::string text;
  for (const TextLine& line : lines) text += line.Text(false) + "\n";
  return text;
}

std::string Page(const HostReport& report, int width, int height) {
  MonitorFrame frame;
  frame.stats.interfaces.resize(1);
  frame.stats.host = report;
  frame.view = View::kHost;
  return Joined(RenderMonitor(frame, {.width = width, .height = height}));
}

TEST(HostTable, StandardPage_HasAllOfIt) {
  const std::string page = Page(Report(), 80, 24);
  for (const char* part : {"12 sockets · 5 processes", "on: processes, sockets, interfaces  partly: drops  off: nat",
                           "nat off: this kernel has no conntrack", "drops partly: lacks no names of modules' reasons",
                           "FAILED CONNECTS ETIMEDOUT 30, ECONNREFUSED 2", "NETFILTER_DROP", "1.23k", "nf_hook_slow",
                           "eth0", "behind hook", "(not told)", "tcp_v4_rcv", "TCP 0.0.0.0:80", "5/4", "nginx/77"})
    EXPECT_THAT(page, HasSubstr(part));
}

TEST(HostTable, LargePage_TellsHowEachPieceIsAskedAndFullNumbers) {
  const std::string page = Page(Report(), 140, 50);
  for (const char* part : {"processes, sockets on: cgroup hooks", "interfaces on: rtnetlink", "1,234", "98,765"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_THAT(Page(Report(), 80, 24), Not(HasSubstr("rtnetlink"))) << "what works needs no words where room is short";
}

TEST(HostTable, FewRows_TablesShareThem) {
  HostReport report = Report();
  report.drops.resize(64, report.drops[0]);
  report.listeners.resize(64, report.listeners[0]);
  for (std::size_t most = 0; most < 60; ++most) {
    const std::vector<TextLine> lines = RenderHost(report, most, {.width = 80, .height = 24});
    EXPECT_LE(lines.size(), most + 2);
    if (most < 12) continue;
    EXPECT_EQ(lines.size(), most + 2);
    EXPECT_THAT(Joined(lines), HasSubstr("NETFILTER_DROP"));
    EXPECT_THAT(Joined(lines), HasSubstr("nginx/77"));
  }
}

TEST(HostTable, LossesOfAPiece_AreTold) {
  HostReport report = Report();
  report.pieces[2].lost = 7;
  report.pieces[1].forgotten = 1000;
  const std::string page = Page(report, 80, 30);
  EXPECT_THAT(page, HasSubstr("drops lost 7 of the kernel's notices"));
  EXPECT_THAT(page, HasSubstr("sockets forgot 1,000 (host.capacity)"));
}

TEST(HostTable, Replay_SaysThatNothingIsKnown) {
  EXPECT_THAT(Joined(RenderHost(std::nullopt, 10, {.width = 80})), HasSubstr("a capture has packets alone"));
  EXPECT_EQ(HostRows(std::nullopt, {}), 0u);
}

TEST(HostSummary, WhatWentWrong_IsToldShortly) {
  HostReport report = Report();
  report.drops.resize(9, report.drops[1]);
  json::Summary summary;
  summary.stats.host = report;
  const std::string text = Joined(RenderSummary(summary, {.width = 80, .height = 0}));
  for (const char* part : {"NETFILTER_DROP", "nf_hook_slow", "… 4 more reasons and places", "nginx/77",
                           "FAILED CONNECTS ETIMEDOUT 30, ECONNREFUSED 2", "nat off: this kernel has no conntrack"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("rtnetlink"))) << "what works is no news";
}

TEST(HostSummary, NothingWrong_SaysNothing) {
  HostReport report;
  report.pieces = {Piece("drops", true, "tracing", "")};
  EXPECT_TRUE(RenderHostSummary(report, {.width = 80}).empty());
}

}  // namespace
}  // namespace knp::cli
