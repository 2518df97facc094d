// See monitor_summary.h.
#include "src/cli/monitor_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "src/cli/host_table.h"
#include "src/cli/ledger_text.h"
#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

using Row = std::array<std::string, 5>;

Row RowOf(const InterfaceStats& interface, const Canvas& canvas) {
  return {Printable(interface.name, canvas.utf8), Grouped(interface.rx.packets), Grouped(interface.rx.bytes),
          Grouped(interface.tx.packets), Grouped(interface.tx.bytes)};
}

// The interfaces as a table whose columns are as wide as their longest text.
std::vector<TextLine> Interfaces(const PacketStats& stats, const Canvas& canvas) {
  std::vector<Row> rows{{"INTERFACE", "RX packets", "RX bytes", "TX packets", "TX bytes"}};
  for (const InterfaceStats& interface : stats.interfaces) rows.push_back(RowOf(interface, canvas));
  std::array<int, 5> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  std::vector<TextLine> lines;
  for (const Row& row : rows) {
    std::string text = Cell(row[0], widths[0], Align::kLeft, "");
    for (std::size_t i = 1; i < row.size(); ++i) text += "  " + Cell(row[i], widths[i], Align::kRight, "");
    lines.emplace_back(text, lines.empty() ? Style::kTitle : Style::kPlain);
  }
  return lines;
}

std::vector<TextLine> Remarks(const PacketStats& stats, const Canvas& canvas) {
  std::vector<TextLine> lines;
  for (const InterfaceStats& interface : stats.interfaces) {
    const std::string name = Printable(interface.name, canvas.utf8);
    if (interface.gone)
      lines.emplace_back(fmt::format("{} vanished; its counters stand as they were then", name), Style::kWarning);
    std::string troubles;
    for (const InterfaceTrouble& trouble : interface.troubles)
      troubles += fmt::format("{}{} {}", troubles.empty() ? "" : ", ", Printable(trouble.cause, canvas.utf8),
                              Grouped(trouble.count));
    if (!troubles.empty()) lines.emplace_back(fmt::format("{}: {}", name, troubles), Style::kWarning);
    const Unseen& unseen = interface.unseen;
    if (unseen.rx_packets == 0 && unseen.tx_packets == 0) continue;
    const std::string cause = unseen.cause.empty() ? "cause not known" : Printable(unseen.cause, canvas.utf8);
    lines.emplace_back(fmt::format("{} passed {} packets in and {} out that no hook of ours saw: {}", name,
                                   Grouped(unseen.rx_packets), Grouped(unseen.tx_packets), cause),
                       Style::kWarning);
  }
  return lines;
}

std::string MitigationText(const MitigationReport& report) {
  const bool dry_run = report.mode == MitigationMode::kDryRun;
  const Count& count = dry_run ? report.would_drop : report.dropped;
  std::string text = fmt::format("{} packets ({} bytes) {} by {} rules", Grouped(count.packets), Grouped(count.bytes),
                                 dry_run ? "would have been dropped" : "dropped", Grouped(report.rules.size()));
  if (report.over_cap.packets != 0)
    text += fmt::format(", {} more passed beyond the cap", Grouped(report.over_cap.packets));
  if (report.refused != 0) text += fmt::format(", {} refused", Grouped(report.refused));
  return text;
}

// What was dropped, the biggest first.
std::vector<TextLine> Mitigation(MitigationReport report, const Canvas& canvas) {
  constexpr std::size_t kRows = 10;
  const auto packets = [](const MitigationRule& rule) { return rule.dropped.packets + rule.would_drop.packets; };
  std::stable_sort(report.rules.begin(), report.rules.end(),
                   [&](const MitigationRule& a, const MitigationRule& b) { return packets(a) > packets(b); });
  std::vector<TextLine> lines;
  lines.emplace_back(fmt::format("MITIGATION ({})", MitigationModeName(report.mode)), Style::kTitle);
  lines.emplace_back(MitigationText(report));
  for (std::size_t i = 0; i < report.rules.size() && i < kRows; i++)
    lines.emplace_back(fmt::format("  {}  {} packets  {}",
                                   Cell(report.rules[i].prefix.ToString(), 15, Align::kLeft, ""),
                                   Grouped(packets(report.rules[i])), Printable(report.rules[i].reason, canvas.utf8)));
  return lines;
}

TextLine EvidenceLine(const EvidenceReport& report, const Canvas& canvas) {
  std::string text = fmt::format("Evidence: {} packets in {} files of {}", Grouped(report.packets),
                                 Grouped(report.files), Printable(report.directory, canvas.utf8));
  if (report.skipped_alerts != 0) text += fmt::format("; none of {} alerts", Grouped(report.skipped_alerts));
  if (!report.trouble.empty()) text += "; " + Printable(report.trouble, canvas.utf8);
  return TextLine(text, report.trouble.empty() ? Style::kPlain : Style::kWarning);
}

}  // namespace

std::vector<TextLine> RenderSummary(const json::Summary& summary, const Canvas& canvas) {
  const PacketStats& stats = summary.stats;
  const std::uint64_t run_ns = stats.time_unix_ns - std::min(stats.since_unix_ns, stats.time_unix_ns);
  const std::uint64_t malformed = json::MalformedPackets(stats.total);
  std::vector<TextLine> lines;
  lines.emplace_back(fmt::format("SUMMARY of {}", Elapsed(std::chrono::nanoseconds(run_ns))), Style::kTitle);
  lines.emplace_back();
  for (TextLine& line : Interfaces(stats, canvas)) lines.push_back(std::move(line));
  for (TextLine& line : Remarks(stats, canvas)) lines.push_back(std::move(line));
  lines.emplace_back();
  lines.emplace_back(fmt::format("{} flows, {} alerts, {} malformed packets", Grouped(summary.flows),
                                 Grouped(summary.alerts), Grouped(malformed)));
  if (stats.folded.packets > 0)
    lines.emplace_back(
        fmt::format("{} packets, {} bytes of a flood are in folded flows: counted, each by itself not told",
                    Grouped(stats.folded.packets), Grouped(stats.folded.bytes)),
        Style::kWarning);
  if (stats.evidence) lines.push_back(EvidenceLine(*stats.evidence, canvas));
  if (stats.host) {
    std::vector<TextLine> host = RenderHostSummary(*stats.host, canvas);
    if (!host.empty()) lines.emplace_back();
    for (TextLine& line : host) lines.push_back(std::move(line));
  }
  if (stats.mitigation) {
    lines.emplace_back();
    for (TextLine& line : Mitigation(*stats.mitigation, canvas)) lines.push_back(std::move(line));
  }
  lines.emplace_back();
  lines.emplace_back("LEDGER of all interfaces", Style::kTitle);
  for (TextLine& line : RenderLedger(stats.total, canvas)) lines.push_back(std::move(line));
  return lines;
}

}  // namespace knp::cli
