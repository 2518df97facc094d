// CaptureReplay (include/knp/capture_replay.h): each call goes to the Impl.
#include <knp/capture_replay.h>

#include <utility>

#include "src/replay/replay_impl.h"

namespace knp {

CaptureReplay::CaptureReplay(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CaptureReplay::~CaptureReplay() = default;

absl::StatusOr<std::unique_ptr<CaptureReplay>> CaptureReplay::Create(const ReplayOptions& options) {
  auto impl = Impl::Create(options);
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<CaptureReplay>(new CaptureReplay(*std::move(impl)));
}

void CaptureReplay::SetEventHandler(NetworkMonitor::EventHandler handler) { impl_->handlers().Set(std::move(handler)); }
void CaptureReplay::SetAlertHandler(NetworkMonitor::AlertHandler handler) { impl_->handlers().Set(std::move(handler)); }
void CaptureReplay::SetFlowHandler(NetworkMonitor::FlowHandler handler) { impl_->handlers().Set(std::move(handler)); }
void CaptureReplay::SetIntervalHandler(std::chrono::milliseconds interval, IntervalHandler handler) {
  impl_->SetIntervalHandler(interval, std::move(handler));
}
absl::Status CaptureReplay::SetSecurityConfig(SecurityParameter parameter, std::uint64_t value) {
  return impl_->SetSecurityConfig(parameter, value);
}
absl::Status CaptureReplay::Run(const std::string& path, const Progress& progress, const std::stop_token& stop) {
  return impl_->Run(path, progress, stop);
}
absl::StatusOr<PacketStats> CaptureReplay::GetPacketStats() { return impl_->GetPacketStats(); }
FlowStats CaptureReplay::GetFlowStats() { return impl_->GetFlowStats(); }
void CaptureReplay::VisitFlows(const std::function<void(const FlowRecord&)>& visit) {
  impl_->pipeline().flows().Visit(visit);
}
TrafficReport CaptureReplay::GetTraffic(std::size_t top) { return impl_->GetTraffic(top); }
ReplayReport CaptureReplay::GetReport() const { return impl_->GetReport(); }

}  // namespace knp
