// What a detector asks of a name: whose it is, and what stands in front of that. Pure text work.
#ifndef KNP_DETECT_DNS_TUNNEL_DNS_NAME_H_
#define KNP_DETECT_DNS_TUNNEL_DNS_NAME_H_

#include <optional>
#include <string_view>

namespace knp::detect {

struct SplitName {
  std::string_view domain;     // the registered one: "example.co.uk"
  std::string_view subdomain;  // "a.b" of "a.b.example.co.uk"; empty: none
};

// nullopt of names in which data is the custom and no tunnel: reverse lookups, local zones, search domains of a cluster,
// service discovery, blocklists and other lookups of addresses or of hashes at known services. `name`: lower case.
// The registered domain is the last two labels, or three below a country's "co", "com", "org", …: without the list of public
// suffixes, which changes weekly, this is right for what tunnels are run under.
std::optional<SplitName> SplitForTunnel(std::string_view name);

}  // namespace knp::detect

#endif  // KNP_DETECT_DNS_TUNNEL_DNS_NAME_H_
