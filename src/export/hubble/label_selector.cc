// See label_selector.h.
#include "src/export/hubble/label_selector.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace knp::hubble {

class LabelSelector::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<LabelSelector> Parse() {
    LabelSelector selector;
    SkipBlanks();
    while (at_ < text_.size()) {
      Requirement requirement;
      if (auto status = ParseOne(&requirement); !status.ok()) return status;
      selector.requirements_.push_back(std::move(requirement));
      SkipBlanks();
      if (at_ == text_.size()) break;
      if (!Take(",")) return Wrong("a comma");
      SkipBlanks();
      if (at_ == text_.size()) return Wrong("a key");
    }
    return selector;
  }

 private:
  absl::Status Wrong(const char* expected) const {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is no label selector: {} expected at '{}'", text_, expected, text_.substr(at_)));
  }
  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) at_++;
  }
  bool Take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  std::string Word() {
    const std::size_t from = at_;
    while (at_ < text_.size() && !absl::ascii_isspace(static_cast<unsigned char>(text_[at_])) &&
           std::string_view("=!,()<>").find(text_[at_]) == std::string_view::npos)
      at_++;
    return std::string(text_.substr(from, at_ - from));
  }

  absl::Status ParseOne(Requirement* to) {
    const bool absent = Take("!");
    SkipBlanks();
    std::string key = Word();
    if (key.empty()) return Wrong("a key");
    const std::size_t colon = key.find(':');
    if (colon != std::string::npos) {
      to->source = key.substr(0, colon);
      key.erase(0, colon + 1);
      if (to->source == "any") to->source.clear();
    }
    to->key = std::move(key);
    to->how = absent ? Operator::kNotExists : Operator::kExists;
    SkipBlanks();
    if (absent || at_ == text_.size() || text_[at_] == ',') return absl::OkStatus();
    return ParseOperator(to);
  }

  absl::Status ParseOperator(Requirement* to) {
    if (Take("!=")) {
      to->how = Operator::kNotIn;
    } else if (Take("==") || Take("=")) {
      to->how = Operator::kIn;
    } else if (Take(">")) {
      to->how = Operator::kGreater;
    } else if (Take("<")) {
      to->how = Operator::kLess;
    } else {
      return ParseSet(to);
    }
    SkipBlanks();
    to->values.push_back(Word());
    if ((to->how == Operator::kGreater || to->how == Operator::kLess) && !absl::SimpleAtoi(to->values[0], &to->bound))
      return Wrong("a number");
    return absl::OkStatus();
  }

  absl::Status ParseSet(Requirement* to) {
    const std::string word = Word();
    if (word != "in" && word != "notin") return Wrong("an operator");
    to->how = word == "in" ? Operator::kIn : Operator::kNotIn;
    SkipBlanks();
    if (!Take("(")) return Wrong("'('");
    while (true) {
      SkipBlanks();
      to->values.push_back(Word());
      SkipBlanks();
      if (Take(")")) return absl::OkStatus();
      if (!Take(",")) return Wrong("',' or ')'");
    }
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

absl::StatusOr<LabelSelector> LabelSelector::Parse(std::string_view text) { return Parser(text).Parse(); }

bool LabelSelector::HoldsFor(const Requirement& requirement, std::string_view value) {
  std::int64_t number = 0;
  switch (requirement.how) {
    case Operator::kExists: return true;
    case Operator::kNotExists: return false;
    case Operator::kIn:
    case Operator::kNotIn: {
      const auto& values = requirement.values;
      const bool in = std::find(values.begin(), values.end(), value) != values.end();
      return in == (requirement.how == Operator::kIn);
    }
    case Operator::kGreater: return absl::SimpleAtoi(std::string(value), &number) && number > requirement.bound;
    case Operator::kLess: return absl::SimpleAtoi(std::string(value), &number) && number < requirement.bound;
  }
  return false;
}

bool LabelSelector::Holds(const Requirement& requirement,
                          const google::protobuf::RepeatedPtrField<std::string>& labels) {
  for (const std::string& label : labels) {
    std::string_view name = label;
    std::string_view value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    std::string_view source;
    if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
      source = name.substr(0, colon);
      name.remove_prefix(colon + 1);
    }
    if (name != requirement.key || (!requirement.source.empty() && source != requirement.source)) continue;
    return HoldsFor(requirement, value);
  }
  return requirement.how == Operator::kNotIn || requirement.how == Operator::kNotExists;
}

bool LabelSelector::Matches(const google::protobuf::RepeatedPtrField<std::string>& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return Holds(r, labels); });
}

}  // namespace knp::hubble
