// See recent_names.h.
#include "src/cli/recent_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

std::string OutcomeText(const DnsTransaction& transaction) {
  if (transaction.timed_out) return "no answer";
  return transaction.rcode ? DnsRcodeName(*transaction.rcode) : "";
}

Style StyleOf(const DnsTransaction& transaction) {
  if (transaction.timed_out) return Style::kBad;
  return transaction.rcode.value_or(0) == 0 ? Style::kPlain : Style::kWarning;
}

std::string AnswersText(const DnsTransaction& transaction) {
  std::string text;
  for (const std::string& answer : transaction.answers) text += (text.empty() ? "" : ", ") + answer;
  return text;
}

}  // namespace

void RecentNames::Add(const Event& event) {
  if (event.type != EventType::kDns || !event.dns) return;
  const std::lock_guard lock(mutex_);
  (event.dns->timed_out ? counts_.timed_out : event.dns->rcode.value_or(0) != 0 ? counts_.failed : counts_.answered)++;
  rows_.push_front({event.time_unix_ns, event.source, event.destination, *event.dns});
  if (rows_.size() > kKept) rows_.pop_back();
}

std::vector<NameRow> RecentNames::Latest(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  return {rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(std::min(most, rows_.size()))};
}

NameCounts RecentNames::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<TextLine> RenderNames(const std::vector<NameRow>& rows, const NameCounts& counts, std::size_t most,
                                  const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  TextLine title("NAMES ", Style::kTitle);
  title.Add(fmt::format("{} answered {} {} failed {} {} without an answer", Grouped(counts.answered), glyphs.dot,
                        Grouped(counts.failed), glyphs.dot, Grouped(counts.timed_out)));
  std::vector<TextLine> lines{std::move(title)};
  const std::size_t shown = std::min(most, rows.size());
  int client = 8, server = 8;
  for (std::size_t i = 0; i < shown; ++i) {
    client = std::clamp(DisplayWidth(rows[i].client.ip.ToString()), client, canvas.width / 5);
    server = std::clamp(DisplayWidth(rows[i].server.ip.ToString()), server, canvas.width / 5);
  }
  // time, type, outcome and latency take 8 + 6 + 9 + 6, and a blank each
  const int room = std::max(canvas.width - client - server - 29 - 7, 10);
  const int name = std::max(room * 3 / 5, 10), answers = std::max(room - name, 0);
  const auto row = [&](const std::string& time, const std::string& from, const std::string& to, const std::string& type,
                       const std::string& what, const std::string& outcome, const std::string& latency,
                       const std::string& answer, Style style) {
    TextLine line(Cell(time, 8, Align::kLeft, ""), Style::kDim);
    const auto add = [&](const std::string& text, int width, Align align, Style of) {
      line.Add(" " + Cell(Printable(text, canvas.utf8), width, align, glyphs.ellipsis), of);
    };
    add(from, client, Align::kLeft, style == Style::kDim ? style : Style::kPlain);
    add(to, server, Align::kLeft, style == Style::kDim ? style : Style::kPlain);
    add(type, 6, Align::kLeft, style == Style::kDim ? style : Style::kPlain);
    add(what, name, Align::kLeft, style);
    add(outcome, 9, Align::kLeft, style);
    add(latency, 6, Align::kRight, style == Style::kDim ? style : Style::kPlain);
    add(answer, answers, Align::kLeft, Style::kDim);
    return line;
  };
  lines.push_back(row("time", "client", "server", "type", "name", "outcome", "took", "answers", Style::kDim));
  for (std::size_t i = 0; i < shown; ++i) {
    const DnsTransaction& dns = rows[i].transaction;
    lines.push_back(row(ClockTime(rows[i].time_unix_ns), rows[i].client.ip.ToString(), rows[i].server.ip.ToString(),
                        DnsTypeName(dns.type), dns.name, OutcomeText(dns),
                        dns.latency_ns ? ShortSpan(std::chrono::nanoseconds(*dns.latency_ns)) : "", AnswersText(dns),
                        StyleOf(dns)));
  }
  return lines;
}

}  // namespace knp::cli
