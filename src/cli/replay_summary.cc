// See replay_summary.h.
#include "src/cli/replay_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include "src/cli/distribution_panel.h"
#include "src/cli/host_table.h"
#include "src/cli/ledger_text.h"
#include "src/cli/monitor_summary.h"
#include "src/cli/quantities.h"
#include "src/cli/top_flows.h"
#include "src/cli/traffic_table.h"

namespace knp::cli {
namespace {

std::uint64_t BytesOf(const FlowRow& row) { return row.flow.sent.bytes + row.flow.received.bytes; }

// Larger first; equals in the order in which they were opened.
bool IsLarger(const FlowRow& a, const FlowRow& b) {
  return BytesOf(a) != BytesOf(b) ? BytesOf(a) > BytesOf(b) : a.flow.id < b.flow.id;
}

void Append(std::vector<TextLine>& lines, std::vector<TextLine> more) {
  std::move(more.begin(), more.end(), std::back_inserter(lines));
}

std::string Reasons(const std::map<std::string, std::uint64_t>& reasons) {
  std::string text;
  for (const auto& [reason, frames] : reasons)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", reason, Grouped(frames));
  return text;
}

// How the frames were parsed, and what is odd about the file.
std::vector<TextLine> Remarks(const ReplayReport& report, const Canvas& canvas) {
  std::vector<TextLine> lines;
  const auto remark = [&](const std::string& text, Style style) {
    lines.emplace_back(Printable(text, canvas.utf8), style);
  };
  if (report.interrupted)
    remark(fmt::format("INTERRUPTED after {} frames: the rest of the capture was not read", Grouped(report.frames)),
           Style::kWarning);
  if (!report.native_why.empty())
    remark("parsed natively, not in the kernel: " + report.native_why, Style::kWarning);
  else if (report.native_frames > 0)
    remark(fmt::format("{} frames parsed natively, which the kernel's test run does not take: {}",
                       Grouped(report.native_frames), Reasons(report.native_reasons)),
           Style::kDim);
  if (report.cut_by_snaplen > 0)
    remark(fmt::format("{} frames were captured in part; their bytes count in full", Grouped(report.cut_by_snaplen)),
           Style::kDim);
  if (report.times_clamped > 0)
    remark(fmt::format("{} frames were older than one before them and were taken to be of its time",
                       Grouped(report.times_clamped)),
           Style::kDim);
  if (!report.unknown_links.empty())
    remark("link types that are not understood: " + Reasons(report.unknown_links), Style::kWarning);
  for (const std::string& warning : report.warnings) remark(warning, Style::kWarning);
  return lines;
}

std::vector<TextLine> Events(const std::vector<EventRow>& events, const Canvas& canvas) {
  std::vector<TextLine> lines;
  for (const EventRow& row : events) {
    TextLine line(ClockTime(row.time_unix_ns), Style::kDim);
    line.Add(" " + Printable(row.label, canvas.utf8) + " ", row.alert ? Style::kBad : Style::kPlain);
    if (row.times > 1) line.Add(fmt::format("{}{} ", GlyphsOf(canvas).times, Grouped(row.times)), Style::kBold);
    line.Add(Printable(row.text, canvas.utf8));
    lines.push_back(std::move(line));
  }
  return lines;
}

// What the view shows, each part with a blank line after it.
std::vector<TextLine> Body(const ReplayPage& page, const Canvas& canvas) {
  std::vector<TextLine> lines;
  const View view = page.view.value_or(View::kDetails);
  const auto part = [&lines](std::vector<TextLine> more) {
    if (more.empty()) return;
    Append(lines, std::move(more));
    lines.emplace_back();
  };
  if (view == View::kNames) part(RenderNames(page.names, page.name_counts, page.most, canvas));
  if (view == View::kTraffic) part(RenderTraffic(page.traffic, TrafficRows(page.traffic, canvas), canvas));
  if (view == View::kHost) part(RenderHost(page.summary.stats.host, page.most, canvas));
  if ((view == View::kFlows || view == View::kDetails) && !page.largest.empty()) {
    lines.emplace_back("LARGEST FLOWS", Style::kTitle);
    part(RenderFlows(page.largest, page.largest.size(), page.summary.stats.time_unix_ns, view, canvas));
  }
  if (!page.view) part(RenderApplications(page.traffic, page.most, canvas));
  return lines;
}

}  // namespace

void LargestFlows::Add(const FlowRecord& flow) {
  if (most_ == 0 || (rows_.size() == most_ && flow.sent.bytes + flow.received.bytes <= BytesOf(rows_.front()))) return;
  FlowRow row;
  row.flow = flow;
  // Of a second at least: what a burst would come to is no rate.
  const auto life_ns = flow.end_unix_ns - std::min(flow.start_unix_ns, flow.end_unix_ns);
  const double seconds = std::max(static_cast<double>(life_ns) / 1e9, 1.0);
  row.sent_packets_per_second = static_cast<double>(flow.sent.packets) / seconds;
  row.sent_bytes_per_second = static_cast<double>(flow.sent.bytes) / seconds;
  row.received_packets_per_second = static_cast<double>(flow.received.packets) / seconds;
  row.received_bytes_per_second = static_cast<double>(flow.received.bytes) / seconds;
  if (rows_.size() == most_) {
    std::pop_heap(rows_.begin(), rows_.end(), IsLarger);
    rows_.pop_back();
  }
  rows_.push_back(std::move(row));
  std::push_heap(rows_.begin(), rows_.end(), IsLarger);
}

std::vector<FlowRow> LargestFlows::Take() {
  std::sort_heap(rows_.begin(), rows_.end(), IsLarger);
  return std::exchange(rows_, {});
}

std::vector<TextLine> RenderReplaySummary(const ReplayPage& page, const Canvas& canvas) {
  const json::Summary& summary = page.summary;
  std::vector<TextLine> lines = Body(page, canvas);
  Append(lines, RenderDistributions(summary.stats, 8, canvas));
  lines.emplace_back();
  if (!page.events.empty()) {
    lines.emplace_back("EVENTS", Style::kTitle);
    Append(lines, Events(page.events, canvas));
    lines.emplace_back();
  }
  Append(lines, RenderSummary(summary, canvas));
  if (summary.replay) {
    std::vector<TextLine> remarks = Remarks(*summary.replay, canvas);
    if (!remarks.empty()) lines.emplace_back();
    Append(lines, std::move(remarks));
  }
  return lines;
}

}  // namespace knp::cli
