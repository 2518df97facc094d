// Filter terms on what was asked and answered: DNS names, HTTP. See flow_filter.h.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

#include <utility>

#include "src/export/hubble/filter_terms.h"
#include "src/export/hubble/name_pattern.h"

namespace knp::hubble {
namespace {

constexpr int kApplicationEvent = 129;

template <class Get>
absl::Status AddExpressions(const char* field, const google::protobuf::RepeatedPtrField<std::string>& values, Get get,
                            FilterTerms* terms) {
  if (values.empty()) return absl::OkStatus();
  std::vector<std::shared_ptr<const RE2>> expressions;
  for (const std::string& value : values) {
    auto expression = CompileExpression(value);
    if (!expression.ok()) return BadValue(field, expression.status());
    expressions.push_back(*std::move(expression));
  }
  terms->push_back([expressions = std::move(expressions), get](const ::flow::Flow& flow) {
    const std::string text = get(flow);
    return !text.empty() && std::any_of(expressions.begin(), expressions.end(),
                                        [&](const auto& expression) { return RE2::PartialMatch(text, *expression); });
  });
  return absl::OkStatus();
}

// "404", or a prefix: "4+", "40+".
absl::Status AddStatusCodes(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.http_status_code().empty()) return absl::OkStatus();
  std::vector<std::string> prefixes;
  for (const std::string& value : filter.http_status_code()) {
    const bool prefix = value.ends_with('+');
    std::string digits = value.substr(0, value.size() - prefix);
    const bool number = std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    const bool length = prefix ? digits.size() == 1 || digits.size() == 2 : digits.size() == 3;
    if (!number || !length || digits[0] < '1' || digits[0] > '5')
      return BadValue("http_status_code", fmt::format("'{}' is no status code: write 404, 40+ or 4+", value));
    prefixes.push_back(std::move(digits));
  }
  terms->push_back([prefixes = std::move(prefixes)](const ::flow::Flow& flow) {
    if (!flow.l7().has_http() || flow.l7().http().code() == 0) return false;
    const std::string code = fmt::format("{:03}", flow.l7().http().code());
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return code.starts_with(p); });
  });
  return absl::OkStatus();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The path of a URL (RFC 3986), decoded; "" if it has none.
std::string PathOf(const std::string& url) {
  std::size_t from = 0;
  if (const std::size_t scheme = url.find("://"); scheme != std::string::npos && url.find('/') > scheme)
    from = std::min(url.find('/', scheme + 3), url.size());
  const std::size_t end = std::min(url.find_first_of("?#", from), url.size());
  std::string path;
  for (std::size_t i = from; i < end; i++) {
    const int high = url[i] == '%' && i + 2 < end ? HexDigit(url[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(url[i + 2]) : -1;
    if (low < 0) {
      path += url[i];
    } else {
      path += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return path;
}

// A contradiction is told rather than answered with nothing.
absl::Status CheckEventTypes(const ::flow::FlowFilter& filter) {
  const bool http = filter.http_status_code_size() || filter.http_method_size() || filter.http_path_size() ||
                    filter.http_url_size() || filter.http_header_size();
  if (!http || filter.event_type().empty()) return absl::OkStatus();
  for (const auto& type : filter.event_type())
    if (type.type() == kApplicationEvent) return absl::OkStatus();
  return BadValue("event_type", "a filter for HTTP needs events of type 129 (l7)");
}

}  // namespace

absl::Status AddApplicationTerms(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  absl::Status status = CheckEventTypes(filter);
  status.Update(AddExpressions(
      "dns_query", filter.dns_query(), [](const ::flow::Flow& f) { return f.l7().dns().query(); }, terms));
  status.Update(AddStatusCodes(filter, terms));
  status.Update(AddExpressions(
      "http_url", filter.http_url(), [](const ::flow::Flow& f) { return f.l7().http().url(); }, terms));
  status.Update(AddExpressions(
      "http_path", filter.http_path(), [](const ::flow::Flow& f) { return PathOf(f.l7().http().url()); }, terms));
  if (!filter.http_method().empty())
    terms->push_back([wanted = filter.http_method()](const ::flow::Flow& flow) {
      const std::string& method = flow.l7().http().method();
      return !method.empty() && std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
        return absl::EqualsIgnoreCase(name, method);
      });
    });
  if (!filter.http_header().empty())
    terms->push_back([wanted = filter.http_header()](const ::flow::Flow& flow) {
      for (const ::flow::HTTPHeader& has : flow.l7().http().headers())
        for (const ::flow::HTTPHeader& header : wanted)
          if (header.key() == has.key() && header.value() == has.value()) return true;
      return false;
    });
  return status;
}

}  // namespace knp::hubble
