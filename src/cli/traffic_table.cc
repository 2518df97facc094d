// See traffic_table.h.
#include "src/cli/traffic_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

constexpr int kRateWidth = 6;
constexpr int kGap = 3;
constexpr int kWidthForTwoPanels = 130;
constexpr int kWidthForPercentile = 70;  // of a panel
constexpr const char* kApplications = "APPLICATIONS";

struct Row {
  std::string name;
  const TrafficUse* use = nullptr;
};

double BitsPerSecond(const TrafficUse& use, std::uint32_t window_s) {
  for (const TrafficRate& rate : use.rates)
    if (rate.window_s == window_s) return rate.bytes_per_second * 8;
  return 0;
}

std::string NameOf(const NamedTraffic& application) {
  return application.name.empty() ? "(not known)" : application.name;
}

// Hosts; or protocols, then applications.
std::vector<Row> HostRows(const TrafficReport& report) {
  std::vector<Row> rows;
  for (const HostTraffic& host : report.hosts)
    rows.push_back({host.dns_name.empty() ? host.ip.ToString() : host.dns_name, &host});
  return rows;
}

std::vector<Row> NamedRows(const TrafficReport& report) {
  std::vector<Row> rows;
  for (const NamedTraffic& protocol : report.protocols) rows.push_back({protocol.name, &protocol});
  for (const NamedTraffic& application : report.applications)
    rows.push_back({"app " + NameOf(application), &application});
  return rows;
}

class Panel {
 public:
  Panel(const char* title, std::vector<Row> rows, int width, const Canvas& canvas)
      : title_(title), rows_(std::move(rows)), canvas_(canvas), percentile_(width >= kWidthForPercentile) {
    name_width_ = std::max(width - (kRateWidth + 1) * (percentile_ ? 6 : 5), 12);
  }

  std::size_t size() const { return rows_.size(); }
  TextLine Head() const {
    TextLine line(Cell(title_, name_width_, Align::kLeft, ""), Style::kTitle);
    for (const char* head : {"1s", "10s", "60s", "peak"}) Add(line, head, Style::kDim);
    if (percentile_) Add(line, "p95", Style::kDim);
    Add(line, "bytes", Style::kDim);
    return line;
  }
  TextLine Line(std::size_t i) const {
    const TrafficUse& use = *rows_[i].use;
    TextLine line(Cell(Printable(rows_[i].name, canvas_.utf8), name_width_, Align::kLeft, GlyphsOf(canvas_).ellipsis));
    for (const std::uint32_t window_s : {1u, 10u, 60u}) Add(line, Short(BitsPerSecond(use, window_s)), Style::kPlain);
    Add(line, Short(static_cast<double>(use.peak.bytes) * 8), Style::kPlain);
    if (percentile_) Add(line, Short(static_cast<double>(use.p95.bytes) * 8), Style::kPlain);
    Add(line, Short(use.count.bytes), Style::kDim);
    return line;
  }

 private:
  static void Add(TextLine& line, const std::string& text, Style style) {
    line.Add(" " + Cell(text, kRateWidth, Align::kRight, ""), style);
  }
  const char* title_;
  std::vector<Row> rows_;
  const Canvas& canvas_;
  bool percentile_;
  int name_width_ = 0;
};

// One beside the other where there is room, else below.
struct Layout {
  Panel hosts, names;
  bool beside;
};

Layout LayoutOf(const TrafficReport& report, const Canvas& canvas) {
  const bool beside = canvas.width >= kWidthForTwoPanels;
  const int width = beside ? (canvas.width - kGap) / 2 : canvas.width;
  return {Panel("HOSTS (bit/s)", HostRows(report), width, canvas),
          Panel("PROTOCOLS, APPLICATIONS (bit/s)", NamedRows(report), width, canvas), beside};
}

std::vector<TextLine> Beside(const Layout& layout, std::size_t most, const Canvas& canvas) {
  const int column = (canvas.width - kGap) / 2 + kGap;
  std::vector<TextLine> lines{layout.hosts.Head()};
  lines.front().PadTo(column).Add(layout.names.Head());
  for (std::size_t i = 0; i < std::min(most, std::max(layout.hosts.size(), layout.names.size())); ++i) {
    TextLine line = i < layout.hosts.size() ? layout.hosts.Line(i) : TextLine();
    line.PadTo(column);
    if (i < layout.names.size()) line.Add(layout.names.Line(i));
    lines.push_back(std::move(line));
  }
  return lines;
}

// Half of the rows for either, what one leaves for the other; the second head line is a row.
std::vector<TextLine> Below(const Layout& layout, std::size_t most) {
  const std::size_t room = most == 0 ? 0 : most - 1;
  const std::size_t names =
      std::min(layout.names.size(), std::max(room / 2, room - std::min(room, layout.hosts.size())));
  const std::size_t hosts = std::min(layout.hosts.size(), room - names);
  std::vector<TextLine> lines{layout.hosts.Head()};
  for (std::size_t i = 0; i < hosts; ++i) lines.push_back(layout.hosts.Line(i));
  if (most > 0) lines.push_back(layout.names.Head());
  for (std::size_t i = 0; i < names; ++i) lines.push_back(layout.names.Line(i));
  return lines;
}

}  // namespace

std::size_t TrafficRows(const TrafficReport& report, const Canvas& canvas) {
  const Layout layout = LayoutOf(report, canvas);
  return layout.beside ? std::max(layout.hosts.size(), layout.names.size())
                       : layout.hosts.size() + layout.names.size() + 1;
}

std::vector<TextLine> RenderTraffic(const TrafficReport& report, std::size_t most, const Canvas& canvas) {
  const Layout layout = LayoutOf(report, canvas);
  TextLine title("TRAFFIC ", Style::kTitle);
  title.Add(fmt::format(
      "{}bit/s over 10 s {} peak {} {} p95 {} {} {} bytes so far", Short(BitsPerSecond(report.total, 10)),
      GlyphsOf(canvas).dot, Short(static_cast<double>(report.total.peak.bytes) * 8), GlyphsOf(canvas).dot,
      Short(static_cast<double>(report.total.p95.bytes) * 8), GlyphsOf(canvas).dot, Short(report.total.count.bytes)));
  std::vector<TextLine> lines{std::move(title)};
  for (TextLine& line : layout.beside ? Beside(layout, most, canvas) : Below(layout, most))
    lines.push_back(std::move(line));
  for (TextLine& line : lines) line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  return lines;
}

std::vector<TextLine> RenderApplications(const TrafficReport& report, std::size_t most, const Canvas& canvas) {
  std::vector<const NamedTraffic*> rows;
  for (const NamedTraffic& row : report.applications) rows.push_back(&row);
  if (std::none_of(rows.begin(), rows.end(), [](const NamedTraffic* row) { return !row->name.empty(); })) return {};
  std::stable_sort(rows.begin(), rows.end(),
                   [](const NamedTraffic* a, const NamedTraffic* b) { return a->count.bytes > b->count.bytes; });
  const std::size_t shown = std::min(most, rows.size());
  const auto name_of = [&](const NamedTraffic& row) { return Printable(NameOf(row), canvas.utf8); };
  int width = DisplayWidth(kApplications);
  for (std::size_t i = 0; i < shown; ++i) width = std::max(width, DisplayWidth(name_of(*rows[i])));
  width = std::min(width, std::max(canvas.width - 5 * (kRateWidth + 1), 12));

  std::vector<TextLine> lines{TextLine(Cell(kApplications, width, Align::kLeft, ""), Style::kTitle)};
  const auto add = [](TextLine& line, const std::string& text, Style style) {
    line.Add(" " + Cell(text, kRateWidth, Align::kRight, ""), style);
  };
  for (const char* head : {"bytes", "share", "pkts", "peak", "p95"}) add(lines.front(), head, Style::kDim);
  const std::string unit = "  (peak, p95: bit/s)";
  if (lines.front().width() + DisplayWidth(unit) <= canvas.width) lines.front().Add(unit, Style::kDim);
  for (std::size_t i = 0; i < shown; ++i) {
    const NamedTraffic& row = *rows[i];
    TextLine line(Cell(name_of(row), width, Align::kLeft, GlyphsOf(canvas).ellipsis));
    add(line, Short(row.count.bytes), Style::kPlain);
    add(line, Percent(row.count.bytes, report.total.count.bytes), Style::kPlain);
    add(line, Short(row.count.packets), Style::kPlain);
    add(line, Short(static_cast<double>(row.peak.bytes) * 8), Style::kPlain);
    add(line, Short(static_cast<double>(row.p95.bytes) * 8), Style::kPlain);
    lines.push_back(std::move(line));
  }
  if (shown < rows.size()) lines.emplace_back(fmt::format("+ {} more", Grouped(rows.size() - shown)), Style::kDim);
  for (TextLine& line : lines) line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  return lines;
}

}  // namespace knp::cli
