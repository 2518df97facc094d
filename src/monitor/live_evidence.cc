// See live_evidence.h.
#include "src/monitor/live_evidence.h"

#include <algorithm>
#include <utility>

#include "src/base/nanoseconds.h"
#include "src/datapath/datapath.h"

namespace knp::monitor {
namespace {

bool SameTwo(const datapath::PacketFilter& a, const datapath::PacketFilter& b) {
  return a.one == b.one && a.other == b.other;
}

}  // namespace

// One for each two ends: of two wishes that differ in the rest, what both are part of.
std::vector<LiveEvidence::Asked> LiveEvidence::Merge(const std::vector<datapath::PacketFilter>& wanted) {
  std::vector<Asked> merged;
  for (const datapath::PacketFilter& filter : wanted) {
    const auto same =
        std::find_if(merged.begin(), merged.end(), [&](const Asked& each) { return SameTwo(each.filter, filter); });
    if (same == merged.end()) {
      merged.push_back({filter, 1});
      continue;
    }
    same->alerts++;
    if (same->filter.protocol != filter.protocol) same->filter.protocol = 0;
    if (same->filter.port != filter.port) same->filter.port = 0;
  }
  return merged;
}

absl::StatusOr<std::unique_ptr<LiveEvidence>> LiveEvidence::Create(const MonitorOptions& options, Clock clock) {
  auto evidence = Evidence::Open(options.evidence, 0);
  if (!evidence.ok()) return evidence.status();
  auto capture = datapath::PacketCapture::Create(options.evidence.snap_bytes, options.disable_features);
  if (!capture.ok()) return capture.status();
  return std::unique_ptr<LiveEvidence>(new LiveEvidence(std::move(clock), *std::move(evidence), *std::move(capture)));
}

void LiveEvidence::OnOutbox(const Outbox& outbox, const datapath::Datapath& datapath) {
  const bool alerts = std::any_of(outbox.begin(), outbox.end(),
                                  [](const Message& message) { return std::holds_alternative<Alert>(message); });
  if (!alerts) return;
  const std::uint64_t now_ns = clock_.mono_ns();
  Poll(datapath);  // what was copied belongs to those that may close now
  if (evidence_->OnOutbox(outbox, clock_.unix_ns(now_ns))) Ask(datapath, now_ns);
}

void LiveEvidence::Advance(const datapath::Datapath& datapath) {
  if (!capture_->wants_something()) return;
  const std::uint64_t now_ns = clock_.mono_ns();
  Poll(datapath);
  evidence_->Advance(clock_.unix_ns(now_ns));
  if (now_ns - last_sync_ns_ >= kSecondNs || evidence_->wanted().empty()) Ask(datapath, now_ns);
}

void LiveEvidence::Ask(const datapath::Datapath& datapath, std::uint64_t now_ns) {
  std::vector<Asked> wanted = Merge(evidence_->wanted());
  const auto find = [](const std::vector<Asked>& list, const Asked& one) {
    return std::find_if(list.begin(), list.end(), [&](const Asked& each) { return SameTwo(each.filter, one.filter); });
  };
  for (const Asked& one : asked_)
    if (find(wanted, one) == wanted.end()) capture_->Forget(one.filter);
  for (const Asked& one : wanted) {
    // Anew where an alert has joined, for what was asked may be used up.
    const auto before = find(asked_, one);
    if (before == asked_.end() || before->filter != one.filter || before->alerts < one.alerts)
      Note(capture_->Want(one.filter, evidence_->options().packets));
  }
  asked_ = std::move(wanted);
  last_sync_ns_ = asked_.empty() ? 0 : now_ns;
  Note(capture_->Sync(datapath::CountingPlaces(datapath), now_ns));
}

void LiveEvidence::Poll(const datapath::Datapath& datapath) {
  const absl::Status status = capture_->Poll([&](const datapath::CapturedPacket& packet) {
    EvidenceFrame frame;
    frame.time_unix_ns = clock_.unix_ns(packet.time_mono_ns);
    for (const auto& interface : datapath.interfaces())
      if (interface->ifindex() == packet.ifindex) frame.interface = interface->name();
    frame.ethernet = packet.ethernet;
    frame.direction = packet.direction;
    frame.length = packet.length;
    frame.bytes = packet.bytes;
    evidence_->OnFrame(frame);
  });
  Note(status);
}

void LiveEvidence::Close(const datapath::Datapath& datapath) {
  Note(capture_->Sync({}, clock_.mono_ns()));
  Poll(datapath);
}

void LiveEvidence::Note(const absl::Status& status) {
  if (!status.ok()) trouble_ = std::string(status.message());
}

EvidenceReport LiveEvidence::Report() const {
  EvidenceReport report = evidence_->Report();
  report.lost_packets = capture_->lost();
  if (report.trouble.empty()) report.trouble = trouble_;
  return report;
}

}  // namespace knp::monitor
