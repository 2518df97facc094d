// The piece "drops": what the kernel dropped and why, in total and of each conversation. Reads datapath::DropCounter, adds
// FlowRecord::drops and HostReport::drops.
#ifndef KNP_HOST_DROPS_DROP_WATCH_H_
#define KNP_HOST_DROPS_DROP_WATCH_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/datapath/drop_counter.h"
#include "src/host/drops/drop_book.h"
#include "src/host/piece.h"

namespace knp::host {

class DropWatch : public Piece {
 public:
  static absl::StatusOr<std::unique_ptr<Piece>> Make(const Surroundings& surroundings);

  void Poll(std::uint64_t now_mono_ns) override;
  void Complete(FlowRecord* record) override;
  std::vector<FlowRecord> Dropped() override;
  void Describe(HostPiece* piece, PacketStats* stats) override;

 private:
  DropWatch(std::unique_ptr<datapath::DropCounter> counter, const Surroundings& surroundings);
  // The host's thread, without the lock.
  absl::Status Take(std::uint64_t now_mono_ns, const datapath::DropCounter::Rest& rest);
  void FindInterfaces(const std::vector<datapath::DropRow>& rows);
  void FindFunctions();
  void FindReasons();
  // With the lock.
  std::string FunctionAt(std::uint64_t location) const;
  std::vector<DropTotal> Totals() const;

  const std::unique_ptr<datapath::DropCounter> counter_;
  const std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  std::uint64_t taken_drops_ = 0;  // of Rest::drops, when everything was last taken; the host's thread's
  std::uint64_t next_take_ns_ = 0;
  std::thread::id poller_;
  std::uint64_t next_functions_ns_ = 0;
  std::set<std::uint32_t> asked_reasons_;  // of modules, that had no name; the host's thread's

  mutable std::mutex mutex_;
  datapath::DropVocabulary words_;  // only the host's thread changes it
  DropBook book_;
  datapath::DropCounter::Rest rest_;
  std::vector<datapath::DropRow> rows_;              // only the host's thread changes it
  std::map<std::uint64_t, std::string> functions_;   // by address; only the host's thread changes it
  std::map<std::uint32_t, std::string> interfaces_;  // by index
  std::string trouble_;
};

}  // namespace knp::host

#endif  // KNP_HOST_DROPS_DROP_WATCH_H_
