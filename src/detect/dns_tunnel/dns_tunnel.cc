// See dns_tunnel.h.
#include "src/detect/dns_tunnel/dns_tunnel.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/base/address_hash.h"
#include "src/detect/dns_tunnel/dns_name.h"

namespace knp::detect {
namespace {

constexpr std::uint16_t kTypeNull = 10, kTypeTxt = 16, kTypePrivate = 65399;  // the last: iodine
constexpr std::uint16_t kNxdomain = 3;
constexpr std::size_t kMostExamples = 4, kMostNames = 16;

// Bits a character of what is new in the names: 4 are hexadecimal, 5 base32; natural names stay near 4 and are short.
constexpr double kEntropy = 4.5, kHexEntropy = 3.5;
// New characters a name: names of content networks have up to 16, data in base32 takes what it can get; hexadecimal more.
constexpr double kFreshBytes = 20, kHexFreshBytes = 40;
constexpr double kLongName = 80, kNxdomainShare = 0.3, kCarriersAMinute = 10;

std::uint64_t HashText(std::string_view text) {
  std::uint64_t hash = text.size();
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return Mix(hash);
}

unsigned SymbolOf(char c) {
  if (c >= 'a' && c <= 'z') return static_cast<unsigned>(c - 'a');
  if (c >= '0' && c <= '9') return 26 + static_cast<unsigned>(c - '0');
  return c == '-' ? 36 : c == '_' ? 37 : 38;
}

template <std::size_t kSize>
double Entropy(const std::array<std::uint32_t, kSize>& counts) {
  double total = 0, sum = 0;
  for (const std::uint32_t count : counts) total += count;
  for (const std::uint32_t count : counts)
    if (count != 0) sum -= count / total * std::log2(count / total);
  return sum;
}

}  // namespace

std::unique_ptr<Detector> MakeDnsTunnel(const Surroundings& surroundings) {
  const AnomalyOptions& options = surroundings.options.anomaly;
  if (!options.dns_tunnel || options.dns_subdomains == 0) return nullptr;
  return std::make_unique<DnsTunnel>(surroundings);
}

std::size_t DnsTunnel::KeyHash::operator()(const Key& key) const { return HashOf(key.client, HashText(key.domain)); }

void DnsTunnel::OnDns(const IpAddress& client, const IpAddress& server, const DnsTransaction& transaction,
                      std::uint64_t mono_ns) {
  const std::optional<SplitName> split = SplitForTunnel(transaction.name);
  if (!split || split->subdomain.empty()) return;
  Pair* const pair = pairs_.Use({client, std::string(split->domain)}, mono_ns);
  if (!pair) return;
  if (pair->queries == 0 || pair->first_mono_ns + kWindowNs <= mono_ns) {
    // An alert that is open lives on by what comes, and is proved anew by this window.
    const bool told = pair->told && pair->last_mono_ns + kWindowNs > mono_ns;
    *pair = {};
    pair->told = told;
    pair->first_mono_ns = mono_ns;
  }
  pair->server = server;
  pair->last_mono_ns = std::max(pair->last_mono_ns, mono_ns);
  pair->queries++;
  pair->nxdomain += transaction.rcode == kNxdomain;
  pair->carriers += transaction.type == kTypeTxt || transaction.type == kTypeNull || transaction.type == kTypePrivate;
  if (pair->names.Add(HashText(split->subdomain))) NoteName(transaction.name, split->subdomain, pair);
  pair->changed = changed_ = true;
}

void DnsTunnel::NoteName(std::string_view name, std::string_view subdomain, Pair* pair) {
  pair->distinct++;
  std::uint16_t& lengths = pair->lengths[std::min(name.size() / kLengthStep, pair->lengths.size() - 1)];
  lengths = static_cast<std::uint16_t>(std::min(lengths + 1, 0xffff));
  while (!subdomain.empty()) {
    const std::string_view label = subdomain.substr(0, subdomain.find('.'));
    subdomain.remove_prefix(std::min(label.size() + 1, subdomain.size()));
    if (!pair->labels.Add(HashText(label))) continue;
    pair->fresh_bytes += label.size();
    for (const char c : label) pair->symbols[SymbolOf(c)]++;
  }
  if (pair->examples.size() < kMostExamples) pair->examples.emplace_back(name.substr(0, 255));
}

DnsTunnel::Verdict DnsTunnel::Judge(const Pair& pair) const {
  Verdict verdict;
  if (pair.distinct * 2 <= least_) return verdict;
  const double minutes = std::max(static_cast<double>(pair.last_mono_ns - pair.first_mono_ns) / 60e9, 1.0);
  verdict.entropy = Entropy(pair.symbols);
  // The filter of labels takes some for known when it fills up: then what is new is less than it was, never more.
  verdict.fresh = static_cast<double>(pair.fresh_bytes) / pair.distinct;
  verdict.nxdomain = static_cast<double>(pair.nxdomain) / pair.queries;
  verdict.carriers_a_minute = pair.carriers / minutes;
  std::uint32_t longer = 0, total = 0;
  for (const std::uint16_t count : pair.lengths) total += count;
  std::size_t at = pair.lengths.size();
  while (at > 0 && longer * 20 < total) longer += pair.lengths[--at];
  verdict.length = static_cast<double>(at * kLengthStep);
  const bool dense = (verdict.entropy > kEntropy && verdict.fresh >= kFreshBytes) ||
                     (verdict.entropy > kHexEntropy && verdict.fresh >= kHexFreshBytes);
  if (pair.distinct > least_ && dense) {
    verdict.rule = "dns_tunnel.subdomains";
    verdict.observed = pair.distinct;
    verdict.threshold = least_;
  } else if (verdict.length >= kLongName && verdict.nxdomain > kNxdomainShare && verdict.fresh >= kFreshBytes) {
    verdict.rule = "dns_tunnel.long_names";
    verdict.observed = verdict.length;
    verdict.threshold = kLongName;
  } else if (verdict.carriers_a_minute > kCarriersAMinute && verdict.fresh >= kFreshBytes) {
    verdict.rule = "dns_tunnel.txt";
    verdict.observed = verdict.carriers_a_minute;
    verdict.threshold = kCarriersAMinute;
  }
  return verdict;
}

void DnsTunnel::Advance(std::uint64_t mono_ns) {
  if (!changed_) return;
  changed_ = false;
  pairs_.VisitSince(mono_ns - std::min(mono_ns, kWindowNs), [&](const Key& key, Pair& pair) {
    if (!pair.changed) return;
    pair.changed = false;
    const Verdict verdict = Judge(pair);
    if (!verdict.rule) return;
    pair.told = true;
    Tell(key, pair, verdict, mono_ns);
  });
}

void DnsTunnel::Tell(const Key& key, const Pair& pair, const Verdict& verdict, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.dns_tunnel";
  alert.severity = "medium";
  alert.rule = {.name = verdict.rule,
                .observed = verdict.observed,
                .threshold = verdict.threshold,
                .window_s = static_cast<double>(kWindowNs) / 1e9};
  alert.names = {key.domain};
  alert.names.insert(alert.names.end(), pair.examples.begin(), pair.examples.end());
  // Through a resolver the same tunnel is seen twice, and of several clients: one domain is one alert.
  std::vector<IpAddress> clients;
  pairs_.VisitSince(mono_ns - std::min(mono_ns, kWindowNs), [&](const Key& other, const Pair& of_other) {
    if (of_other.told && other.domain == key.domain && clients.size() < kMostNames) clients.push_back(other.client);
  });
  std::sort(clients.begin(), clients.end());
  if (clients.size() == 1)
    alert.source = Endpoint{.ip = key.client};
  else
    alert.distinct_sources = clients.size();
  alert.evidence_sources = clients;
  alert.target = Endpoint{.ip = pair.server, .port = 53};
  alert.facts = {{"subdomains", pair.distinct},
                 {"queries", pair.queries},
                 {"entropy_bits", verdict.entropy},
                 {"new_bytes_a_name", verdict.fresh},
                 {"name_length_p95", verdict.length},
                 {"nxdomain_share", verdict.nxdomain},
                 {"txt_a_minute", verdict.carriers_a_minute}};
  alert.summary =
      fmt::format("{}{} asked for {} names below {}, with {:.0f} new characters of {:.1f} bits each: they carry data",
                  key.client.ToString(), clients.size() > 1 ? " and others" : "", pair.distinct, key.domain,
                  verdict.fresh, verdict.entropy);
  finding.key = key.domain;
  finding.first_mono_ns = pair.first_mono_ns;
  finding.last_mono_ns = pair.last_mono_ns;
  finding.quiet_ns = kWindowNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
