// Lines of text that know how many columns of a terminal they take, for views that must fit one. Built by the views,
// printed by Terminal or as plain text.
//
// Texts from outside (interface and program names) may hold anything, escape sequences included: they pass through
// Printable() before they come here.
#ifndef KNP_CLI_STYLED_TEXT_H_
#define KNP_CLI_STYLED_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knp::cli {

// What a view may use.
struct Canvas {
  int width = 80;
  int height = 24;  // 0 = no end
  bool colour = false;
  bool utf8 = true;
};

// The signs that views draw with, in UTF-8 or ASCII.
struct Glyphs {
  const char* arrow;
  const char* back;
  const char* ellipsis;
  const char* check;
  const char* cross;
  const char* times;
  const char* dot;
  const char* at_most;
  const char* becomes;  // of an address that is translated
};
const Glyphs& GlyphsOf(const Canvas& canvas);

enum class Style : std::uint8_t { kPlain, kBold, kDim, kTitle, kAccent, kGood, kWarning, kBad };
enum class Align : std::uint8_t { kLeft, kRight };

// Control characters, direction marks and what is no UTF-8 become '?'; without utf8 whatever is no ASCII too.
std::string Printable(std::string_view text, bool utf8 = true);

// Columns that a printable text takes: 0 for combining marks, 2 for wide East Asian characters and emoji.
int DisplayWidth(std::string_view text);

// `text` in at most / exactly `width` columns; what is too long ends in `ellipsis`.
std::string Truncated(std::string_view text, int width, std::string_view ellipsis);
std::string Cell(std::string_view text, int width, Align align, std::string_view ellipsis);

// `fraction` of `width` columns, filled, padded with blanks to `width`.
std::string Bar(double fraction, int width, bool utf8);

class TextLine {
 public:
  TextLine() = default;
  explicit TextLine(std::string text, Style style = Style::kPlain) { Add(std::move(text), style); }

  TextLine& Add(std::string text, Style style = Style::kPlain);
  TextLine& Add(const TextLine& other);
  TextLine& PadTo(int width);  // blanks on the right
  TextLine& CutTo(int width, std::string_view ellipsis);

  int width() const { return width_; }
  // With escape sequences only if `colour`; ends in the plain style.
  std::string Text(bool colour) const;

 private:
  struct Span {
    std::string text;
    Style style;
  };
  std::vector<Span> spans_;
  int width_ = 0;
};

}  // namespace knp::cli

#endif  // KNP_CLI_STYLED_TEXT_H_
