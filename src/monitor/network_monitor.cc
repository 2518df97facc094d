// NetworkMonitor (include/knp/network_monitor.h): each call goes to the Impl.
#include <fmt/format.h>

#include "src/datapath/uninstall.h"
#include "src/monitor/impl.h"

namespace knp {

NetworkMonitor::NetworkMonitor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NetworkMonitor::~NetworkMonitor() = default;

absl::StatusOr<std::unique_ptr<NetworkMonitor>> NetworkMonitor::Create(const MonitorOptions& options) {
  auto impl = Impl::Create("", options);
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<NetworkMonitor>(new NetworkMonitor(*std::move(impl)));
}

absl::StatusOr<std::unique_ptr<NetworkMonitor>> NetworkMonitor::CreateFromObjectFile(const std::string& path,
                                                                                     const MonitorOptions& options) {
  if (path.empty()) return absl::InvalidArgumentError("the BPF object's path is empty");
  auto impl = Impl::Create(path, options);
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<NetworkMonitor>(new NetworkMonitor(*std::move(impl)));
}

absl::Status NetworkMonitor::Uninstall(const std::string& pin_directory) { return datapath::Uninstall(pin_directory); }

absl::Status NetworkMonitor::AttachToInterface(const std::string& interface) { return impl_->Attach(interface); }
absl::Status NetworkMonitor::DetachFromInterface(const std::string& interface) { return impl_->Detach(interface); }
absl::Status NetworkMonitor::FollowInterfaces(const InterfaceSelection& selection) { return impl_->Follow(selection); }
absl::Status NetworkMonitor::Finish() { return impl_->Finish(); }
absl::Status NetworkMonitor::StartEventProcessing() { return impl_->Start(); }
absl::Status NetworkMonitor::StopEventProcessing() { return impl_->Stop(); }
absl::StatusOr<PacketStats> NetworkMonitor::GetPacketStats() { return impl_->GetPacketStats(); }
absl::StatusOr<FlowStats> NetworkMonitor::GetFlowStats() {
  std::vector<FlowRecord> flows;
  absl::StatusOr<FlowStats> stats = impl_->VisitFlows([&flows](const FlowRecord& flow) { flows.push_back(flow); });
  if (stats.ok()) stats->flows = std::move(flows);
  return stats;
}
absl::StatusOr<FlowStats> NetworkMonitor::VisitFlows(const std::function<void(const FlowRecord&)>& visit) {
  return impl_->VisitFlows(visit);
}
absl::StatusOr<TrafficReport> NetworkMonitor::GetTraffic(std::size_t top) { return impl_->GetTraffic(top); }

absl::Status NetworkMonitor::SetSecurityConfig(SecurityParameter parameter, std::uint64_t value) {
  return impl_->SetSecurityConfig(parameter, value);
}
void NetworkMonitor::SetEventHandler(EventHandler handler) { impl_->handlers().Set(std::move(handler)); }
void NetworkMonitor::SetAlertHandler(AlertHandler handler) { impl_->handlers().Set(std::move(handler)); }
void NetworkMonitor::SetFlowHandler(FlowHandler handler) { impl_->handlers().Set(std::move(handler)); }

absl::Status NetworkMonitor::SetUserEventHandler(std::uint16_t type, UserEventHandler handler) {
  if (type < kFirstUserEventType)
    return absl::InvalidArgumentError(
        fmt::format("event type {:#x} is ours: user-defined types start at {:#x}", type, kFirstUserEventType));
  impl_->handlers().Set(type, std::move(handler));
  return absl::OkStatus();
}

absl::StatusOr<RawMap> NetworkMonitor::OpenRawMap(const std::string& name, std::size_t key_size,
                                                  std::size_t value_size) {
  return impl_->OpenMap(name, key_size, value_size);
}

std::vector<ProgramInfo> NetworkMonitor::ListPrograms() const { return impl_->Programs(); }

}  // namespace knp
