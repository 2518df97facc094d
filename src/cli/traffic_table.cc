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

struct Row {
  std::string name;
  const TrafficUse* use = nullptr;
};

double BitsPerSecond(const TrafficUse& use, std::uint32_t window_s) {
  for (const TrafficRate& rate : use.rates)
    if (rate.window_s == window_s) return rate.bytes_per_second * 8;
  return 0;
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
    rows.push_back({"app " + (application.name.empty() ? std::string("(not known)") : application.name), &application});
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
  if (layout.beside) {
    const int column = (canvas.width - kGap) / 2 + kGap;
    TextLine head = layout.hosts.Head();
    lines.push_back(head.PadTo(column).Add(layout.names.Head()));
    for (std::size_t i = 0; i < std::min(most, std::max(layout.hosts.size(), layout.names.size())); ++i) {
      TextLine line = i < layout.hosts.size() ? layout.hosts.Line(i) : TextLine();
      line.PadTo(column);
      if (i < layout.names.size()) line.Add(layout.names.Line(i));
      lines.push_back(std::move(line));
    }
    return lines;
  }
  // Half of the rows for either, what one leaves for the other.
  const std::size_t room = most == 0 ? 0 : most - 1;
  const std::size_t names =
      std::min(layout.names.size(), std::max(room / 2, room - std::min(room, layout.hosts.size())));
  const std::size_t hosts = std::min(layout.hosts.size(), room - names);
  lines.push_back(layout.hosts.Head());
  for (std::size_t i = 0; i < hosts; ++i) lines.push_back(layout.hosts.Line(i));
  if (most > 0) lines.push_back(layout.names.Head());
  for (std::size_t i = 0; i < names; ++i) lines.push_back(layout.names.Line(i));
  return lines;
}

}  // namespace knp::cli
