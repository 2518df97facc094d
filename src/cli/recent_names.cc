// See recent_names.h.
#include "src/cli/recent_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

constexpr int kTypeWidth = 6, kOutcomeWidth = 9, kTookWidth = 6;
// Of a canvas, from which on a column is shown.
constexpr int kWidthForTime = 50, kWidthForClient = 60, kWidthForServer = 90, kWidthForAnswers = 110;

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

struct Texts {
  std::string time, client, server, type, name, outcome, took, answers;
};

Texts TextsOf(const NameRow& row) {
  const DnsTransaction& dns = row.transaction;
  return {ClockTime(row.time_unix_ns),
          row.client.ip.ToString(),
          row.server.ip.ToString(),
          DnsTypeName(dns.type),
          dns.name,
          OutcomeText(dns),
          dns.latency_ns ? ShortSpan(std::chrono::nanoseconds(*dns.latency_ns)) : "",
          AnswersText(dns)};
}

// Widths of the columns that depend on the canvas; 0: left out.
struct Layout {
  int time = 8, client = 8, server = 8, name = 4, answers = 0;
};

Layout LayoutOf(const std::vector<NameRow>& rows, std::size_t shown, const Canvas& canvas) {
  Layout layout;
  int name = 4;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto widen = [&](int& width, const NameRow& row, const Endpoint NameRow::*end) {
      width = std::clamp(DisplayWidth((row.*end).ip.ToString()), width, std::max(canvas.width / 5, width));
    };
    widen(layout.client, rows[i], &NameRow::client);
    widen(layout.server, rows[i], &NameRow::server);
    name = std::max(name, DisplayWidth(Printable(rows[i].transaction.name, canvas.utf8)));
  }
  if (canvas.width < kWidthForServer) layout.server = 0;
  if (canvas.width < kWidthForClient) layout.client = 0;
  if (canvas.width < kWidthForTime) layout.time = 0;
  int room = canvas.width - kTypeWidth - kOutcomeWidth - kTookWidth - 3;
  for (const int width : {layout.time, layout.client, layout.server})
    if (width > 0) room -= width + 1;
  const int most_name = canvas.width < kWidthForAnswers ? room : room * 3 / 5;
  layout.name = std::max(std::min(name, most_name), 4);
  if (canvas.width >= kWidthForAnswers) layout.answers = std::max(room - layout.name - 1, 0);
  return layout;
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
  const Layout layout = LayoutOf(rows, shown, canvas);
  const auto row = [&](const Texts& texts, Style name_style, Style style) {
    TextLine line;
    const auto add = [&](const std::string& text, int width, Align align, Style of) {
      if (width == 0) return;
      line.Add((line.width() == 0 ? "" : " ") + Cell(Printable(text, canvas.utf8), width, align, glyphs.ellipsis), of);
    };
    add(texts.time, layout.time, Align::kLeft, Style::kDim);
    add(texts.client, layout.client, Align::kLeft, style);
    add(texts.server, layout.server, Align::kLeft, style);
    add(texts.type, kTypeWidth, Align::kLeft, style);
    add(texts.name, layout.name, Align::kLeft, name_style);
    add(texts.outcome, kOutcomeWidth, Align::kLeft, name_style);
    add(texts.took, kTookWidth, Align::kRight, style);
    add(texts.answers, layout.answers, Align::kLeft, Style::kDim);
    return line;
  };
  lines.push_back(
      row({"time", "client", "server", "type", "name", "outcome", "took", "answers"}, Style::kDim, Style::kDim));
  for (std::size_t i = 0; i < shown; ++i)
    lines.push_back(row(TextsOf(rows[i]), StyleOf(rows[i].transaction), Style::kPlain));
  for (TextLine& line : lines) line.CutTo(canvas.width, glyphs.ellipsis);
  return lines;
}

}  // namespace knp::cli
