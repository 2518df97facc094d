// The piece "nat": conntrack's entries in a table, for the flow table to join what is on both sides of a translation. The
// monitor's reader drains it before it reads packets' records, and describes it, under the one lock: it has none of its own.
#ifndef KNP_HOST_NAT_NAT_WATCH_H_
#define KNP_HOST_NAT_NAT_WATCH_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "src/host/nat/conntrack.h"
#include "src/host/nat/nat_table.h"
#include "src/host/piece.h"

namespace knp::host {

class NatWatch {
 public:
  // Of the calling thread's network namespace. What was translated before is known when this returns, if that took no more
  // than a second, else soon.
  static absl::StatusOr<std::shared_ptr<NatWatch>> Open(std::size_t capacity);

  // Takes up to `most` messages, without waiting, and tells of each translation that was not known; true if there is more.
  bool Drain(std::uint64_t now_mono_ns, std::size_t most,
             absl::FunctionRef<void(const FlowTuple& translated, const FlowTuple& original)> learned);

  const NatTable& table() const { return table_; }
  void Describe(HostPiece* piece, PacketStats* stats) const;

 private:
  NatWatch(Conntrack conntrack, std::size_t capacity) : conntrack_(std::move(conntrack)), table_(capacity) {}

  Conntrack conntrack_;
  NatTable table_;
};

// Leaves the watch in `surroundings`.
absl::StatusOr<std::unique_ptr<Piece>> MakeNat(const Surroundings& surroundings);

}  // namespace knp::host

#endif  // KNP_HOST_NAT_NAT_WATCH_H_
