// anomaly.odd_flags: TCP packets with flags that no honest stack sends together, several from one source. Judged packet by
// packet from the kernel's notices: the flags of a conversation are put together and prove nothing.
//
// Bounded: kMostSources sources; while all are new, further ones are left out.
#ifndef KNP_DETECT_ODD_FLAGS_ODD_FLAGS_H_
#define KNP_DETECT_ODD_FLAGS_ODD_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/aged_map.h"
#include "src/base/flow_delta.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class OddFlags : public Detector {
 public:
  static constexpr std::size_t kMostSources = 1024;
  static constexpr std::uint32_t kPackets = 3;  // in kWindowNs; a broken one now and then is none
  static constexpr std::uint64_t kWindowNs = 60'000'000'000;

  explicit OddFlags(const Surroundings& surroundings)
      : alerts_(surroundings.alerts), unix_ns_(surroundings.unix_ns), sources_(kMostSources, kWindowNs) {}

  void OnTcpPacket(const FlowTuple& tuple, std::uint8_t flags, InterfaceId interface, std::uint64_t mono_ns) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Advance(mono_ns); }

 private:
  struct Source {
    InterfaceId interface = 0;  // the first that told: others tell of the same packets
    std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
    std::uint64_t packets = 0;
    std::vector<std::uint16_t> ports;
    std::vector<IpAddress> targets;
    std::vector<AlertSample> samples;
    std::vector<std::string> flags;
    bool changed = false;
  };
  void Tell(const IpAddress& address, const Source& source, std::uint64_t mono_ns);

  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  AgedMap<IpAddress, Source, IpAddressHash> sources_;
  bool changed_ = false;  // somebody has
};

// As the kernel's programs have it: alone or together, FIN, SYN, RST and ACK make seven honest packets.
bool AreOddFlags(std::uint8_t tcp_flags);

std::unique_ptr<Detector> MakeOddFlags(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_ODD_FLAGS_ODD_FLAGS_H_
