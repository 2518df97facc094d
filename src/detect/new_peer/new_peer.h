// anomaly.new_peer: after it was watched for the learning period, an internal host talks to somebody whom it never talked to
// before, or is talked to. Off unless asked for. One alert a host, with its new peers.
//
// A peer is a server's address and port that the host calls, an internal client of a port of the host, or "somebody external"
// at a port of it; of external servers the /24 (IPv6: /48) counts, for large services change addresses within it.
//
// Bounded: the pairs that are known are in a Bloom filter of 2 MiB: of a million of them, 0.2 % of what is new is taken for
// known; of two million, 2 %. kMostHosts hosts are watched; one that was forgotten is learnt anew.
#ifndef KNP_DETECT_NEW_PEER_NEW_PEER_H_
#define KNP_DETECT_NEW_PEER_NEW_PEER_H_

#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/address_scope.h"
#include "src/base/aged_map.h"
#include "src/base/seen_filter.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class NewPeer : public Detector {
 public:
  static constexpr std::size_t kMostHosts = 8192;

  explicit NewPeer(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage before) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Advance(mono_ns); }

 private:
  using Known = SeenFilter<std::size_t{1} << 24, 4>;
  struct Peer {
    IpAddress address;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    bool is_client = false;
  };
  struct News {  // of a host, since its alert began
    std::vector<Peer> peers;
    std::uint64_t count = 0, first_mono_ns = 0, last_mono_ns = 0;
  };
  struct Host {
    std::uint64_t since_ns = 0;
    std::unique_ptr<News> news;
    bool changed = false;
  };

  void Meet(const IpAddress& host, const Peer& peer, const Contact& contact);
  void Tell(const IpAddress& address, const News& news, std::uint64_t mono_ns);

  const std::uint64_t learning_ns_;
  const InternalNetworks networks_;
  AlertBook& alerts_;
  std::unique_ptr<Known> known_ = std::make_unique<Known>();
  AgedMap<IpAddress, Host, IpAddressHash> hosts_;
  bool changed_ = false;
};

std::unique_ptr<Detector> MakeNewPeer(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_NEW_PEER_NEW_PEER_H_
