// See styled_text.h.
#include "src/cli/styled_text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

namespace knp::cli {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;  // bytes
  bool valid = false;
};

CodePoint Decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  char32_t value = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3fU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length, true};
}

struct Range {
  char32_t from, to;
};

bool In(char32_t value, const Range* ranges, std::size_t count) {
  return std::any_of(ranges, ranges + count, [value](Range r) { return value >= r.from && value <= r.to; });
}

// C0, C1, line and paragraph separators, direction overrides and isolates, byte-order mark: these move the cursor or
// make a line read otherwise than it is written.
constexpr Range kHarmful[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x200e, 0x200f}, {0x2028, 0x202e},
                              {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}};
constexpr Range kZeroWidth[] = {{0x300, 0x36f},   {0x483, 0x489},    {0x591, 0x5bd},   {0x610, 0x61a},
                                {0x64b, 0x65f},   {0x200b, 0x200d},  {0x20d0, 0x20f0}, {0xfe00, 0xfe0f},
                                {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
constexpr Range kDoubleWidth[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
                                  {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                  {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

int WidthOf(char32_t value) {
  if (value < 0x300) return 1;
  if (In(value, kZeroWidth, std::size(kZeroWidth))) return 0;
  return In(value, kDoubleWidth, std::size(kDoubleWidth)) ? 2 : 1;
}

const char* EscapeOf(Style style) {
  switch (style) {
    case Style::kPlain: return "";
    case Style::kBold: return "\x1b[1m";
    case Style::kDim: return "\x1b[2m";
    case Style::kTitle: return "\x1b[1;36m";
    case Style::kAccent: return "\x1b[36m";
    case Style::kGood: return "\x1b[32m";
    case Style::kWarning: return "\x1b[33m";
    case Style::kBad: return "\x1b[1;31m";
  }
  return "";
}

}  // namespace

const Glyphs& GlyphsOf(const Canvas& canvas) {
  static constexpr Glyphs kUtf8{"→", "←", "…", "✓", "✗", "×", "·", "≤", "⇒"};
  static constexpr Glyphs kAscii{">", "<", "~", "ok:", "WRONG:", "x", "-", "<=", "=>"};
  return canvas.utf8 ? kUtf8 : kAscii;
}

std::string Printable(std::string_view text, bool utf8) {
  std::string printable;
  printable.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    const bool shown = point.valid && (utf8 || point.value < 0x80) && !In(point.value, kHarmful, std::size(kHarmful));
    if (shown)
      printable.append(text.substr(0, point.length));
    else
      printable += '?';
    text.remove_prefix(point.length);
  }
  return printable;
}

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    width += point.valid ? WidthOf(point.value) : 1;
    text.remove_prefix(point.length);
  }
  return width;
}

std::string Truncated(std::string_view text, int width, std::string_view ellipsis) {
  if (DisplayWidth(text) <= width) return std::string(text);
  const int mark = DisplayWidth(ellipsis);
  if (width < mark) return std::string(static_cast<std::size_t>(std::max(width, 0)), ' ');
  std::string kept;
  int used = 0;
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    const int wide = point.valid ? WidthOf(point.value) : 1;
    if (used + wide + mark > width) break;
    used += wide;
    kept.append(text.substr(0, point.length));
    text.remove_prefix(point.length);
  }
  kept.append(ellipsis);
  return kept;
}

std::string Cell(std::string_view text, int width, Align align, std::string_view ellipsis) {
  std::string cell = Truncated(text, width, ellipsis);
  const auto blanks = static_cast<std::size_t>(std::max(0, width - DisplayWidth(cell)));
  if (align == Align::kLeft)
    cell.append(blanks, ' ');
  else
    cell.insert(0, blanks, ' ');
  return cell;
}

std::string Bar(double fraction, int width, bool utf8) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double bounded = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0;
  const int units = static_cast<int>(std::lround(bounded * width * 8));
  std::string bar;
  for (int i = 0; i < units / 8; ++i) bar += utf8 ? "█" : "#";
  int used = units / 8;
  if (units % 8 != 0) {
    bar += utf8 ? kEighths[units % 8] : units % 8 >= 4 ? "+" : "-";
    ++used;
  }
  return bar.append(static_cast<std::size_t>(std::max(0, width - used)), ' ');
}

TextLine& TextLine::Add(std::string text, Style style) {
  if (text.empty()) return *this;
  width_ += DisplayWidth(text);
  spans_.push_back({std::move(text), style});
  return *this;
}

TextLine& TextLine::Add(const TextLine& other) {
  spans_.insert(spans_.end(), other.spans_.begin(), other.spans_.end());
  width_ += other.width_;
  return *this;
}

TextLine& TextLine::PadTo(int width) {
  if (width > width_) Add(std::string(static_cast<std::size_t>(width - width_), ' '));
  return *this;
}

TextLine& TextLine::CutTo(int width, std::string_view ellipsis) {
  if (width_ <= width) return *this;
  std::vector<Span> spans;
  std::swap(spans, spans_);
  width_ = 0;
  for (Span& span : spans) {
    const int left = width - width_;
    const bool last = &span == &spans.back();
    const int wide = DisplayWidth(span.text);
    // A span that just fills the line hides that others follow: it is cut as well, so that the ellipsis shows.
    const bool fits = last ? wide <= left : wide < left;
    if (fits) {
      Add(std::move(span.text), span.style);
      continue;
    }
    Add(Truncated(span.text + (last ? "" : " "), left, ellipsis), span.style);
    break;
  }
  return *this;
}

std::string TextLine::Text(bool colour) const {
  std::string text;
  for (const Span& span : spans_) {
    const char* escape = colour ? EscapeOf(span.style) : "";
    text += escape;
    text += span.text;
    if (*escape != '\0') text += "\x1b[0m";
  }
  return text;
}

}  // namespace knp::cli
