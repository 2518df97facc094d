// See detector.h: a detector overrides what it wants to know.
#include "src/detect/detector.h"

namespace knp::detect {

void Detector::OnStage(const Contact&, Stage) {}
void Detector::OnCarried(const Contact&, const Carried&) {}
void Detector::OnRecord(const FlowRecord&, std::uint64_t) {}
void Detector::OnDns(const IpAddress&, const IpAddress&, const DnsTransaction&, std::uint64_t) {}
void Detector::OnTcpPacket(const FlowTuple&, std::uint8_t, InterfaceId, std::uint64_t) {}
void Detector::OnKnownBad(const std::shared_ptr<const AddressList>&) {}
void Detector::Advance(std::uint64_t) {}
void Detector::Finish(std::uint64_t) {}

}  // namespace knp::detect
