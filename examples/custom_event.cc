// Watches $NETWORK_INTERFACE with a BPF object of our own, which tells of every attempt to open a TCP connection to one
// of the PORTS (default: 22), until Ctrl-C or for SECONDS (0: until Ctrl-C).
//
//   NETWORK_INTERFACE=eth0 build/bin/examples/custom_event [OBJECT [SECONDS [PORT]…]]
#include <arpa/inet.h>
#include <knp/network_monitor.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "custom_event.h"

namespace {

static_assert(CONNECTION_ATTEMPT >= knp::kFirstUserEventType);

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

// Where the build puts it, seen from this program.
std::string DefaultObject() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../lib/examples/custom_event.o";
}

std::string Address(const __u8 (&bytes)[16], __u8 version) {
  knp::IpAddress address;
  std::memcpy(address.bytes.data(), bytes, sizeof bytes);
  address.version = version;
  return address.ToString();
}

// Called from the monitor's thread.
void PrintAttempt(std::span<const std::byte> payload) {
  connection_attempt attempt;
  if (payload.size() != sizeof attempt) return;  // not of our object
  std::memcpy(&attempt, payload.data(), sizeof attempt);
  std::printf("%s %s port %u -> %s port %u\n", attempt.ingress ? "in " : "out",
              Address(attempt.source, attempt.ip_version).c_str(), ntohs(attempt.source_port_be),
              Address(attempt.destination, attempt.ip_version).c_str(), ntohs(attempt.destination_port_be));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const char* interface = std::getenv("NETWORK_INTERFACE");
  if (!interface) {
    std::fprintf(stderr, "set NETWORK_INTERFACE to the interface to watch, for example eth0\n");
    return 2;
  }
  const timespec wait{argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0, 0};
  std::vector<std::uint16_t> ports;
  for (int i = 3; i < argc; i++) ports.push_back(static_cast<std::uint16_t>(std::strtoul(argv[i], nullptr, 10)));
  if (ports.empty()) ports = {22};
  // Before any thread starts, so that only the waiting below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto monitor = knp::NetworkMonitor::CreateFromObjectFile(argc > 1 ? argv[1] : DefaultObject());
  if (!monitor.ok()) return Fail(monitor.status());
  auto watched = (*monitor)->OpenMap<std::uint16_t, watched_port>("watched_ports");
  if (!watched.ok()) return Fail(watched.status());
  for (const std::uint16_t port : ports)
    if (absl::Status status = watched->Update(htons(port), {}); !status.ok()) return Fail(status);
  if (absl::Status status = (*monitor)->SetUserEventHandler(CONNECTION_ATTEMPT, PrintAttempt); !status.ok())
    return Fail(status);
  if (absl::Status status = (*monitor)->AttachToInterface(interface); !status.ok()) return Fail(status);
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) return Fail(status);
  std::printf("watching %s\n", interface);
  std::fflush(stdout);
  sigtimedwait(&signals, nullptr, wait.tv_sec > 0 ? &wait : nullptr);

  if (absl::Status status = (*monitor)->Finish(); !status.ok()) return Fail(status);  // tells what is still on its way
  for (const std::uint16_t port : ports) {
    const auto counted = watched->Lookup(htons(port));
    if (!counted.ok()) return Fail(counted.status());
    std::printf("port %u: %llu attempts, %llu of them not told\n", port,
                static_cast<unsigned long long>(counted->attempts), static_cast<unsigned long long>(counted->untold));
  }
  return 0;
}
