#include "src/app/http_head.h"

#include <algorithm>
#include <string_view>

#include "src/app/text.h"

namespace knp::app {
namespace {

constexpr std::size_t kMaxUrl = 256, kMaxMethod = 20, kLongLine = 1024;

bool IsMethod(std::string_view method) {
  return !method.empty() && method.size() <= kMaxMethod && std::all_of(method.begin(), method.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

bool IsTarget(std::string_view target) {
  return !target.empty() && std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c != '\x7f'; });
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// The line in front of `*text`, taken off it; nullopt if its end is not there.
std::optional<std::string_view> TakeLine(std::string_view* text) {
  const std::size_t end = text->find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// RFC 9112, 3.2.2 and 3.2.3: a proxy is asked for "http://HOST/..." or, by CONNECT, "HOST:PORT".
std::string_view HostOfTarget(std::string_view method, std::string_view target) {
  if (method == "CONNECT") return target;
  if (const std::size_t scheme = target.find("://"); scheme <= 8) {
    target.remove_prefix(scheme + 3);
    return target.substr(0, target.find('/'));
  }
  return {};
}

void ReadFields(std::string_view text, HttpRequest* request) {
  while (const auto line = TakeLine(&text)) {
    if (line->empty()) {
      request->complete = true;
      return;
    }
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || !EqualsIgnoringCase(line->substr(0, colon), "host")) continue;
    request->host = PrintableText(Trimmed(line->substr(colon + 1)));
    request->complete = true;
    return;
  }
}

}  // namespace

std::optional<HttpRequest> ParseHttpRequest(Bytes stream) {
  std::string_view text = AsText(stream);
  const std::size_t whole = text.size();
  const std::size_t space = text.substr(0, kMaxMethod + 1).find(' ');
  if (space == std::string_view::npos || !IsMethod(text.substr(0, space))) return std::nullopt;
  HttpRequest request;
  request.method = text.substr(0, space);
  const auto line = TakeLine(&text);
  if (!line) {
    // Nothing but HTTP has a target that long; its first byte tells it from the rest of the family (SIP, RTSP).
    const std::string_view target = text.substr(space + 1);
    if (whole < kLongLine || !IsTarget(target) || (target[0] != '/' && !target.starts_with("http://")))
      return std::nullopt;
    request.url = PrintableText(target, kMaxUrl);
    return request;
  }
  const std::size_t last_space = line->rfind(' ');
  if (last_space <= space) return std::nullopt;
  const std::string_view version = line->substr(last_space + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return std::nullopt;
  std::string_view target = line->substr(space + 1, last_space - space - 1);
  target = target.substr(0, target.find(' '));  // sloppy clients send spaces
  if (!IsTarget(target)) return std::nullopt;
  request.url = PrintableText(target, kMaxUrl);
  ReadFields(text, &request);
  if (request.host.empty()) request.host = PrintableText(HostOfTarget(request.method, target));
  return request;
}

std::optional<std::uint16_t> ParseHttpStatus(Bytes stream) {
  const std::string_view text = AsText(stream);
  if (text.size() < 13 || !(text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/1.0 "))) return std::nullopt;
  std::uint16_t status = 0;
  for (const char digit : text.substr(9, 3)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    status = static_cast<std::uint16_t>(status * 10 + (digit - '0'));
  }
  if (status < 100 || status > 599 || (text[12] != ' ' && text[12] != '\r')) return std::nullopt;
  return status;
}

}  // namespace knp::app
