// See interface_table.h.
#include "src/cli/interface_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "src/cli/quantities.h"
#include "src/export/json/json_lines.h"

namespace knp::cli {
namespace {

constexpr int kNameWidth = 15;  // IFNAMSIZ - 1
constexpr int kWindowWidth = 4;
constexpr int kRateWidth = 9;
constexpr int kFullWidth = kNameWidth + 1 + kWindowWidth + 4 * (1 + kRateWidth);

// Columns of the totals: every digit of up to 999 trillion if the canvas is wide enough.
int TotalWidth(const Canvas& canvas) { return std::clamp((canvas.width - kFullWidth) / 2 - 1, 9, 23); }

std::string Total(std::uint64_t value, const char* unit, int width) {
  std::string text = fmt::format("{} {}", Grouped(value), unit);
  const bool bytes = std::string_view(unit) == "B";
  if (DisplayWidth(text) > width) text = fmt::format("{}{}{}", Short(value), bytes ? "" : " ", unit);
  return text;
}

TextLine Head(const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  std::string text = Cell("INTERFACE", kNameWidth, Align::kLeft, glyphs.ellipsis);
  text += ' ' + Cell("over", kWindowWidth, Align::kRight, glyphs.ellipsis);
  for (const char* name : {"RX pkt/s", "RX bit/s", "TX pkt/s", "TX bit/s"})
    text += ' ' + Cell(name, kRateWidth, Align::kRight, glyphs.ellipsis);
  for (const char* name : {"RX total", "TX total"})
    text += ' ' + Cell(name, TotalWidth(canvas), Align::kRight, glyphs.ellipsis);
  return TextLine(text, Style::kTitle);
}

bool InTrouble(const InterfaceStats& interface) {
  return interface.gone || interface.hook_shadowed || !interface.attached;
}

TextLine NameCell(const InterfaceStats* interface, const Canvas& canvas) {
  const std::string name = interface == nullptr ? "" : Printable(interface->name, canvas.utf8);
  const Style style = interface != nullptr && InTrouble(*interface) ? Style::kBad : Style::kBold;
  return TextLine(Cell(name, kNameWidth, Align::kLeft, GlyphsOf(canvas).ellipsis), style);
}

void AddRates(TextLine& line, const Rates* rates, const Canvas& canvas) {
  const auto cell = [&](const std::string& text, int width) {
    line.Add(' ' + Cell(text, width, Align::kRight, GlyphsOf(canvas).ellipsis));
  };
  cell(rates == nullptr ? "" : fmt::format("{}s", rates->window_s), kWindowWidth);
  cell(rates == nullptr ? "" : Short(rates->rx_packets_per_second), kRateWidth);
  cell(rates == nullptr ? "" : Short(rates->rx_bytes_per_second * 8), kRateWidth);
  cell(rates == nullptr ? "" : Short(rates->tx_packets_per_second), kRateWidth);
  cell(rates == nullptr ? "" : Short(rates->tx_bytes_per_second * 8), kRateWidth);
}

void AddTotals(TextLine& line, const InterfaceStats& interface, std::size_t row, const Canvas& canvas) {
  const int width = TotalWidth(canvas);
  for (const TrafficCount* count : {&interface.rx, &interface.tx}) {
    const std::string text = row == 0   ? Total(count->packets, "pkt", width)
                             : row == 1 ? Total(count->bytes, "B", width)
                             : row == 2 ? Total(count->skbs, "skb", width)
                                        : "";
    line.Add(' ' + Cell(text, width, Align::kRight, GlyphsOf(canvas).ellipsis));
  }
}

// Every window on a line of its own, beside packets, bytes and skbs.
void AppendTall(std::vector<TextLine>& lines, const InterfaceStats& interface, const Canvas& canvas) {
  for (std::size_t row = 0; row < std::max<std::size_t>(interface.rates.size(), 3); ++row) {
    TextLine line = NameCell(row == 0 ? &interface : nullptr, canvas);
    AddRates(line, row < interface.rates.size() ? &interface.rates[row] : nullptr, canvas);
    AddTotals(line, interface, row, canvas);
    lines.push_back(std::move(line));
  }
}

void AppendShort(std::vector<TextLine>& lines, const InterfaceStats& interface, std::chrono::milliseconds interval,
                 const Canvas& canvas) {
  TextLine line = NameCell(&interface, canvas);
  AddRates(line, json::NearestWindow(interface, interval), canvas);
  AddTotals(line, interface, 1, canvas);
  lines.push_back(std::move(line));
}

// What is wrong with an interface, in a line; empty if nothing.
TextLine Trouble(const InterfaceStats& interface, const Canvas& canvas) {
  TextLine line;
  const auto add = [&](const std::string& text, Style style) {
    line.Add(line.width() == 0 ? fmt::format("  {}: ", Printable(interface.name, canvas.utf8)) : "; ");
    line.Add(text, style);
  };
  if (interface.gone)
    add("GONE, its counters stand as they were", Style::kBad);
  else if (!interface.attached)
    add("detached, its counters stand as they were", Style::kWarning);
  if (interface.hook_shadowed) add("SHADOWED", Style::kBad);
  if (interface.hook_repairs != 0)
    add(fmt::format("hook removed and put back: {}", Short(interface.hook_repairs)), Style::kWarning);
  const Unseen& unseen = interface.unseen;
  if (unseen.rx_packets != 0 || unseen.tx_packets != 0) {
    add(fmt::format("unseen rx {} tx {}", Short(unseen.rx_packets), Short(unseen.tx_packets)), Style::kWarning);
    line.Add(unseen.cause.empty() ? ", cause not known" : ": " + Printable(unseen.cause, canvas.utf8));
  } else if (interface.hook_shadowed && !unseen.cause.empty()) {
    line.Add(": " + Printable(unseen.cause, canvas.utf8));
  }
  for (const InterfaceTrouble& trouble : interface.troubles)
    add(fmt::format("{} {}", Printable(trouble.cause, canvas.utf8), Short(trouble.count)), Style::kWarning);
  return line;
}

}  // namespace

std::vector<TextLine> RenderInterfaces(const PacketStats& stats, std::chrono::milliseconds interval, int most_lines,
                                       const Canvas& canvas) {
  std::vector<TextLine> troubles;
  std::size_t tall_lines = 0;
  for (const InterfaceStats& interface : stats.interfaces) {
    TextLine trouble = Trouble(interface, canvas);
    if (trouble.width() > 0) troubles.push_back(std::move(trouble));
    tall_lines += std::max<std::size_t>(interface.rates.size(), 3);
  }
  const auto room = static_cast<std::size_t>(std::max(most_lines, 2)) - 1;
  // Troubles beyond a third of the room would hide the interfaces that work.
  if (troubles.size() > std::max<std::size_t>(room / 3, 1)) troubles.resize(std::max<std::size_t>(room / 3, 1));
  const std::size_t for_rows = std::max<std::size_t>(room - std::min(room, troubles.size()), 1);

  std::vector<TextLine> lines{Head(canvas)};
  const bool all_fit = stats.interfaces.size() <= for_rows;
  const std::size_t shown = all_fit ? stats.interfaces.size() : for_rows - 1;
  for (std::size_t i = 0; i < shown; ++i) {
    if (tall_lines <= for_rows)
      AppendTall(lines, stats.interfaces[i], canvas);
    else
      AppendShort(lines, stats.interfaces[i], interval, canvas);
  }
  if (!all_fit)
    lines.emplace_back(fmt::format("{} {} more interfaces", GlyphsOf(canvas).ellipsis, stats.interfaces.size() - shown),
                       Style::kDim);
  lines.insert(lines.end(), troubles.begin(), troubles.end());
  return lines;
}

}  // namespace knp::cli
