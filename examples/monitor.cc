// Watches $NETWORK_INTERFACE: statistics every five seconds, events and alerts as they come, until Ctrl-C.
//
//   NETWORK_INTERFACE=eth0 build/bin/examples/monitor
#include <knp/network_monitor.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

void PrintStats(const knp::PacketStats& stats) {
  for (const knp::InterfaceStats& one : stats.interfaces) {
    std::printf("%s: rx %llu packets %llu bytes, tx %llu packets %llu bytes\n", one.name.c_str(),
                static_cast<unsigned long long>(one.rx.packets), static_cast<unsigned long long>(one.rx.bytes),
                static_cast<unsigned long long>(one.tx.packets), static_cast<unsigned long long>(one.tx.bytes));
    for (const auto& [protocol, count] : one.protocols)
      std::printf("  %-8s %llu packets\n", protocol.c_str(), static_cast<unsigned long long>(count.packets));
  }
  std::fflush(stdout);
}

}  // namespace

int main() {
  const char* interface = std::getenv("NETWORK_INTERFACE");
  if (!interface) {
    std::fprintf(stderr, "set NETWORK_INTERFACE to the interface to watch, for example eth0\n");
    return 2;
  }
  // Before any thread starts, so that only sigtimedwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto monitor = knp::NetworkMonitor::Create();
  if (!monitor.ok()) return Fail(monitor.status());
  (*monitor)->SetEventHandler([](const knp::Event& event) {
    std::printf("%s %s %s:%u -> %s:%u %s\n", knp::EventTypeName(event.type), knp::ProtocolName(event.protocol).c_str(),
                event.source.ip.ToString().c_str(), event.source.port, event.destination.ip.ToString().c_str(),
                event.destination.port, event.detail.c_str());
  });
  (*monitor)->SetAlertHandler([](const knp::Alert& alert) { std::printf("ALERT %s\n", alert.summary.c_str()); });
  if (absl::Status status = (*monitor)->SetSecurityConfig(knp::SecurityParameter::kPortScanPortsPerSecond, 10);
      !status.ok())
    return Fail(status);
  if (absl::Status status = (*monitor)->AttachToInterface(interface); !status.ok()) return Fail(status);
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) return Fail(status);

  const timespec five_seconds{5, 0};
  do {
    auto stats = (*monitor)->GetPacketStats();
    if (!stats.ok()) return Fail(stats.status());
    PrintStats(*stats);
  } while (sigtimedwait(&signals, nullptr, &five_seconds) < 0);
  return 0;  // the monitor detaches as it goes
}
