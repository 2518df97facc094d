// anomaly.dns_tunnel: data in the names that a client asks for, below one registered domain. One alert a domain.
//
// Bounded: kMostPairs of client and domain, 1.2 KiB each and four names as examples; a pair is looked at for five minutes,
// then anew.
#ifndef KNP_DETECT_DNS_TUNNEL_DNS_TUNNEL_H_
#define KNP_DETECT_DNS_TUNNEL_DNS_TUNNEL_H_

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/aged_map.h"
#include "src/base/seen_filter.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class DnsTunnel : public Detector {
 public:
  static constexpr std::size_t kMostPairs = 4096;
  static constexpr std::uint64_t kWindowNs = 300'000'000'000;

  explicit DnsTunnel(const Surroundings& surroundings)
      : least_(surroundings.options.anomaly.dns_subdomains), alerts_(surroundings.alerts), pairs_(kMostPairs, 0) {}

  void OnDns(const IpAddress& client, const IpAddress& server, const DnsTransaction& transaction,
             std::uint64_t mono_ns) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Advance(mono_ns); }

 private:
  static constexpr unsigned kSymbols = 40;       // letters, digits, '-', '_', the rest
  static constexpr std::size_t kLengthStep = 8;  // bytes of a name in one place of the histogram
  struct Key {
    IpAddress client;
    std::string domain;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Pair {
    std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
    IpAddress server;
    SeenFilter<4096, 2> names;                                            // whole subdomains
    SeenFilter<2048, 1> labels;                                           // so that what all names share counts once
    std::array<std::uint32_t, kSymbols> symbols{};                        // of new labels
    std::array<std::uint16_t, 32> lengths{};                              // of new names
    std::uint32_t distinct = 0, queries = 0, nxdomain = 0, carriers = 0;  // carriers: questions for TXT and the like
    std::uint64_t fresh_bytes = 0;                                        // of new labels in new names
    std::vector<std::string> examples;
    bool told = false, changed = false;
  };
  struct Verdict {
    const char* rule = nullptr;  // null: quiet
    double observed = 0, threshold = 0;
    double entropy = 0, fresh = 0, length = 0, nxdomain = 0, carriers_a_minute = 0;
  };

  static void NoteName(std::string_view name, std::string_view subdomain, Pair* pair);
  Verdict Judge(const Pair& pair) const;
  void Tell(const Key& key, const Pair& pair, const Verdict& verdict, std::uint64_t mono_ns);

  const std::uint32_t least_;
  AlertBook& alerts_;
  AgedMap<Key, Pair, KeyHash> pairs_;
  bool changed_ = false;
};

std::unique_ptr<Detector> MakeDnsTunnel(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_DNS_TUNNEL_DNS_TUNNEL_H_
