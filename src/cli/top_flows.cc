// See top_flows.h.
#include "src/cli/top_flows.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <functional>
#include <numeric>

#include "src/base/protocols.h"
#include "src/cli/flow_texts.h"
#include "src/cli/quantities.h"
#include "src/export/json/json_text.h"

namespace knp::cli {
namespace {

constexpr int kLeastAddressWidth = 21;     // "255.255.255.255:65535"
constexpr int kWidthForNames = 100;        // of a canvas: full names of states
constexpr int kWidthForPackets = 120;      // packet rates and counts
constexpr int kWidthForStates = 150;       // the same beside details
constexpr int kWidthForSourcePorts = 100;  // likewise
constexpr int kDestinationHead = 11;
constexpr int kEnoughForAddress = 24;    // an IPv6 one's ends with a port; optional columns come after that
constexpr int kWidthForInterface = 175;  // below it, two full IPv6 addresses are worth more

struct Column {
  std::string head;
  int width;
  Align align;
  std::function<std::string(const FlowRow&)> text;
  int rank = 0;   // of the columns that may be left out, the lowest comes first; 0: stays
  int most = 16;  // of a column without a width of its own
};

// Which translated addresses stand beside the original ones: as many as there is room for.
enum class Pairs : std::uint8_t { kBoth, kDestination, kNone };

const char* ShortStateName(FlowState state) {
  switch (state) {
    case FlowState::kHalfOpen: return "half";
    case FlowState::kEstablished: return "est";
    case FlowState::kClosed: return "end";
    case FlowState::kReset: return "rst";
    case FlowState::kTimedOut: return "t/o";
    case FlowState::kActive: return "act";
  }
  return "?";
}

bool ShowsPort(const FlowRecord& flow) {
  const bool unknown = flow.fragments && flow.source.port == 0 && flow.destination.port == 0;
  return ProtocolHasPorts(flow.protocol) && !unknown;
}

bool AnyPort(const FlowRecord& flow, const Endpoint& end) { return flow.folded && end.port == 0; }

std::vector<std::string> SplitGroups(const std::string& ip) {
  std::vector<std::string> groups(1);
  for (const char c : ip) {
    if (c == ':')
      groups.emplace_back();
    else
      groups.back() += c;
  }
  return groups;
}

// Leading and trailing groups of `ip` around an ellipsis, in at most `width` columns.
std::string ElideGroups(const std::string& ip, int width, std::string_view ellipsis) {
  const std::vector<std::string> groups = SplitGroups(ip);
  const int mark = DisplayWidth(ellipsis);
  std::string head, tail;
  std::size_t front = 0, back = groups.size();
  const auto fits = [&](const std::string& group) {
    return static_cast<int>(head.size() + tail.size() + group.size() + 1) + mark <= width;
  };
  // The tail first: it tells hosts of one network apart. Then by turns, so that both ends grow.
  for (bool take_back = true; front + 1 < back; take_back = !take_back) {
    const std::string& group = take_back ? groups[back - 1] : groups[front];
    if (!fits(group)) break;
    if (take_back) {
      tail.insert(0, ":" + group);
      --back;
    } else {
      head += group + ":";
      ++front;
    }
  }
  if (tail.empty()) return Truncated(ip, width, ellipsis);
  return head + std::string(ellipsis) + tail;
}

std::vector<Column> RateColumns(const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  const bool packets = canvas.width >= kWidthForPackets;
  std::vector<Column> columns;
  const auto add = [&columns](std::string head, int width, std::function<std::string(const FlowRow&)> text) {
    columns.push_back({std::move(head), width, Align::kRight, std::move(text)});
  };
  if (packets)
    add(fmt::format("{}pkt/s", glyphs.arrow), 6, [](const FlowRow& r) { return Short(r.sent_packets_per_second); });
  add(fmt::format("{}bit/s", glyphs.arrow), 6, [](const FlowRow& r) { return Short(r.sent_bytes_per_second * 8); });
  if (packets)
    add(fmt::format("{}pkt/s", glyphs.back), 6, [](const FlowRow& r) { return Short(r.received_packets_per_second); });
  add(fmt::format("{}bit/s", glyphs.back), 6, [](const FlowRow& r) { return Short(r.received_bytes_per_second * 8); });
  if (packets) add("pkts", 5, [](const FlowRow& r) { return Short(r.flow.sent.packets + r.flow.received.packets); });
  add("bytes", 5, [](const FlowRow& r) { return Short(r.flow.sent.bytes + r.flow.received.bytes); });
  return columns;
}

// The name; of a translated destination that has none, and no room beside its address, the translated one.
std::string NameOrBackendText(const FlowRecord& flow, bool with_backend, const Canvas& canvas) {
  std::string name = NameText(flow);
  if (!name.empty() || !with_backend || !flow.translated || flow.translated->destination == flow.destination)
    return name;
  return GlyphsOf(canvas).becomes + EndpointText(flow.translated->destination, ShowsPort(flow), INT_MAX, canvas);
}

// By rank: what only this host can tell, what it is, how it fares, then what the packets say besides.
std::vector<Column> DetailColumns(const Canvas& canvas, Pairs pairs) {
  const bool narrow = canvas.width < kWidthForSourcePorts;
  const auto plain = [utf8 = canvas.utf8](auto text) {
    return [utf8, text](const FlowRow& row) { return Printable(text(row.flow), utf8); };
  };
  std::vector<Column> columns;
  columns.push_back({"app", 0, Align::kLeft, plain(AppText), 4});
  columns.push_back({"name", 0, Align::kLeft, plain([canvas, pairs](const FlowRecord& flow) {
                       return NameOrBackendText(flow, pairs == Pairs::kNone, canvas);
                     }),
                     5, std::clamp(canvas.width / (narrow ? 5 : 6), 12, 40)});
  columns.push_back({"rtt", 6, Align::kRight, plain(RoundTripText), 6});
  columns.push_back({"answer", 6, Align::kRight,
                     [](const FlowRow& row) {
                       return row.flow.first_answer_ns ? ShortSpan(std::chrono::nanoseconds(*row.flow.first_answer_ns))
                                                       : std::string();
                     },
                     7});
  columns.push_back({"process", 0, Align::kLeft,
                     plain([narrow](const FlowRecord& flow) { return ProcessesText(flow, !narrow); }), 1,
                     narrow ? 16 : 32});
  columns.push_back({"container/unit", 0, Align::kLeft, plain(HoldersText), 9, 32});
  columns.push_back({"retr", 4, Align::kRight, [](const FlowRow& row) { return RetransmitsText(row.flow); }, 3});
  columns.push_back({"drop", 0, Align::kLeft, plain(DropsText), 2, narrow ? 16 : 26});
  columns.push_back(
      {"pattern", 0, Align::kLeft, [](const FlowRow& row) { return TrafficPatternName(row.flow.pattern); }, 8});
  columns.push_back({"dscp", 4, Align::kRight,
                     [](const FlowRow& row) { return row.flow.dscp ? fmt::format("{}", *row.flow.dscp) : ""; }, 13});
  columns.push_back({"ttl", 3, Align::kRight,
                     [](const FlowRow& row) { return row.flow.ttl ? fmt::format("{}", *row.flow.ttl) : ""; }, 14});
  columns.push_back({"tunnel", 0, Align::kLeft, plain(TunnelText), 12});
  columns.push_back({"bytes", 5, Align::kRight,
                     [](const FlowRow& row) { return Short(row.flow.sent.bytes + row.flow.received.bytes); }, 10});
  return columns;
}

std::vector<Column> Columns(std::uint64_t now_unix_ns, View view, Pairs pairs, const Canvas& canvas) {
  std::vector<Column> columns;
  const bool names = canvas.width >= (view == View::kDetails ? kWidthForStates : kWidthForNames);
  columns.push_back(
      {names ? "proto" : "L4", 0, Align::kLeft, [](const FlowRow& row) { return ProtocolName(row.flow.protocol); }});
  columns.push_back({names ? "state" : "st", 0, Align::kLeft, [names](const FlowRow& row) -> std::string {
                       return names ? FlowStateName(row.flow.state) : ShortStateName(row.flow.state);
                     }});
  for (Column& column : view == View::kDetails ? DetailColumns(canvas, pairs) : RateColumns(canvas))
    columns.push_back(std::move(column));
  columns.push_back({"age", 4, Align::kRight,
                     [now_unix_ns](const FlowRow& row) {
                       const std::uint64_t until = row.flow.final ? row.flow.end_unix_ns : now_unix_ns;
                       return ShortAge(std::chrono::nanoseconds(until - std::min(row.flow.start_unix_ns, until)));
                     },
                     view == View::kDetails  ? 11
                     : pairs != Pairs::kNone ? 1
                                             : 0});
  if (canvas.width >= kWidthForInterface)
    columns.push_back({"seen on", 0, Align::kLeft, [utf8 = canvas.utf8](const FlowRow& row) {
                         if (row.flow.observations.empty()) return std::string();
                         return Printable(row.flow.observations.front().interface, utf8);
                       }});
  return columns;
}

// Columns without a width of their own take what their texts need.
void FitToContent(std::vector<Column>& columns, const std::vector<FlowRow>& rows, std::size_t shown) {
  for (Column& column : columns) {
    if (column.width != 0) continue;
    column.width = std::max(3, DisplayWidth(column.head));
    for (std::size_t i = 0; i < shown; ++i) column.width = std::max(column.width, DisplayWidth(column.text(rows[i])));
    column.width = std::min(column.width, column.most);
  }
}

int WidthOf(const std::vector<Column>& columns) {
  return std::accumulate(columns.begin(), columns.end(), 0,
                         [](int sum, const Column& column) { return sum + 1 + column.width; });
}

// Leaves out the columns for which there is no room beside the addresses. On a page that ends, where it is shown again
// and again, an empty column stays: what comes and goes is hard to read.
void LeaveOut(std::vector<Column>& columns, const std::vector<FlowRow>& rows, std::size_t shown, int addresses,
              const Canvas& canvas) {
  if (canvas.height == 0)
    std::erase_if(columns, [&](const Column& column) {
      return column.rank > 0 && std::all_of(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown),
                                            [&](const FlowRow& row) { return column.text(row).empty(); });
    });
  std::vector<Column*> by_rank;
  for (Column& column : columns) by_rank.push_back(&column);
  std::stable_sort(by_rank.begin(), by_rank.end(), [](const Column* a, const Column* b) { return a->rank < b->rank; });
  int room = canvas.width - addresses;
  for (Column* column : by_rank) {
    const bool stays = column->rank == 0 || column->width + 1 <= room;
    if (stays)
      room -= column->width + 1;
    else
      column->width = 0;
  }
  std::erase_if(columns, [](const Column& column) { return column.width == 0; });
}

struct AddressWidths {
  int source;
  int destination;
};

// One end, and beside it what it is translated to, if that is asked for and fits.
struct EndView {
  bool ports, pair;
};

std::string EndText(const FlowRecord& flow, const Endpoint& end, const Endpoint* translated, EndView view, int width,
                    const Canvas& canvas) {
  const bool port = view.ports && ShowsPort(flow) && !AnyPort(flow, end);
  std::string text = EndpointText(end, port, width, canvas);
  if (!view.pair || translated == nullptr || (port ? *translated == end : translated->ip == end.ip)) return text;
  const std::string pair = EndpointText(end, port, INT_MAX, canvas) + GlyphsOf(canvas).becomes +
                           EndpointText(*translated, port, INT_MAX, canvas);
  return DisplayWidth(pair) <= width ? pair : text;
}

std::string SourceText(const FlowRecord& flow, bool ports, Pairs pairs, int width, const Canvas& canvas) {
  return EndText(flow, flow.source, flow.translated ? &flow.translated->source : nullptr,
                 {.ports = ports, .pair = pairs == Pairs::kBoth}, width, canvas);
}

std::string DestinationText(const FlowRecord& flow, Pairs pairs, int width, const Canvas& canvas) {
  return EndText(flow, flow.destination, flow.translated ? &flow.translated->destination : nullptr,
                 {.ports = true, .pair = pairs != Pairs::kNone}, width, canvas);
}

// What both addresses take in full.
AddressWidths Need(const std::vector<FlowRow>& rows, std::size_t shown, bool source_ports, Pairs pairs,
                   const Canvas& canvas) {
  // A page that ends is shown again and again: its columns ought not to move. Where room is short, it is better used.
  const bool steady = canvas.height != 0 && source_ports && pairs == Pairs::kNone;
  const int least = steady ? kLeastAddressWidth : kDestinationHead;
  AddressWidths need{least, least};
  for (std::size_t i = 0; i < shown; ++i) {
    need.source = std::max(need.source, DisplayWidth(SourceText(rows[i].flow, source_ports, pairs, INT_MAX, canvas)));
    need.destination = std::max(need.destination, DisplayWidth(DestinationText(rows[i].flow, pairs, INT_MAX, canvas)));
  }
  return need;
}

// Shares `room` between both addresses: neither gets more than it needs while the other lacks.
AddressWidths ShareRoom(const AddressWidths& need, int room) {
  if (need.source + need.destination <= room) return need;
  const int half = std::max(room / 2, 1);
  if (need.source <= half) return {need.source, room - need.source};
  if (need.destination <= half) return {room - need.destination, need.destination};
  return {half, std::max(room - half, 1)};
}

Style StyleOf(FlowState state) {
  switch (state) {
    case FlowState::kReset:
    case FlowState::kHalfOpen: return Style::kWarning;
    case FlowState::kClosed:
    case FlowState::kTimedOut: return Style::kDim;
    default: return Style::kPlain;
  }
}

}  // namespace

std::string EndpointText(const Endpoint& endpoint, bool with_port, int width, const Canvas& canvas) {
  if (endpoint.ip.version == 0)  // of a folded flow
    return Truncated(with_port && endpoint.port != 0 ? fmt::format("* :{} (folded)", endpoint.port) : "* (folded)",
                     width, GlyphsOf(canvas).ellipsis);
  const std::string ip = endpoint.ip.ToString();
  const std::string port = with_port ? fmt::format(":{}", endpoint.port) : "";
  const char* ellipsis = GlyphsOf(canvas).ellipsis;
  if (endpoint.ip.version != 6) return Truncated(ip + port, width, ellipsis);
  const std::string open = with_port ? "[" : "", close = with_port ? "]" : "";
  const int room = width == INT_MAX ? INT_MAX : width - static_cast<int>(open.size() + close.size() + port.size());
  if (room < 4) return Truncated(open + ip + close + port, width, ellipsis);
  const bool fits = static_cast<int>(ip.size()) <= room;
  return open + (fits ? ip : ElideGroups(ip, room, ellipsis)) + close + port;
}

std::vector<TextLine> RenderFlows(const std::vector<FlowRow>& rows, std::size_t most, std::uint64_t now_unix_ns,
                                  View view, const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  const std::size_t shown = std::min(most, rows.size());
  const bool source_ports = view != View::kDetails || canvas.width >= kWidthForSourcePorts;
  const int arrow = DisplayWidth(glyphs.arrow) + 2;
  std::vector<Column> columns;
  AddressWidths widths{};
  const bool translated = std::any_of(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown),
                                      [](const FlowRow& row) { return row.flow.translated.has_value(); });
  Pairs pairs = translated ? Pairs::kBoth : Pairs::kNone;
  for (;; pairs = pairs == Pairs::kBoth ? Pairs::kDestination : Pairs::kNone) {
    columns = Columns(now_unix_ns, view, pairs, canvas);
    FitToContent(columns, rows, shown);
    const AddressWidths need = Need(rows, shown, source_ports, pairs, canvas);
    const bool in_full = pairs != Pairs::kNone && view == View::kFlows;
    const auto enough = [in_full](int width) { return in_full ? width : std::min(width, kEnoughForAddress); };
    LeaveOut(columns, rows, shown, arrow + enough(need.source) + enough(need.destination), canvas);
    const int room = std::max(canvas.width - arrow - WidthOf(columns), 2);
    widths = ShareRoom(need, room);
    if (pairs == Pairs::kNone || need.source + need.destination <= room) break;
  }

  TextLine head(Cell("source", widths.source, Align::kLeft, glyphs.ellipsis), Style::kDim);
  head.Add("   " + Cell("destination", widths.destination, Align::kLeft, glyphs.ellipsis), Style::kDim);
  for (const Column& column : columns)
    head.Add(" " + Cell(column.head, column.width, column.align, glyphs.ellipsis), Style::kDim);
  std::vector<TextLine> lines{std::move(head)};
  for (std::size_t i = 0; i < shown; ++i) {
    const FlowRecord& flow = rows[i].flow;
    TextLine line(Cell(SourceText(flow, source_ports, pairs, widths.source, canvas), widths.source, Align::kLeft,
                       glyphs.ellipsis));
    line.Add(fmt::format(" {} ", glyphs.arrow), Style::kDim);
    line.Add(Cell(DestinationText(flow, pairs, widths.destination, canvas), widths.destination, Align::kLeft,
                  glyphs.ellipsis));
    for (const Column& column : columns)
      line.Add(" " + Cell(column.text(rows[i]), column.width, column.align, glyphs.ellipsis), StyleOf(flow.state));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace knp::cli
