// See dns_name.h.
#include "src/detect/dns_tunnel/dns_name.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace knp::detect {
namespace {

// Zones that are not of the public tree, or not for names of hosts.
constexpr std::string_view kLocalZones[] = {"arpa", "local",     "internal", "lan",  "home",    "localdomain",
                                            "corp", "localhost", "intranet", "test", "private", "invalid"};
// Services that are asked with hashes or addresses in the name, by design: reputation of antivirus programs, of mail, of
// web pages. Who runs a tunnel cannot have a name there.
constexpr std::string_view kLookupServices[] = {"abuseat.org",
                                                "avast.com",
                                                "avg.com",
                                                "avira.com",
                                                "barracudacentral.org",
                                                "bitdefender.net",
                                                "comodo.com",
                                                "cymru.com",
                                                "dnswl.org",
                                                "eset.com",
                                                "fireeye.com",
                                                "f-secure.com",
                                                "fortinet.net",
                                                "habeas.com",
                                                "kaspersky.com",
                                                "kaspersky-labs.com",
                                                "mailspike.net",
                                                "mcafee.com",
                                                "msbl.org",
                                                "nszones.com",
                                                "opendns.com",
                                                "razor2.net",
                                                "senderbase.org",
                                                "senderscore.com",
                                                "sophosxl.com",
                                                "sophosxl.net",
                                                "sorbs.net",
                                                "spamcop.net",
                                                "spameatingmonkey.net",
                                                "spamhaus.net",
                                                "spamhaus.org",
                                                "sucuri.net",
                                                "support-intelligence.net",
                                                "surbl.org",
                                                "trendmicro.com",
                                                "uceprotect.net",
                                                "uribl.com",
                                                "webrootcloudav.com",
                                                "zscaler.com",
                                                "zscaler.net"};

constexpr std::string_view kSecondLevels[] = {"ac",   "co",  "com", "edu", "firm", "gen", "go", "gob",
                                              "gouv", "gov", "gv",  "ltd", "me",   "mil", "ne", "net",
                                              "nom",  "or",  "org", "plc", "res",  "sch", "web"};

template <std::size_t kSize>
bool IsOneOf(const std::string_view (&list)[kSize], std::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

// The last label of `name`, which is shortened by it and its dot.
std::string_view TakeLast(std::string_view* name) {
  const std::size_t dot = name->rfind('.');
  const std::string_view last = dot == std::string_view::npos ? *name : name->substr(dot + 1);
  *name = dot == std::string_view::npos ? std::string_view() : name->substr(0, dot);
  return last;
}

bool IsNumber(std::string_view label) {
  return !label.empty() && label.size() <= 3 &&
         std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsNibble(std::string_view label) {
  return label.size() == 1 && ((label[0] >= '0' && label[0] <= '9') || (label[0] >= 'a' && label[0] <= 'f'));
}

// "4.3.2.1", or 16 nibbles and more: an address in reverse, as blocklists and origin lookups have it.
bool BeginsWithAddress(std::string_view subdomain) {
  std::size_t numbers = 0, nibbles = 0;
  for (bool in_numbers = true, in_nibbles = true; !subdomain.empty() && (in_numbers || in_nibbles);) {
    const std::string_view label = subdomain.substr(0, subdomain.find('.'));
    subdomain.remove_prefix(std::min(label.size() + 1, subdomain.size()));
    in_numbers = in_numbers && IsNumber(label);
    in_nibbles = in_nibbles && IsNibble(label);
    numbers += in_numbers;
    nibbles += in_nibbles;
  }
  return numbers == 4 || nibbles >= 16;
}

bool HasLabel(std::string_view name, std::string_view wanted) {
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    if (name.substr(at, end - at) == wanted) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::optional<SplitName> SplitForTunnel(std::string_view name) {
  std::string_view rest = name;
  const std::string_view top = TakeLast(&rest);
  if (rest.empty() || IsOneOf(kLocalZones, top)) return std::nullopt;
  const std::string_view second = TakeLast(&rest);
  if (top.size() == 2 && IsOneOf(kSecondLevels, second) && !rest.empty()) TakeLast(&rest);
  if (rest.empty()) return SplitName{.domain = name, .subdomain = {}};
  const SplitName split{.domain = name.substr(rest.size() + 1), .subdomain = rest};
  if (IsOneOf(kLookupServices, split.domain) || BeginsWithAddress(rest)) return std::nullopt;
  // A name with a cluster's search domain behind it, and service discovery.
  if (HasLabel(rest, "svc") || HasLabel(rest, "_tcp") || HasLabel(rest, "_udp") || HasLabel(rest, "dnsbl"))
    return std::nullopt;
  return split;
}

}  // namespace knp::detect
