// anomaly.failures: most of what a service is asked, or a client asks, fails, and that is much; or connections that are
// answered and never completed build up at a service. One alert a server, not one for each client that suffers, nor one a port;
// of a client alone when its failures are spread over servers.
//
// Bounded: kMostServices, kMostHosts, kMostClients, 0.7 KiB each; of alerts kSeparate of servers and of clients, further
// ones together in one alert of each kind; none where an alert tells of a scan or a flood already. What is new finds no room while all that is kept is busy.
#ifndef KNP_DETECT_FAILURES_FAILURES_H_
#define KNP_DETECT_FAILURES_FAILURES_H_

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/aged_map.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"
#include "src/detect/failures/tally.h"

namespace knp::detect {

class Failures : public Detector {
 public:
  static constexpr std::size_t kMostServices = 8192, kMostHosts = 4096, kMostClients = 4096, kSeparate = 4;
  static constexpr std::uint64_t kQuietNs = 60'000'000'000;
  static constexpr std::uint64_t kPatienceNs = 3'000'000'000;  // so that those who know attacks come first

  explicit Failures(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage before) override;
  void OnCarried(const Contact& contact, const Carried& carried) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Judge(mono_ns, true); }

 private:
  struct Service {
    IpAddress server;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    friend bool operator==(const Service&, const Service&) = default;
  };
  struct ServiceHash {
    std::size_t operator()(const Service& key) const {
      return HashOf(key.server, std::uint64_t{key.port} << 8 | key.protocol);
    }
  };
  struct Trouble {  // of a server, or a client
    const char* rule = nullptr;
    Outcomes sum;
    double observed = 0, threshold = 0;
    std::uint16_t port = 0;  // 0: several
    std::uint8_t protocol = 0;
    const Tally* tally = nullptr;
  };
  struct Told {
    const char* rule = nullptr;  // stays what it was first
    double threshold = 0;
    std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
    bool told = false;
  };
  using Troubles = absl::flat_hash_map<IpAddress, Trouble, IpAddressHash>;
  using ToldMap = absl::flat_hash_map<IpAddress, Told, IpAddressHash>;

  void Judge(std::uint64_t mono_ns, bool at_end);
  Trouble Weigh(Tally* tally, bool may_be_half_open, std::uint64_t slot) const;
  void TellAll(const Troubles& troubles, bool are_servers, ToldMap* told, std::uint64_t mono_ns, bool at_end);
  void TellOne(const IpAddress& address, const Trouble& trouble, bool is_server, const Told& told,
               std::uint64_t mono_ns);
  void TellMany(const std::vector<IpAddress>& addresses, bool are_servers, std::uint64_t mono_ns, bool at_end);

  const AnomalyOptions& options_;
  AlertBook& alerts_;
  AgedMap<Service, Tally, ServiceHash> services_;
  AgedMap<IpAddress, Tally, IpAddressHash> hosts_, clients_;
  ToldMap told_servers_, told_clients_;
  std::uint64_t many_servers_ns_ = 0, many_clients_ns_ = 0;  // since when there are more than that; 0: there are not
  std::uint64_t judged_ns_ = 0, now_slot_ = 0;
  // Where only one way of the traffic passes, nothing is ever answered: then silence is no failure.
  std::uint64_t opened_ = 0, one_sided_ = 0;
};

std::unique_ptr<Detector> MakeFailures(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_FAILURES_FAILURES_H_
