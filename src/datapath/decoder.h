// Turns what the data plane's code has left, records and tables, into deltas and notices, each packet exactly once. The
// same for the kernel's programs (Datapath, kernel replay) and for their host build (native replay).
#ifndef KNP_DATAPATH_DECODER_H_
#define KNP_DATAPATH_DECODER_H_

#include <absl/status/status.h>
#include <knp/options.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/flow_delta.h"
#include "src/datapath/sink.h"
#include "src/datapath/table_reader.h"
#include "src/datapath/tick_clock.h"

namespace knp::datapath {

// What one of `cpus` CPUs may spend on records that no count hangs on, and on new flows; all else is zero.
knp_cpu_state EventBudget(const MonitorOptions& options, std::uint32_t cpus, std::uint64_t tick_ns);

class Decoder {
 public:
  explicit Decoder(Sink* sink) : sink_(sink) {}
  // Arrays or spans of the buckets, which must outlive the decoder.
  template <typename Buckets4, typename Buckets6>
  absl::Status Open(const Buckets4& buckets4, const Buckets6& buckets6) {
    flows4_.emplace(buckets4);
    flows6_.emplace(buckets6);
    return flows4_->valid() && flows6_->valid() ? absl::OkStatus()
                                                : absl::ResourceExhaustedError("no memory for the flow table's shadow");
  }
  template <typename Buckets4, typename Buckets6, typename BucketsInner>
  absl::Status Open(const Buckets4& buckets4, const Buckets6& buckets6, const BucketsInner& buckets_inner) {
    flows_inner_.emplace(buckets_inner);
    if (!flows_inner_->valid()) return absl::ResourceExhaustedError("no memory for the shadow of the tunnels' flows");
    return Open(buckets4, buckets6);
  }
  // The three of them, mapped; going on where `checkpoint`, which must outlive the decoder, says.
  absl::Status Open(const Array<knp_bucket4>& buckets4, const Array<knp_bucket6>& buckets6,
                    const Array<knp_bucket_inner>& buckets_inner, Checkpoint* checkpoint) {
    flows4_.emplace(buckets4, checkpoint, Checkpoint::kFlows4);
    flows6_.emplace(buckets6, checkpoint, Checkpoint::kFlows6);
    flows_inner_.emplace(buckets_inner, checkpoint, Checkpoint::kFlowsInner);
    return flows4_->valid() && flows6_->valid() && flows_inner_->valid()
               ? absl::OkStatus()
               : absl::InternalError("the pinned state has too few shadows for the flow table");
  }
  void SetClock(const TickClock* clock) { clock_ = clock; }
  // Who has the slot from now on: what was counted in it before must have been read.
  void SetInterface(std::uint16_t slot, InterfaceId id);

  void OnRecord(const void* record, std::size_t size);
  // Reads the next `buckets` of the flow tables, round and round. True: a round is complete.
  bool Scan(std::size_t buckets);
  bool at_start() const { return scan_at_ == 0; }
  void RestartScan() { scan_at_ = 0; }
  std::size_t total_buckets() const {
    return flows4_->buckets() + flows6_->buckets() + (flows_inner_ ? flows_inner_->buckets() : 0);
  }
  std::uint64_t malformed_records() const { return malformed_records_; }

 private:
  friend struct RecordHandlers;
  template <typename Key>
  void EmitDelta(const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes);
  template <typename Reader>
  std::size_t ScanPart(Reader* reader, std::size_t before, std::size_t first, std::size_t end);
  void EmitNotice(PacketNotice::Kind kind, const knp_packet_event& event);
  bool EmitSample(const knp_payload_sample& record, std::span<const std::uint8_t> data);
  std::optional<InterfaceId> InterfaceOf(std::uint32_t meta);  // nullopt: nobody's, which is counted

  Sink* sink_;
  const TickClock* clock_ = nullptr;
  std::optional<TableReader<knp_bucket4, knp_key4>> flows4_;  // since Open
  std::optional<TableReader<knp_bucket6, knp_key6>> flows6_;
  std::optional<TableReader<knp_bucket_inner, knp_key_inner>> flows_inner_;  // if there are any
  std::vector<std::optional<InterfaceId>> interfaces_;                       // by slot
  std::size_t scan_at_ = 0;
  std::uint64_t malformed_records_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_DECODER_H_
