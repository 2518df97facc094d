// See ledger_text.h.
#include "src/cli/ledger_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

Count Accounted(const Ledger& ledger) {
  Count sum = ledger.in_flows;
  sum += ledger.in_flight;
  sum += SumOf(ledger.remainder);
  sum += SumOf(ledger.lost);
  return sum;
}

bool AddsUp(const Ledger& ledger) { return Accounted(ledger) == ledger.seen; }

std::string GapText(const Ledger& ledger) {
  const Count sum = Accounted(ledger);
  if (sum.packets == ledger.seen.packets) return "bytes do not add up";
  const bool missing = ledger.seen.packets > sum.packets;
  const std::uint64_t gap = missing ? ledger.seen.packets - sum.packets : sum.packets - ledger.seen.packets;
  return fmt::format("{} packets {}", Grouped(gap), missing ? "unaccounted for" : "too many");
}

// "arp 12, non_ip 3", the largest first.
std::string Breakdown(const std::map<std::string, Count>& counts) {
  std::vector<std::pair<std::string, Count>> rows;
  for (const auto& row : counts)
    if (row.second.packets > 0) rows.push_back(row);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.packets > b.second.packets; });
  std::string text;
  for (const auto& [name, count] : rows)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, Grouped(count.packets));
  return text;
}

TextLine Equation(const Ledger& ledger, bool full, bool labelled, const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  const auto number = [full](std::uint64_t value) { return full ? Grouped(value) : Short(value); };
  TextLine line;
  if (labelled) line.Add("LEDGER ", Style::kTitle);
  line.Add("seen ").Add(number(ledger.seen.packets), Style::kBold);
  line.Add(" = in flows ").Add(number(ledger.in_flows.packets), Style::kBold);
  line.Add(" + remainder ").Add(number(SumOf(ledger.remainder).packets), Style::kBold);
  const std::uint64_t lost = SumOf(ledger.lost).packets;
  line.Add(" + lost ").Add(number(lost), lost > 0 ? Style::kBad : Style::kBold);
  line.Add(" + in flight ").Add(number(ledger.in_flight.packets), Style::kBold);
  if (AddsUp(ledger))
    line.Add(fmt::format(" {}", glyphs.check), Style::kGood).Add(labelled ? " balanced" : "", Style::kGood);
  else
    line.Add(fmt::format(" {} {}", glyphs.cross, labelled ? GapText(ledger) : ""), Style::kBad);
  return line;
}

}  // namespace

Count SumOf(const std::map<std::string, Count>& counts) {
  Count sum;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

TextLine RenderLedgerLine(const Ledger& ledger, const Canvas& canvas) {
  // One that does not add up says so before it shows more digits.
  if (!AddsUp(ledger)) {
    TextLine line("LEDGER ", Style::kTitle);
    line.Add(fmt::format("{} {}: ", GlyphsOf(canvas).cross, GapText(ledger)), Style::kBad);
    line.Add(Equation(ledger, canvas.width >= 200, false, canvas));
    return line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  }
  for (const bool full : {true, false})
    for (const bool labelled : {true, false}) {
      TextLine line = Equation(ledger, full, labelled, canvas);
      if (line.width() <= canvas.width) return line;
    }
  return Equation(ledger, false, false, canvas).CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
}

std::vector<TextLine> RenderLedger(const Ledger& ledger, const Canvas& canvas) {
  struct Entry {
    const char* name;
    Count count;
    std::string detail;
    Style style;
  };
  const Count lost = SumOf(ledger.lost);
  const Entry entries[] = {
      {"seen", ledger.seen, "", Style::kBold},
      {"= in flows", ledger.in_flows, "", Style::kPlain},
      {"+ remainder", SumOf(ledger.remainder), Breakdown(ledger.remainder), Style::kPlain},
      {"+ lost", lost, Breakdown(ledger.lost), lost.packets > 0 ? Style::kBad : Style::kPlain},
      {"+ in flight", ledger.in_flight, "", Style::kWarning},
  };
  int packets_width = 0, bytes_width = 0;
  for (const Entry& entry : entries) {
    packets_width = std::max(packets_width, DisplayWidth(Grouped(entry.count.packets)));
    bytes_width = std::max(bytes_width, DisplayWidth(Grouped(entry.count.bytes)));
  }
  std::vector<TextLine> lines;
  for (const Entry& entry : entries) {
    TextLine line(Cell(entry.name, 12, Align::kLeft, ""));
    line.Add(Cell(Grouped(entry.count.packets), packets_width, Align::kRight, "") + " packets  " +
                 Cell(Grouped(entry.count.bytes), bytes_width, Align::kRight, "") + " bytes",
             entry.style);
    if (!entry.detail.empty()) line.Add("  " + Printable(entry.detail, canvas.utf8), Style::kDim);
    lines.push_back(std::move(line));
  }
  const Glyphs& glyphs = GlyphsOf(canvas);
  if (ledger.Balanced())
    lines.emplace_back(fmt::format("{} balanced: every packet is accounted for", glyphs.check), Style::kGood);
  else
    lines.emplace_back(fmt::format("{} NOT BALANCED: {}", glyphs.cross, ImbalanceText(ledger)), Style::kBad);
  return lines;
}

std::string ImbalanceText(const Ledger& ledger) {
  if (ledger.Balanced()) return "";
  return AddsUp(ledger) ? fmt::format("{} packets are still in flight", Grouped(ledger.in_flight.packets))
                        : GapText(ledger);
}

}  // namespace knp::cli
