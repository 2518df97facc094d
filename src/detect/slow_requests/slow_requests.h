// Slowloris and its kin: a client that holds many connections of a service open with requests that never end, each a few
// bytes now and then, so that the service never answers. (A client that waits for a slow answer has sent its request, and
// sends no more.) Fed with stages and counts.
//
// Blind for TLS, where the service has spoken in the handshake, and for clients that read slowly.
// Memory: kMostWaiting connections that wait, about 100 bytes each; kMostClients pairs of client and service.
#ifndef KNP_DETECT_SLOW_REQUESTS_SLOW_REQUESTS_H_
#define KNP_DETECT_SLOW_REQUESTS_SLOW_REQUESTS_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class SlowRequests : public Detector {
 public:
  static constexpr std::size_t kMostWaiting = 16384, kMostClients = 1024;
  static constexpr std::uint64_t kPatienceNs = 5'000'000'000, kForgetNs = 300'000'000'000;

  explicit SlowRequests(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage) override { Look(contact, false); }
  void OnCarried(const Contact& contact, const Carried& carried) override { Look(contact, carried.sent.packets != 0); }
  void OnRecord(const FlowRecord& record, std::uint64_t mono_ns) override;
  void Advance(std::uint64_t mono_ns) override;

 private:
  struct Pair {
    IpAddress client, server;
    std::uint16_t port = 0;
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  struct PairHash {
    std::size_t operator()(const Pair& pair) const;
  };
  struct Waiting {
    Pair pair;
    std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
    std::uint16_t client_port = 0;
    bool goes_on = false;  // more of the request came after kPatienceNs
  };
  struct Held {
    std::uint32_t waiting = 0, going_on = 0;
    std::uint64_t first_mono_ns = 0;
    std::vector<AlertSample> samples;
  };

  void Look(const Contact& contact, bool sent);
  void Tell(const Pair& pair, const Held& held, std::uint64_t mono_ns);

  const FloodOptions& options_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  absl::flat_hash_map<std::uint64_t, Waiting> waiting_;
  std::uint64_t last_count_ns_ = 0;
};

// Null: not wanted.
std::unique_ptr<Detector> MakeSlowRequests(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_SLOW_REQUESTS_SLOW_REQUESTS_H_
