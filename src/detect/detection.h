// All detectors and their alerts, as one thing to feed. Made and fed by src/monitor; what it raises goes to the outbox.
#ifndef KNP_DETECT_DETECTION_H_
#define KNP_DETECT_DETECTION_H_

#include <knp/detection.h>
#include <knp/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/contact.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class Detection {
 public:
  static constexpr std::uint64_t kTickNs = 250'000'000;

  Detection(const DetectionOptions& options, const AlertBook::Context& context);
  Detection(const Detection&) = delete;
  Detection& operator=(const Detection&) = delete;

  void OnStage(const Contact& contact, Stage before) {
    finished_ = false;
    for (const auto& detector : detectors_) detector->OnStage(contact, before);
  }
  void OnCarried(const Contact& contact, const Carried& carried) {
    finished_ = false;
    for (const auto& detector : detectors_) detector->OnCarried(contact, carried);
  }
  void OnRecord(const FlowRecord& record, std::uint64_t mono_ns) {
    for (const auto& detector : detectors_) detector->OnRecord(record, mono_ns);
  }
  void OnDns(const IpAddress& client, const IpAddress& server, const DnsTransaction& transaction,
             std::uint64_t mono_ns) {
    for (const auto& detector : detectors_) detector->OnDns(client, server, transaction, mono_ns);
  }
  void OnTcpPacket(const FlowTuple& tuple, std::uint8_t flags, InterfaceId interface, std::uint64_t mono_ns) {
    for (const auto& detector : detectors_) detector->OnTcpPacket(tuple, flags, interface, mono_ns);
  }
  void OnKnownBad(const std::shared_ptr<const AddressList>& list) {
    for (const auto& detector : detectors_) detector->OnKnownBad(list);
  }
  // What somebody else found.
  void Tell(const Finding& finding, std::uint64_t mono_ns) {
    finished_ = false;
    alerts_.Tell(finding, mono_ns);
  }
  // As often as the owner likes: acts when a tick is over.
  void Advance(std::uint64_t mono_ns);
  // Nothing more will come: decides and closes everything. Once more without news it does nothing.
  void Finish(std::uint64_t mono_ns);

  const AlertBook& alerts() const { return alerts_; }

 private:
  const DetectionOptions options_;
  AlertBook alerts_;
  std::vector<std::unique_ptr<Detector>> detectors_;
  std::uint64_t last_tick_ns_ = 0;
  bool finished_ = false;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_DETECTION_H_
