// anomaly.volume: an internal host that sends or receives in a minute far more than it ever did: compared with the median
// and its absolute deviation over its last two hours, and with the greatest minute of its last days. One alert a host and way.
//
// Bounded: kMostHosts hosts, 2 KiB each. A host is admitted by its first delta of kAdmission bytes, which a spoofed source
// never has.
#ifndef KNP_DETECT_VOLUME_VOLUME_H_
#define KNP_DETECT_VOLUME_VOLUME_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/address_scope.h"
#include "src/base/aged_map.h"
#include "src/base/top_counter.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class Volume : public Detector {
 public:
  static constexpr std::size_t kMostHosts = 4096, kMinutes = 120;
  static constexpr std::uint64_t kMinuteNs = 60'000'000'000, kAdmission = 16'384;

  explicit Volume(const Surroundings& surroundings);

  void OnCarried(const Contact& contact, const Carried& carried) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override;

 private:
  struct Peer {
    IpAddress address;
    std::uint16_t port = 0;  // the server's
    std::uint8_t protocol = 0;
    friend bool operator==(const Peer&, const Peer&) = default;
  };
  using Peers = TopCounter<Peer, 8>;
  struct Way {
    std::array<std::uint32_t, kMinutes> minutes{};  // KiB
    std::uint64_t bytes = 0, packets = 0;           // of this minute
    Peers peers;                                    // likewise
    double peak = 0;                                // bytes; halves in kPeakHalfLifeMinutes
    double limit = 0;                               // of the alert that is open
    std::uint32_t over = 0;                         // minutes that it lasts
    std::uint64_t since_ns = 0;
    double greatest = 0;
    std::vector<AlertCount> counts;
  };
  struct Host {
    std::uint32_t known = 0;    // minutes
    std::array<Way, 2> ways{};  // to it, from it
  };

  void Add(const IpAddress& address, const Peer& peer, const Count& from_it, const Count& to_it, std::uint64_t mono_ns);
  void EndMinute(const IpAddress& address, Host* host, std::uint64_t mono_ns);
  void Judge(const IpAddress& address, const Host& host, bool from_it, Way* way, std::uint64_t mono_ns);
  double LimitOf(const Way& way, std::uint32_t known) const;
  void Tell(const IpAddress& address, bool from_it, const Way& way, std::uint64_t mono_ns);
  static std::string KeyOf(const IpAddress& address, bool from_it);

  const AnomalyOptions& options_;
  const InternalNetworks networks_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  AgedMap<IpAddress, Host, IpAddressHash> hosts_;
  std::uint64_t minute_ = 0;  // number of the one that runs
};

std::unique_ptr<Detector> MakeVolume(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_VOLUME_VOLUME_H_
