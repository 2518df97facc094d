// See remote_text.h.
#include "src/cli/remote/remote_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

std::string Text(const RemoteJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t Number(const RemoteJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

const RemoteJson& Part(const RemoteJson& json, const char* key) {
  static const RemoteJson kNothing = RemoteJson::object();
  const auto found = json.find(key);
  return found != json.end() && found->is_object() ? *found : kNothing;
}

std::string AppText(const RemoteJson& flow) {
  const RemoteJson& app = Part(flow, "app");
  const std::string application = Text(app, "application"), name = Text(app, "server_name");
  if (!name.empty()) return Text(app, "protocol") + " " + name;
  return application.empty() ? Text(app, "protocol") : application;
}

std::string RoundTripText(const RemoteJson& flow) {
  const RemoteJson& tcp = Part(flow, "tcp");
  for (const char* key : {"srtt_us", "handshake_us"})
    if (const auto found = tcp.find(key); found != tcp.end())
      return ShortSpan(std::chrono::nanoseconds(static_cast<std::int64_t>(found->get<double>() * 1000)));
  return "";
}

// "2026-01-02T03:04:05.678Z" to "03:04:05.678".
std::string ClockPart(const std::string& time) {
  const std::size_t t = time.find('T');
  return t == std::string::npos ? time : time.substr(t + 1, 12);
}

Style SeverityStyle(const std::string& severity) {
  return severity == "critical" || severity == "high" ? Style::kBad
         : severity == "medium"                       ? Style::kWarning
                                                      : Style::kPlain;
}

std::string Key(const std::string& key) { return Cell(key, 12, Align::kLeft, ""); }

void AddLedger(const RemoteJson& status, const Canvas& canvas, std::vector<TextLine>* lines) {
  const RemoteJson& ledger = Part(status, "ledger");
  const auto sum = [](const RemoteJson& parts) {
    std::uint64_t packets = 0;
    for (const auto& part : parts) packets += Number(part, "packets");
    return packets;
  };
  const std::uint64_t seen = Number(Part(ledger, "seen"), "packets"),
                      in_flows = Number(Part(ledger, "in_flows"), "packets"),
                      in_flight = Number(Part(ledger, "in_flight"), "packets"),
                      remainder = sum(Part(ledger, "remainder")), lost = sum(Part(ledger, "lost"));
  const bool balanced = seen == in_flows + in_flight + remainder + lost;
  TextLine line(Key("ledger"), Style::kDim);
  line.Add(fmt::format("{} packets seen = {} in flows + {} in flight + {} beside + {} lost ", Grouped(seen),
                       Grouped(in_flows), Grouped(in_flight), Grouped(remainder), Grouped(lost)));
  line.Add(balanced ? GlyphsOf(canvas).check : GlyphsOf(canvas).cross, balanced ? Style::kGood : Style::kBad);
  lines->push_back(std::move(line));
  if (lost == 0) return;
  for (const auto& [where, count] : Part(ledger, "lost").items())
    lines->push_back(TextLine(Key("")).Add(fmt::format("lost {}: {} packets", where, Grouped(Number(count, "packets"))),
                                           Style::kWarning));
}

}  // namespace

std::string RemoteEndpointText(const RemoteJson& endpoint) {
  const std::string space = Text(endpoint, "namespace"), pod = Text(endpoint, "pod"),
                    service = Text(endpoint, "service"), node = Text(endpoint, "node"),
                    dns = Text(endpoint, "dns_name"), ip = Text(endpoint, "ip");
  std::string text = !pod.empty()                         ? space + "/" + pod
                     : !service.empty() && !space.empty() ? "svc " + space + "/" + service
                     : !node.empty()                      ? "node " + node
                     : !dns.empty()                       ? dns
                     : ip.find(':') != std::string::npos  ? "[" + ip + "]"
                     : ip.empty()                         ? "many"
                                                          : ip;
  if (const std::uint64_t port = Number(endpoint, "port"); port != 0) text += ":" + std::to_string(port);
  return text;
}

std::vector<TextLine> RenderStatus(const RemoteJson& status, const Canvas& canvas) {
  std::vector<TextLine> lines;
  const auto add = [&lines](const char* key, std::string text, Style style = Style::kPlain) {
    lines.push_back(TextLine(Key(key), Style::kDim).Add(std::move(text), style));
  };
  add("agent",
      fmt::format("{} on {}, version {}", Text(status, "state"), Printable(Text(status, "node")),
                  Text(status, "version")),
      Text(status, "state") == "ready" ? Style::kGood : Style::kWarning);
  add("since", Text(status, "since"));
  const RemoteJson& process = Part(status, "process");
  add("uses", fmt::format("{}B of memory, {:.1f} s of CPU so far", Short(Number(process, "resident_bytes")),
                          process.value("cpu_seconds", 0.0)));
  AddLedger(status, canvas, &lines);
  add("flows",
      fmt::format("{} live, {} ever", Grouped(Number(status, "active_flows")), Grouped(Number(status, "total_flows"))));
  std::string interfaces;
  std::size_t count = 0;
  if (const auto found = status.find("interfaces"); found != status.end() && found->is_array()) {
    count = found->size();
    for (const auto& name : *found)
      if (name.is_string()) interfaces += (interfaces.empty() ? "" : " ") + Printable(name.get<std::string>());
  }
  add("interfaces", fmt::format("{}: {}", count, interfaces));
  for (const char* key : {"kubernetes", "hubble"})
    if (const std::string text = Text(status, key); !text.empty()) add(key, Printable(text));
  if (const auto found = status.find("alerts"); found != status.end())
    add("alerts", fmt::format("{} open", found->get<std::uint64_t>()));
  if (const auto found = status.find("degraded"); found != status.end())
    for (const auto& text : *found) add("without", Printable(text.get<std::string>()), Style::kWarning);
  if (const auto found = status.find("troubles"); found != status.end())
    for (const auto& text : *found) add("trouble", Printable(text.get<std::string>()), Style::kBad);
  for (TextLine& line : lines) line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
  return lines;
}

std::vector<TextLine> RenderRemoteFlows(const std::vector<RemoteFlow>& flows, bool rates, const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  constexpr int kProtocol = 7, kState = 12, kBytes = 7, kRate = 8, kRtt = 8;
  const int app = canvas.width >= 120 ? 24 : canvas.width >= 100 ? 14 : 0;
  const int fixed = kProtocol + kState + 2 * kBytes + (rates ? kRate : 0) + kRtt + app + 3;
  const int end = std::max((canvas.width - fixed) / 2, 12);
  const auto cell = [&glyphs](const std::string& text, int width, Align align = Align::kLeft) {
    return Cell(text, width - 1, align, glyphs.ellipsis) + " ";
  };
  std::vector<TextLine> lines;
  std::string head = cell("PROTO", kProtocol) + cell("SOURCE", end) + "  " + cell("DESTINATION", end) +
                     cell("STATE", kState) + cell("SENT", kBytes, Align::kRight) + cell("RECVD", kBytes, Align::kRight);
  if (rates) head += cell("B/S", kRate, Align::kRight);
  head += cell("RTT", kRtt, Align::kRight);
  if (app) head += cell("APP", app);
  lines.emplace_back(head, Style::kTitle);
  for (const RemoteFlow& row : flows) {
    const RemoteJson& flow = row.json;
    const std::string state = Text(flow, "state");
    TextLine line(cell(Text(flow, "protocol"), kProtocol));
    line.Add(cell(Printable(RemoteEndpointText(Part(flow, "source"))), end))
        .Add(std::string(glyphs.arrow) + " ", Style::kDim)
        .Add(cell(Printable(RemoteEndpointText(Part(flow, "destination"))), end))
        .Add(cell(state, kState), state == "reset" || state == "half_open" ? Style::kWarning : Style::kPlain)
        .Add(cell(Short(Number(Part(flow, "sent"), "bytes")), kBytes, Align::kRight))
        .Add(cell(Short(Number(Part(flow, "received"), "bytes")), kBytes, Align::kRight));
    if (rates) line.Add(cell(row.rate < 0 ? "" : Short(row.rate), kRate, Align::kRight), Style::kAccent);
    line.Add(cell(RoundTripText(flow), kRtt, Align::kRight));
    if (app) line.Add(cell(Printable(AppText(flow)), app));
    lines.push_back(std::move(line));
  }
  return lines;
}

TextLine RenderObserved(const RemoteJson& flow, const Canvas& canvas) {
  const std::string app = AppText(flow);
  TextLine line(ClockPart(Text(flow, "end")) + " ", Style::kDim);
  line.Add(Text(flow, "protocol") + " ")
      .Add(Printable(RemoteEndpointText(Part(flow, "source"))))
      .Add(fmt::format(" {} ", GlyphsOf(canvas).arrow), Style::kDim)
      .Add(Printable(RemoteEndpointText(Part(flow, "destination"))))
      .Add(fmt::format(" {}{}", Text(flow, "state"), flow.value("final", false) ? ", ended" : ""), Style::kAccent)
      .Add(fmt::format(" {}/{} packets {}B/{}B", Short(Number(Part(flow, "sent"), "packets")),
                       Short(Number(Part(flow, "received"), "packets")), Short(Number(Part(flow, "sent"), "bytes")),
                       Short(Number(Part(flow, "received"), "bytes"))));
  if (!app.empty()) line.Add(" " + Printable(app), Style::kDim);
  if (const auto drops = flow.find("drops"); drops != flow.end())
    for (const auto& drop : *drops)
      line.Add(fmt::format(" dropped {} {}", Number(drop, "packets"),
                           Text(drop, "reason").empty() ? Text(drop, "location") : Text(drop, "reason")),
               Style::kBad);
  return line;
}

std::vector<TextLine> RenderAlerts(const std::vector<RemoteJson>& alerts, const Canvas& canvas) {
  std::vector<TextLine> lines;
  for (const RemoteJson& alert : alerts) {
    const std::string severity = Text(alert, "severity");
    TextLine line(ClockPart(Text(alert, "time")) + " ", Style::kDim);
    line.Add(Cell(Text(alert, "state"), 8, Align::kLeft, ""))
        .Add(Cell(severity, 9, Align::kLeft, ""), SeverityStyle(severity))
        .Add(Cell(Text(alert, "type"), 24, Align::kLeft, ""), Style::kBold)
        .Add(Text(alert, "id") + " ", Style::kDim)
        .Add(Printable(Text(alert, "summary")));
    line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis);
    lines.push_back(std::move(line));
  }
  if (lines.empty()) lines.emplace_back("no alerts", Style::kDim);
  return lines;
}

std::vector<TextLine> RenderAlert(const RemoteJson& alert, const Canvas& canvas) {
  std::vector<TextLine> lines;
  lines.emplace_back(Printable(Text(alert, "summary")), Style::kBold);
  const auto add = [&](const std::string& key, const std::string& text) {
    if (!text.empty())
      lines.push_back(
          TextLine(Key(key), Style::kDim).Add(Printable(text)).CutTo(canvas.width, GlyphsOf(canvas).ellipsis));
  };
  add("id", Text(alert, "id"));
  add("type", fmt::format("{}, {}, {}", Text(alert, "type"), Text(alert, "severity"), Text(alert, "state")));
  add("seen", fmt::format("{} to {}", Text(alert, "first_seen"), Text(alert, "last_seen")));
  const RemoteJson& rule = Part(alert, "rule");
  add("rule", fmt::format("{}: {} where {} is allowed, within {} s", Text(rule, "name"), rule.value("observed", 0.0),
                          rule.value("threshold", 0.0), rule.value("window_s", 0.0)));
  for (const char* key : {"source", "target"})
    if (alert.contains(key)) add(key, RemoteEndpointText(alert[key]));
  for (const auto& [key, value] : Part(alert, "evidence").items()) {
    if (key != "samples" && key != "counts") {
      add(key, value.dump());
      continue;
    }
    for (const auto& one : value) add(key, one.dump());
  }
  return lines;
}

}  // namespace knp::cli
