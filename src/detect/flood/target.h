// What one host, or one prefix, receives that nobody there can use: packets of no connection, by kind and quarter of a
// second. Kept by the flood detector for whoever receives much of it; judged by rules.h.
#ifndef KNP_DETECT_FLOOD_TARGET_H_
#define KNP_DETECT_FLOOD_TARGET_H_

#include <knp/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/contact.h"
#include "src/base/hyper_log_log.h"
#include "src/base/top_counter.h"

namespace knp::detect {

enum class FloodKind : std::uint8_t {
  kSyn,
  kAck,  // and all other TCP without a connection
  kUdp,
  kIcmp,
  kFragment,
  kAmplification,
  kReflection,
  kOther,
};
inline constexpr std::size_t kFloodKinds = 8;

// Of one kind, in some time.
struct FloodCount {
  std::uint64_t packets = 0, bytes = 0;
  std::uint64_t opened = 0;     // conversations that began
  std::uint64_t completed = 0;  // that came to something
  std::uint64_t refused = 0;
  std::uint64_t answered = 0;  // by the host: SYN-ACK
  FloodCount& operator+=(const FloodCount& other);
};

class FloodTarget {
 public:
  static constexpr std::uint64_t kBucketNs = 250'000'000;
  static constexpr std::size_t kBuckets = 48;  // 12 s

  struct Detail {  // of the kinds that are much
    HyperLogLog<9> sources, ports, hosts;
    TopCounter<IpAddress, 16> top_sources, top_parts;
    TopCounter<std::uint16_t, 16> top_ports;
    std::vector<AlertSample> samples;      // times monotonic
    std::vector<AlertCount> series;        // by second, times monotonic; at most 60
    std::uint64_t flows = 0, packets = 0;  // of which the source is known
    std::uint64_t all_flows = 0;           // and those that were folded
    std::uint64_t first_mono_ns = 0;
  };

  // Of the detail before this one: who comes now and then is not new each time that a detail begins.
  struct Earlier {
    HyperLogLog<9> sources, ports, hosts;
    std::uint64_t flows = 0, all_flows = 0, packets = 0, until_mono_ns = 0;
  };

  void Advance(std::uint64_t mono_ns);
  // In the bucket of now.
  FloodCount& Now(FloodKind kind) { return buckets_[at_][static_cast<std::size_t>(kind)]; }
  // Who, where; `contact` as the attacker's: client attacks server. `part`: the host, or of a network its prefix.
  void Observe(FloodKind kind, const IpAddress& source, const IpAddress& host, const IpAddress& part,
               std::uint16_t port, const Contact& contact, std::uint64_t packets, std::uint64_t bytes, bool opened);
  // A conversation that was observed came to something: its source has one less in it.
  void TakeBack(FloodKind kind, const IpAddress& source);
  void CountFirstFragments(std::uint64_t packets) { first_fragments_[at_] += packets; }

  // From `from` to `to` buckets ago, the one of now being 0.
  FloodCount Sum(FloodKind kind, std::size_t from, std::size_t to) const;
  std::uint64_t FirstFragments(std::size_t buckets) const;
  const Detail* detail(FloodKind kind) const { return details_[static_cast<std::size_t>(kind)].get(); }
  // Null, or of the time just before the detail's.
  const Earlier* earlier(FloodKind kind) const { return earlier_[static_cast<std::size_t>(kind)].get(); }
  // A new attack begins with new evidence; what is counted of the old is remembered until `until_mono_ns`.
  void ForgetDetail(FloodKind kind, std::uint64_t until_mono_ns);
  std::uint64_t last_mono_ns() const { return last_mono_ns_; }

 private:
  using Bucket = std::array<FloodCount, kFloodKinds>;

  std::array<Bucket, kBuckets> buckets_{};
  std::array<std::uint64_t, kBuckets> first_fragments_{};
  std::array<std::unique_ptr<Detail>, kFloodKinds> details_;
  std::array<std::unique_ptr<Earlier>, kFloodKinds> earlier_;
  std::size_t at_ = 0;
  std::uint64_t bucket_ns_ = 0, last_mono_ns_ = 0;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_FLOOD_TARGET_H_
