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
  int rank = 0;  // of the columns that may be left out, the largest goes first; 0: stays
};

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

std::vector<Column> DetailColumns(const Canvas& canvas) {
  const auto plain = [utf8 = canvas.utf8](auto text) {
    return [utf8, text](const FlowRow& row) { return Printable(text(row.flow), utf8); };
  };
  std::vector<Column> columns;
  columns.push_back({"app", 0, Align::kLeft, plain(AppText)});
  columns.push_back({"name", 0, Align::kLeft, plain(NameText)});
  columns.push_back({"rtt", 6, Align::kRight, plain(RoundTripText)});
  columns.push_back({"answer", 6, Align::kRight, [](const FlowRow& row) {
                       return row.flow.first_answer_ns ? ShortSpan(std::chrono::nanoseconds(*row.flow.first_answer_ns))
                                                       : std::string();
                     }});
  columns.push_back({"process", 0, Align::kLeft, plain(ProcessesText), 1});
  columns.push_back({"retr", 4, Align::kRight, [](const FlowRow& row) { return RetransmitsText(row.flow); }, 2});
  columns.push_back({"drop", 4, Align::kRight, [](const FlowRow& row) { return DropsText(row.flow); }, 2});
  columns.push_back(
      {"pattern", 0, Align::kLeft, [](const FlowRow& row) { return TrafficPatternName(row.flow.pattern); }, 1});
  columns.push_back({"dscp", 4, Align::kRight,
                     [](const FlowRow& row) { return row.flow.dscp ? fmt::format("{}", *row.flow.dscp) : ""; }, 4});
  columns.push_back({"ttl", 3, Align::kRight,
                     [](const FlowRow& row) { return row.flow.ttl ? fmt::format("{}", *row.flow.ttl) : ""; }, 5});
  columns.push_back({"tunnel", 0, Align::kLeft, plain(TunnelText), 3});
  columns.push_back({"bytes", 5, Align::kRight,
                     [](const FlowRow& row) { return Short(row.flow.sent.bytes + row.flow.received.bytes); }});
  return columns;
}

std::vector<Column> Columns(std::uint64_t now_unix_ns, View view, const Canvas& canvas) {
  std::vector<Column> columns;
  const bool names = canvas.width >= (view == View::kDetails ? kWidthForStates : kWidthForNames);
  columns.push_back(
      {names ? "proto" : "L4", 0, Align::kLeft, [](const FlowRow& row) { return ProtocolName(row.flow.protocol); }});
  columns.push_back({names ? "state" : "st", 0, Align::kLeft, [names](const FlowRow& row) -> std::string {
                       return names ? FlowStateName(row.flow.state) : ShortStateName(row.flow.state);
                     }});
  for (Column& column : view == View::kDetails ? DetailColumns(canvas) : RateColumns(canvas))
    columns.push_back(std::move(column));
  columns.push_back({"age", 4, Align::kRight,
                     [now_unix_ns](const FlowRow& row) {
                       const std::uint64_t until = row.flow.final ? row.flow.end_unix_ns : now_unix_ns;
                       return ShortAge(std::chrono::nanoseconds(until - std::min(row.flow.start_unix_ns, until)));
                     },
                     view == View::kDetails ? 2 : 0});
  if (canvas.width >= kWidthForInterface)
    columns.push_back({"seen on", 0, Align::kLeft, [utf8 = canvas.utf8](const FlowRow& row) {
                         if (row.flow.observations.empty()) return std::string();
                         return Printable(row.flow.observations.front().interface, utf8);
                       }});
  return columns;
}

// Columns without a width of their own take what their texts need.
void FitToContent(std::vector<Column>& columns, const std::vector<FlowRow>& rows, std::size_t shown,
                  const Canvas& canvas) {
  for (Column& column : columns) {
    if (column.width != 0) continue;
    column.width = std::max(3, DisplayWidth(column.head));
    for (std::size_t i = 0; i < shown; ++i) column.width = std::max(column.width, DisplayWidth(column.text(rows[i])));
    column.width = std::min(
        column.width,
        column.head == "name" ? std::clamp(canvas.width / (canvas.width < kWidthForSourcePorts ? 7 : 5), 12, 40) : 16);
  }
}

int WidthOf(const std::vector<Column>& columns) {
  return std::accumulate(columns.begin(), columns.end(), 0,
                         [](int sum, const Column& column) { return sum + 1 + column.width; });
}

// Leaves out columns until the addresses have room enough. On a page that ends, where it is shown again and again, an
// empty column stays: what comes and goes is hard to read.
void LeaveOut(std::vector<Column>& columns, const std::vector<FlowRow>& rows, std::size_t shown, int addresses,
              const Canvas& canvas) {
  if (canvas.height == 0)
    std::erase_if(columns, [&](const Column& column) {
      return column.rank > 0 && std::all_of(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown),
                                            [&](const FlowRow& row) { return column.text(row).empty(); });
    });
  while (WidthOf(columns) + addresses > canvas.width) {
    const auto last = std::max_element(columns.begin(), columns.end(),
                                       [](const Column& a, const Column& b) { return a.rank < b.rank; });
    if (last == columns.end() || last->rank == 0) return;
    columns.erase(last);
  }
}

struct AddressWidths {
  int source;
  int destination;
};

// What both addresses take in full.
AddressWidths Need(const std::vector<FlowRow>& rows, std::size_t shown, bool source_ports, const Canvas& canvas) {
  // A page that ends is shown again and again: its columns ought not to move.
  const int least = canvas.height == 0 ? kDestinationHead : kLeastAddressWidth;
  AddressWidths need{source_ports ? least : kDestinationHead, least};
  for (std::size_t i = 0; i < shown; ++i) {
    const FlowRecord& flow = rows[i].flow;
    const bool port = ShowsPort(flow);
    need.source = std::max(
        need.source,
        DisplayWidth(EndpointText(flow.source, port && source_ports && !AnyPort(flow, flow.source), INT_MAX, canvas)));
    need.destination = std::max(
        need.destination,
        DisplayWidth(EndpointText(flow.destination, port && !AnyPort(flow, flow.destination), INT_MAX, canvas)));
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
  std::vector<Column> columns = Columns(now_unix_ns, view, canvas);
  FitToContent(columns, rows, shown, canvas);
  const bool source_ports = view != View::kDetails || canvas.width >= kWidthForSourcePorts;
  const AddressWidths need = Need(rows, shown, source_ports, canvas);
  const int arrow = DisplayWidth(glyphs.arrow) + 2;
  LeaveOut(columns, rows, shown,
           arrow + std::min(need.source, kEnoughForAddress) + std::min(need.destination, kEnoughForAddress), canvas);
  const AddressWidths widths = ShareRoom(need, std::max(canvas.width - arrow - WidthOf(columns), 2));

  TextLine head(Cell("source", widths.source, Align::kLeft, glyphs.ellipsis), Style::kDim);
  head.Add("   " + Cell("destination", widths.destination, Align::kLeft, glyphs.ellipsis), Style::kDim);
  for (const Column& column : columns)
    head.Add(" " + Cell(column.head, column.width, column.align, glyphs.ellipsis), Style::kDim);
  std::vector<TextLine> lines{std::move(head)};
  for (std::size_t i = 0; i < shown; ++i) {
    const FlowRecord& flow = rows[i].flow;
    const bool port = ShowsPort(flow);
    TextLine line(
        Cell(EndpointText(flow.source, port && source_ports && !AnyPort(flow, flow.source), widths.source, canvas),
             widths.source, Align::kLeft, glyphs.ellipsis));
    line.Add(fmt::format(" {} ", glyphs.arrow), Style::kDim);
    line.Add(Cell(EndpointText(flow.destination, port && !AnyPort(flow, flow.destination), widths.destination, canvas),
                  widths.destination, Align::kLeft, glyphs.ellipsis));
    for (const Column& column : columns)
      line.Add(" " + Cell(column.text(rows[i]), column.width, column.align, glyphs.ellipsis), StyleOf(flow.state));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace knp::cli
