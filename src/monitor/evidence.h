// The packets of alerts, kept as files: which packets prove an alert, how many of them, and how much room all may take.
// Fed with frames by LiveEvidence (those that the kernel copied) or by the replay (every frame). See include/knp/evidence.h.
//
// Not thread-safe. Times are Unix time, of the capture in a replay. What a file system refuses is told in the report and
// disturbs nothing else.
#ifndef KNP_MONITOR_EVIDENCE_H_
#define KNP_MONITOR_EVIDENCE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/evidence.h>
#include <knp/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "src/datapath/frame_ends.h"
#include "src/export/pcapng/pcapng_writer.h"
#include "src/monitor/outbox.h"

namespace knp::monitor {

// Whose packets prove this alert: those between its source and its target; where it has only one of them, all from and to
// that one; of a flood those of its protocol. Nullopt: it names nobody.
std::optional<datapath::PacketFilter> PacketsOf(const Alert& alert);

struct EvidenceFrame {
  std::uint64_t time_unix_ns = 0;
  std::string interface;
  bool ethernet = true;  // else it begins with the IP header
  std::optional<Direction> direction;
  std::uint32_t length = 0;
  std::span<const std::uint8_t> bytes;
};

// InvalidArgument, naming the option and its range.
absl::Status CheckEvidenceOptions(const EvidenceOptions& options);

class Evidence {
 public:
  static constexpr std::size_t kMostOpen = 64;  // alerts whose packets are gathered at one time
  static constexpr std::uint64_t kLongestNs = 60'000'000'000;

  // Makes the directory, and looks how much of the room is used up. `history`: so many of the latest frames are kept for
  // alerts to come, about 400 bytes each; 0: none.
  static absl::StatusOr<std::unique_ptr<Evidence>> Open(const EvidenceOptions& options, std::size_t history);

  // Alerts that are about to leave. Returns whether wanted() may have changed.
  bool OnOutbox(const Outbox& outbox, std::uint64_t now_unix_ns);
  void OnFrame(const EvidenceFrame& frame);
  // Ends what has lasted long enough; true: wanted() has changed.
  bool Advance(std::uint64_t now_unix_ns);
  // Of the alerts whose packets are still gathered.
  std::vector<datapath::PacketFilter> wanted() const;
  const EvidenceOptions& options() const { return options_; }
  EvidenceReport Report() const { return report_; }

 private:
  struct Case {
    Case(const datapath::PacketFilter& wanted, std::uint32_t snap_bytes) : filter(wanted), writer(snap_bytes) {}
    datapath::PacketFilter filter;
    pcapng::Writer writer;
    std::string name, comment;  // of the file
    UniqueFd file;              // none before the first packet
    std::uint32_t packets = 0;
    std::uint64_t until_unix_ns = 0;
  };
  struct Kept {
    EvidenceFrame frame;  // its bytes are in `bytes`
    std::array<std::uint8_t, 256> bytes;
  };
  explicit Evidence(const EvidenceOptions& options) : options_(options) {}
  absl::Status TakeStock();
  void OpenCase(const Alert& alert, std::uint64_t now_unix_ns);
  void Keep(const EvidenceFrame& frame);
  // False: the case is over.
  bool Write(Case* one, const EvidenceFrame& frame);
  absl::Status Begin(Case* one);
  absl::Status Append(Case* one, const std::string& bytes);
  bool MakeRoom(std::uint64_t bytes);

  const EvidenceOptions options_;
  UniqueFd directory_;
  std::map<std::string, std::uint64_t> files_;  // by name, which is by age; bytes
  std::uint64_t total_bytes_ = 0;
  std::map<std::string, Case> open_;  // by alert
  std::set<std::string> closed_;      // alerts that may come back
  std::vector<Kept> history_;         // a ring
  std::size_t history_size_ = 0, next_ = 0;
  EvidenceReport report_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_EVIDENCE_H_
