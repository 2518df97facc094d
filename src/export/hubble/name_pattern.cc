// See name_pattern.h.
#include "src/export/hubble/name_pattern.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fmt/format.h>

#include <vector>

namespace knp::hubble {
namespace {

constexpr const char* kAnyName = "[-0-9_a-z.]+";

absl::StatusOr<std::shared_ptr<const RE2>> Compile(const std::string& expression, const std::string& shown) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(512 << 10);
  auto compiled = std::make_shared<const RE2>(expression, options);
  if (!compiled->ok())
    return absl::InvalidArgumentError(fmt::format("'{}' is no regular expression (RE2): {}", shown, compiled->error()));
  return compiled;
}

absl::Status AppendHost(const std::string& pattern, std::string* expression) {
  std::string name = absl::AsciiStrToLower(pattern);
  absl::StripAsciiWhitespace(&name);
  if (!name.empty() && name.back() == '.') name.pop_back();
  if (name.empty()) return absl::InvalidArgumentError("a name is empty");
  if (name.back() == '.') return absl::InvalidArgumentError(fmt::format("'{}' ends in more than one dot", pattern));
  for (const char c : name) {
    if (c == '.') {
      *expression += "\\.";
    } else if (c == '*') {
      *expression += "[-.0-9_a-z]*";
    } else if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') {
      *expression += c;
    } else {
      return absl::InvalidArgumentError(fmt::format("'{}' has a character that no name has", pattern));
    }
  }
  return absl::OkStatus();
}

absl::Status AppendNode(const std::string& pattern, std::string* expression) {
  if (pattern.empty()) return absl::InvalidArgumentError("a name is empty");
  std::vector<std::string> parts = absl::StrSplit(pattern, '/');
  if (parts.size() > 2) return absl::InvalidArgumentError(fmt::format("'{}' has more than one slash", pattern));
  if (parts.size() == 1) parts.insert(parts.begin(), std::string());
  for (std::size_t i = 0; i < 2; i++) {
    if (i == 1) *expression += '/';
    if (parts[i].empty()) {
      *expression += kAnyName;
    } else if (auto status = AppendHost(parts[i], expression); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

template <class Append>
absl::StatusOr<std::shared_ptr<const RE2>> CompileAny(const Patterns& patterns, Append append) {
  std::string expression = "\\A(?i:";
  for (int i = 0; i < patterns.size(); i++) {
    if (i > 0) expression += '|';
    if (auto status = append(patterns[i], &expression); !status.ok()) return status;
  }
  return Compile(expression + ")\\z", absl::StrCat(patterns.size(), " patterns"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RE2>> CompileHostPatterns(const Patterns& patterns) {
  return CompileAny(patterns, AppendHost);
}

absl::StatusOr<std::shared_ptr<const RE2>> CompileNodePatterns(const Patterns& patterns) {
  return CompileAny(patterns, AppendNode);
}

absl::StatusOr<std::shared_ptr<const RE2>> CompileExpression(const std::string& expression) {
  return Compile(expression, expression);
}

}  // namespace knp::hubble
