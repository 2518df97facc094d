// See host_table.h.
#include "src/cli/host_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "src/cli/flow_texts.h"
#include "src/cli/quantities.h"
#include "src/cli/top_flows.h"

namespace knp::cli {
namespace {

constexpr std::size_t kMostEndless = 10;   // rows of a table, on a page without end
constexpr std::size_t kMostInSummary = 5;  // likewise, of the last words
constexpr int kHeightForPieces = 32;       // of a page: each piece has a line of its own if all fits

struct Column {
  const char* head;
  Align align;
  int most;  // columns of text
};
using Texts = std::vector<std::string>;

// Columns as wide as their longest text. What is too wide for the canvas is cut on the right: the last columns are
// worth least.
std::vector<TextLine> Table(const std::vector<Column>& columns, const std::vector<Texts>& rows, const Canvas& canvas) {
  std::vector<int> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    int width = DisplayWidth(columns[i].head);
    for (const Texts& row : rows) width = std::max(width, std::min(DisplayWidth(row[i]), columns[i].most));
    widths.push_back(width);
  }
  const char* ellipsis = GlyphsOf(canvas).ellipsis;
  std::vector<TextLine> lines(1);
  for (std::size_t i = 0; i < columns.size(); ++i)
    lines[0].Add((i == 0 ? "" : "  ") + Cell(columns[i].head, widths[i], columns[i].align, ellipsis),
                 i == 0 ? Style::kTitle : Style::kDim);
  for (const Texts& row : rows) {
    TextLine line;
    for (std::size_t i = 0; i < columns.size(); ++i)
      line.Add((i == 0 ? "" : "  ") + Cell(row[i], widths[i], columns[i].align, ellipsis));
    lines.push_back(std::move(line));
  }
  return lines;
}

// "behind hook".
std::string PositionText(DropPosition position) {
  std::string text = DropPositionName(position);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::vector<TextLine> Drops(const HostReport& report, std::size_t most, const Canvas& canvas) {
  // Full numbers where they fit: they are compared with other tools'.
  const auto number = [&](std::uint64_t value) { return canvas.width < 90 ? Short(value) : Grouped(value); };
  std::vector<Texts> rows;
  for (std::size_t i = 0; i < std::min(most, report.drops.size()); ++i) {
    const DropTotal& drop = report.drops[i];
    rows.push_back({Printable(drop.reason.empty() ? "(not told)" : drop.reason, canvas.utf8),
                    number(drop.count.packets), number(drop.count.bytes), Printable(drop.location, canvas.utf8),
                    Printable(drop.interface, canvas.utf8), PositionText(drop.position)});
  }
  const int names = canvas.width < 90 ? 20 : 40;
  return Table({{"DROPS", Align::kLeft, names},
                {"packets", Align::kRight, 20},
                {"bytes", Align::kRight, 20},
                {"place", Align::kLeft, names},
                {"interface", Align::kLeft, 15},
                {"position", Align::kLeft, 11}},
               rows, canvas);
}

std::vector<TextLine> Listeners(const HostReport& report, std::size_t most, const Canvas& canvas) {
  std::vector<Texts> rows;
  for (std::size_t i = 0; i < std::min(most, report.listeners.size()); ++i) {
    const ListenerTotal& listener = report.listeners[i];
    rows.push_back(
        {fmt::format("{} {}", ProtocolName(listener.protocol),
                     EndpointText(listener.endpoint, true, canvas.width < 90 ? 24 : 47, canvas)),
         Grouped(listener.overflows),
         fmt::format("{}/{}", Short(std::uint64_t{listener.queued}), Short(std::uint64_t{listener.queue_limit})),
         Printable(ProcessText(listener.endpoint), canvas.utf8),
         Printable(HolderText(listener.endpoint), canvas.utf8)});
  }
  return Table({{"FULL LISTENERS", Align::kLeft, 52},
                {"overflows", Align::kRight, 26},
                {"queued", Align::kRight, 11},
                {"process", Align::kLeft, 24},
                {"container/unit", Align::kLeft, 32}},
               rows, canvas);
}

// "ECONNREFUSED 12, ETIMEDOUT 3", the most frequent first.
std::string FailuresText(const HostReport& report, const Canvas& canvas) {
  std::vector<std::pair<std::string, std::uint64_t>> rows(report.connect_failures.begin(),
                                                          report.connect_failures.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [error, count] : rows)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Printable(error, canvas.utf8), Grouped(count));
  return text;
}

const char* AnswerOf(const HostPiece& piece) { return !piece.on ? "off" : piece.why.empty() ? "on" : "partly"; }

// Pieces that are as they are for one reason are told together: "processes, sockets".
std::vector<std::pair<std::string, const HostPiece*>> Alike(const HostReport& report) {
  std::vector<std::pair<std::string, const HostPiece*>> groups;
  for (const HostPiece& piece : report.pieces) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&piece](const auto& group) {
      return group.second->on == piece.on && group.second->why == piece.why && group.second->how == piece.how;
    });
    if (same == groups.end())
      groups.emplace_back(piece.name, &piece);
    else
      same->first += ", " + piece.name;
  }
  return groups;
}

// "processes, sockets, drops on", and what is not.
TextLine PiecesLine(const HostReport& report) {
  TextLine line;
  for (const char* answer : {"on", "partly", "off"}) {
    std::string names;
    for (const HostPiece& piece : report.pieces)
      if (std::string_view(AnswerOf(piece)) == answer) names += (names.empty() ? "" : ", ") + piece.name;
    if (names.empty()) continue;
    const bool on = std::string_view(answer) == "on";
    line.Add(fmt::format("{}{}: ", line.width() == 0 ? "" : "  ", answer), Style::kDim);
    line.Add(names, on ? Style::kGood : Style::kWarning);
  }
  return line;
}

std::string LossText(const HostPiece& piece) {
  std::string text;
  if (piece.lost != 0) text += fmt::format("lost {} of the kernel's notices", Grouped(piece.lost));
  if (piece.forgotten != 0)
    text += fmt::format("{}forgot {} (host.capacity)", text.empty() ? "" : ", ", Grouped(piece.forgotten));
  return text;
}

// What is off or lacks something, with the reason; with `all`, every piece and how it is asked.
std::vector<TextLine> Pieces(const HostReport& report, bool all, const Canvas& canvas) {
  std::vector<TextLine> lines;
  for (const auto& [names, piece] : Alike(report)) {
    if (!all && piece->on && piece->why.empty()) continue;
    TextLine line(names, Style::kBold);
    line.Add(fmt::format(" {}", AnswerOf(*piece)), piece->on && piece->why.empty() ? Style::kGood : Style::kWarning);
    if (!piece->why.empty())
      line.Add(fmt::format(": {}{}", piece->on ? "lacks " : "", Printable(piece->why, canvas.utf8)));
    else if (!piece->how.empty())
      line.Add(": " + Printable(piece->how, canvas.utf8), Style::kDim);
    lines.push_back(std::move(line));
  }
  for (const HostPiece& piece : report.pieces)
    if (const std::string loss = LossText(piece); !loss.empty())
      lines.push_back(TextLine(piece.name, Style::kBold).Add(" " + loss, Style::kWarning));
  return lines;
}

void Append(std::vector<TextLine>& lines, std::vector<TextLine> more) {
  std::move(more.begin(), more.end(), std::back_inserter(lines));
}

// Both tables' rows. Listeners get a third of the lines; who needs less leaves the rest to the other.
struct Shares {
  std::size_t drops, listeners;
};

Shares ShareRows(const HostReport& report, std::size_t room) {
  // Their head line is a row.
  const auto lines_of = [](std::size_t rows) { return rows == 0 ? 0 : rows + 1; };
  const std::size_t drops = lines_of(report.drops.size()), listeners = lines_of(report.listeners.size());
  const std::size_t for_listeners = std::min(listeners, std::max(room / 3, room - std::min(room, drops)));
  return {std::min(drops, room - for_listeners), for_listeners};
}

std::vector<TextLine> Rows(const HostReport& report, std::size_t most, bool all, const Canvas& canvas) {
  std::vector<TextLine> lines = Pieces(report, all, canvas);
  // What was dropped is worth more than why something is not known.
  if (lines.size() > most / 2) lines.resize(most / 2);
  if (const std::string failures = FailuresText(report, canvas); !failures.empty() && lines.size() < most)
    lines.push_back(TextLine("FAILED CONNECTS", Style::kTitle).Add(" " + failures));
  Shares shares = ShareRows(report, most - lines.size());
  if (canvas.height == 0) {
    shares.drops = std::min(shares.drops, kMostEndless + 1);
    shares.listeners = std::min(shares.listeners, kMostEndless + 1);
  }
  if (shares.drops != 0) Append(lines, Drops(report, shares.drops - 1, canvas));
  if (shares.listeners != 0) Append(lines, Listeners(report, shares.listeners - 1, canvas));
  return lines;
}

constexpr std::size_t kEverything = 1000;  // rows: more than any report has

bool HasRoomForPieces(const Canvas& canvas) { return canvas.height == 0 || canvas.height >= kHeightForPieces; }

}  // namespace

std::size_t HostRows(const std::optional<HostReport>& report, const Canvas& canvas) {
  return report ? Rows(*report, kEverything, HasRoomForPieces(canvas), canvas).size() : 0;
}

std::vector<TextLine> RenderHost(const std::optional<HostReport>& report, std::size_t most, const Canvas& canvas) {
  TextLine title("HOST ", Style::kTitle);
  std::vector<TextLine> lines;
  if (!report) {
    lines.push_back(std::move(title.Add("not known: a capture has packets alone", Style::kDim)));
    lines.emplace_back();
  } else {
    const char* dot = GlyphsOf(canvas).dot;
    title.Add(fmt::format("{} sockets {} {} processes {} {} translations", Grouped(report->sockets), dot,
                          Grouped(report->processes), dot, Grouped(report->translations)));
    if (report->drops.empty()) title.Add(fmt::format(" {} nothing dropped", dot), Style::kDim);
    lines.push_back(std::move(title));
    lines.push_back(PiecesLine(*report));
    const bool all = HasRoomForPieces(canvas) && HostRows(report, canvas) <= most;
    Append(lines, Rows(*report, std::min(most, kEverything), all, canvas));
  }
  for (TextLine& line : lines) line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  return lines;
}

std::vector<TextLine> RenderHostSummary(const HostReport& report, const Canvas& canvas) {
  std::vector<TextLine> lines;
  if (!report.drops.empty()) Append(lines, Drops(report, kMostInSummary, canvas));
  if (report.drops.size() > kMostInSummary)
    lines.emplace_back(
        fmt::format("{} {} more reasons and places", GlyphsOf(canvas).ellipsis, report.drops.size() - kMostInSummary),
        Style::kDim);
  if (!report.listeners.empty()) Append(lines, Listeners(report, kMostInSummary, canvas));
  if (const std::string failures = FailuresText(report, canvas); !failures.empty())
    lines.push_back(TextLine("FAILED CONNECTS", Style::kTitle).Add(" " + failures));
  Append(lines, Pieces(report, false, canvas));
  return lines;
}

}  // namespace knp::cli
