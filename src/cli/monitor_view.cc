// See monitor_view.h. This file shares out the lines; the parts render themselves.
#include "src/cli/monitor_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "src/cli/distribution_panel.h"
#include "src/cli/host_table.h"
#include "src/cli/interface_table.h"
#include "src/cli/ledger_text.h"
#include "src/cli/quantities.h"
#include "src/cli/top_flows.h"
#include "src/cli/traffic_table.h"

namespace knp::cli {
namespace {

constexpr int kEndless = 1'000'000;
constexpr int kRoomyHeight = 32;             // from here on: blank lines and every size class
constexpr int kHeightForDistributions = 16;  // below it, flows are worth more
constexpr int kHeightForEvents = 12;

void Append(std::vector<TextLine>& lines, std::vector<TextLine> more) {
  std::move(more.begin(), more.end(), std::back_inserter(lines));
}

std::string InterfaceNames(const PacketStats& stats, const Canvas& canvas) {
  std::string names;
  std::size_t shown = 0;
  for (const InterfaceStats& interface : stats.interfaces) {
    const std::string name = Printable(interface.name, canvas.utf8);
    if (shown > 0 && DisplayWidth(names) + DisplayWidth(name) > canvas.width / 4) break;
    names += (shown++ == 0 ? "" : ", ") + name;
  }
  if (shown < stats.interfaces.size()) names += fmt::format(" +{}", stats.interfaces.size() - shown);
  return names;
}

TextLine Header(const MonitorFrame& frame, const Canvas& canvas) {
  const PacketStats& stats = frame.stats;
  const std::uint64_t up_ns = stats.time_unix_ns - std::min(stats.since_unix_ns, stats.time_unix_ns);
  TextLine line(fmt::format("knp {} ", frame.command), Style::kTitle);
  line.Add(InterfaceNames(stats, canvas), Style::kBold);
  line.Add(fmt::format(" {0} {1} UTC {0} up {2} {0} every {3}", GlyphsOf(canvas).dot, ClockTime(stats.time_unix_ns),
                       Elapsed(std::chrono::nanoseconds(up_ns)), DurationText(frame.interval)));
  std::string views;
  for (std::size_t i = 0; i < kViews.size(); ++i) views += fmt::format("{} {} ", i + 1, kViews[i].name);
  for (const std::string& keys :
       {views + "q quits", fmt::format("1-{} views q quits", kViews.size()), std::string("q quits")}) {
    if (!frame.keys_work || line.width() + static_cast<int>(keys.size()) + 2 > canvas.width) continue;
    line.PadTo(canvas.width - static_cast<int>(keys.size())).Add(keys, Style::kDim);
    break;
  }
  return line;
}

std::vector<TextLine> Hints(const MonitorFrame& frame, const Canvas& canvas) {
  std::vector<TextLine> lines;
  std::string text;
  for (const std::string& degraded : frame.stats.degraded)  // "gso: the programs for …": what it costs takes lines
    text += (text.empty() ? "degraded: " : ", ") + Printable(degraded.substr(0, degraded.find(':')), canvas.utf8);
  if (!text.empty()) lines.emplace_back(text + " (`knp doctor` tells what that costs)", Style::kWarning);
  return lines;
}

TextLine FlowTitle(const MonitorFrame& frame, const Canvas& canvas) {
  TextLine line("FLOWS ", Style::kTitle);
  const char* dot = GlyphsOf(canvas).dot;
  line.Add(fmt::format("{} active {} {} so far", Grouped(frame.active_flows), dot, Grouped(frame.total_flows)));
  if (frame.evicted_flows > 0)
    line.Add(fmt::format(" {} {} ended early (--flow-capacity)", dot, Short(frame.evicted_flows)), Style::kWarning);
  if (frame.stats.folded.packets > 0)
    line.Add(fmt::format(" {} a flood: {} packets folded", dot, Short(frame.stats.folded.packets)), Style::kWarning);
  if (frame.kernel_evictions == 0) return line;
  const std::string evictions = fmt::format(" {} {} moved out of the kernel", dot, Short(frame.kernel_evictions));
  if (line.width() + DisplayWidth(evictions) <= canvas.width) line.Add(evictions, Style::kDim);
  return line;
}

TextLine EventTitle(const MonitorFrame& frame, const Canvas& canvas) {
  TextLine line("EVENTS", Style::kTitle);
  const char* dot = GlyphsOf(canvas).dot;
  if (frame.events.empty()) line.Add(canvas.height == 0 ? " none since the last report" : " none yet", Style::kDim);
  if (frame.stats.events_suppressed > 0)
    line.Add(fmt::format(" {} {} over the rate (--events-per-second)", dot, Short(frame.stats.events_suppressed)),
             Style::kDim);
  if (frame.stats.samples_suppressed > 0)
    line.Add(fmt::format(" {} {} payloads over theirs (--sample-bytes-per-second)", dot,
                         Short(frame.stats.samples_suppressed)),
             Style::kDim);
  if (frame.stats.events_lost > 0)
    line.Add(fmt::format(" {} {} lost (--ring-size)", dot, Short(frame.stats.events_lost)), Style::kWarning);
  return line;
}

TextLine EventLine(const EventRow& row, const Canvas& canvas) {
  TextLine line(ClockTime(row.time_unix_ns), Style::kDim);
  line.Add(" " + Printable(row.label, canvas.utf8) + " ", row.alert       ? Style::kBad
                                                          : row.important ? Style::kWarning
                                                                          : Style::kPlain);
  if (row.times > 1) line.Add(fmt::format("{}{} ", GlyphsOf(canvas).times, Grouped(row.times)), Style::kBold);
  line.Add(Printable(row.text, canvas.utf8));
  return line;
}

std::size_t RowsOf(const MonitorFrame& frame, const Canvas& canvas) {
  switch (frame.view) {
    case View::kFlows:
    case View::kDetails: return frame.flows.size();
    case View::kNames: return frame.names.size();
    case View::kTraffic: return TrafficRows(frame.traffic, canvas);
    case View::kHost: return HostRows(frame.stats.host, canvas);
  }
  return 0;
}

// A title, a head line and `rows` of what the view shows.
std::vector<TextLine> Body(const MonitorFrame& frame, std::size_t rows, const Canvas& canvas) {
  if (frame.view == View::kTraffic) return RenderTraffic(frame.traffic, rows, canvas);
  if (frame.view == View::kHost) return RenderHost(frame.stats.host, rows, canvas);
  if (frame.view == View::kNames) return RenderNames(frame.names, frame.name_counts, rows, canvas);
  std::vector<TextLine> lines{FlowTitle(frame, canvas)};
  Append(lines, RenderFlows(frame.flows, rows, frame.stats.time_unix_ns, frame.view, canvas));
  return lines;
}

struct Shares {
  std::size_t rows;
  std::size_t events;
};

// Events get a third of the lines, at most ten; who needs less leaves the rest to the other.
Shares ShareLines(const MonitorFrame& frame, int lines, const Canvas& canvas) {
  const auto room = static_cast<std::size_t>(std::max(lines, 0));
  const std::size_t for_events = std::clamp<std::size_t>(room / 3, std::min<std::size_t>(1, room), 10);
  Shares shares{std::min(RowsOf(frame, canvas), room), std::min(frame.events.size(), room)};
  if (shares.rows + shares.events <= room) return shares;
  shares.events = std::min(shares.events, std::max(for_events, room - shares.rows));
  shares.rows = std::min(shares.rows, room - shares.events);
  return shares;
}

// The page down to the distributions.
std::vector<TextLine> Upper(const MonitorFrame& frame, const Canvas& canvas) {
  const bool endless = canvas.height == 0, roomy = endless || canvas.height >= kRoomyHeight;
  std::vector<TextLine> lines{Header(frame, canvas)};
  Append(lines, Hints(frame, canvas));
  if (roomy) lines.emplace_back();
  const int for_interfaces = endless ? kEndless : std::max(2, (canvas.height - 4) * 2 / 5);
  Append(lines, RenderInterfaces(frame.stats, frame.interval, for_interfaces, canvas));
  // The host's view has several tables of its own.
  const int least = frame.view == View::kHost ? kRoomyHeight : kHeightForDistributions;
  if (endless || canvas.height >= least) {
    if (roomy) lines.emplace_back();
    Append(lines, RenderDistributions(frame.stats, roomy ? 8 : 4, canvas));
  }
  return lines;
}

}  // namespace

std::vector<TextLine> RenderMonitor(const MonitorFrame& frame, const Canvas& canvas) {
  const bool endless = canvas.height == 0, roomy = endless || canvas.height >= kRoomyHeight;
  const bool with_events = endless || canvas.height >= kHeightForEvents;
  std::vector<TextLine> lines = Upper(frame, canvas);

  // Titles, the flows' head line, the ledger, and the blank lines between.
  const int fixed = 2 + (with_events ? 1 : 0) + 1 + (roomy ? 3 : 0);
  const int left = endless ? kEndless : canvas.height - static_cast<int>(lines.size()) - fixed;
  Shares shares = ShareLines(frame, left, canvas);
  if (!with_events)
    shares = {std::min<std::size_t>(RowsOf(frame, canvas), static_cast<std::size_t>(std::max(left, 0))), 0};

  if (roomy) lines.emplace_back();
  Append(lines, Body(frame, shares.rows, canvas));
  if (with_events) {
    if (roomy) lines.emplace_back();
    lines.push_back(EventTitle(frame, canvas));
    for (std::size_t i = frame.events.size() - shares.events; i < frame.events.size(); ++i)
      lines.push_back(EventLine(frame.events[i], canvas));
  }
  if (roomy) lines.emplace_back();
  if (!endless) lines.resize(static_cast<std::size_t>(std::max(canvas.height - 1, 0)));
  if (endless || canvas.height >= 1) lines.push_back(RenderLedgerLine(frame.stats.total, canvas));
  for (TextLine& line : lines) line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  return lines;
}

}  // namespace knp::cli
