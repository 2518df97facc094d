// What a detector is: a function of what it is told and of the time that it is given. It has no clock, no thread and does no
// I/O, and its memory is bounded whatever it is told. One folder each under src/detect/, one row in registry.cc.
#ifndef KNP_DETECT_DETECTOR_H_
#define KNP_DETECT_DETECTOR_H_

#include <knp/detection.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "src/base/contact.h"

namespace knp {
class AddressList;
}

namespace knp::detect {

class AlertBook;

// What every detector is made with; outlives it.
struct Surroundings {
  const DetectionOptions& options;
  AlertBook& alerts;
  std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
};

// Called from one thread. Times are monotonic and nearly in order: several CPUs tell of their packets.
class Detector {
 public:
  virtual ~Detector() = default;

  // A conversation came to another stage (contact.stage); `before`: Stage::kNone for a new one.
  virtual void OnStage(const Contact& contact, Stage before);
  // A conversation has carried something. Live conversations are read once a second; what the kernel evicts, at once.
  virtual void OnCarried(const Contact& contact, const Carried& carried);
  // A conversation is over; or is still live, and reported (record.final = false).
  virtual void OnRecord(const FlowRecord& record, std::uint64_t mono_ns);
  // A question to a name server is over.
  virtual void OnDns(const IpAddress& client, const IpAddress& server, const DnsTransaction& transaction,
                     std::uint64_t mono_ns);
  // A TCP packet that the kernel told of by itself: the first of a flow, with RST, or with flags that no honest stack sends,
  // of which each is told. Once for each interface that saw it; within the budget of events.
  virtual void OnTcpPacket(const FlowTuple& tuple, std::uint8_t flags, InterfaceId interface, std::uint64_t mono_ns);
  // The list of known bad addresses was read, or read again. Never null.
  virtual void OnKnownBad(const std::shared_ptr<const AddressList>& list);
  // Four times a second.
  virtual void Advance(std::uint64_t mono_ns);
  // Nothing more will come: decides what was held back for more evidence.
  virtual void Finish(std::uint64_t mono_ns);
};

}  // namespace knp::detect

#endif  // KNP_DETECT_DETECTOR_H_
