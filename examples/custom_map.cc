// Watches $NETWORK_INTERFACE with a BPF object of our own, which counts packets by DSCP in a map of its own, and prints
// that map every five seconds, until Ctrl-C or for SECONDS (0: until Ctrl-C).
//
//   NETWORK_INTERFACE=eth0 build/bin/examples/custom_map [OBJECT [SECONDS]]
#include <knp/network_monitor.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "custom_map.h"

namespace {

using DscpCounts = knp::UserMap<std::uint32_t, dscp_count>;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

// Where the build puts it, seen from this program.
std::string DefaultObject() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../lib/examples/custom_map.o";
}

void PrintCounts(const DscpCounts& counts) {
  const absl::Status status = counts.ForEach([](const std::uint32_t& dscp, const dscp_count& count) {
    if (count.packets != 0)
      std::printf("DSCP %2u: %llu packets, %llu bytes\n", dscp, static_cast<unsigned long long>(count.packets),
                  static_cast<unsigned long long>(count.bytes));
    return true;
  });
  if (!status.ok()) Fail(status);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const char* interface = std::getenv("NETWORK_INTERFACE");
  if (!interface) {
    std::fprintf(stderr, "set NETWORK_INTERFACE to the interface to watch, for example eth0\n");
    return 2;
  }
  const long seconds = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0;
  // Before any thread starts, so that only sigtimedwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto monitor = knp::NetworkMonitor::CreateFromObjectFile(argc > 1 ? argv[1] : DefaultObject());
  if (!monitor.ok()) return Fail(monitor.status());
  // Refused unless key and value have the sizes of the map in the object.
  auto counts = (*monitor)->OpenMap<std::uint32_t, dscp_count>("dscp_counts");
  if (!counts.ok()) return Fail(counts.status());
  if (absl::Status status = (*monitor)->AttachToInterface(interface); !status.ok()) return Fail(status);
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) return Fail(status);
  std::printf("watching %s\n", interface);
  std::fflush(stdout);

  for (long elapsed = 0;;) {
    const timespec wait{seconds > 0 && seconds - elapsed < 5 ? seconds - elapsed : 5, 0};
    const bool stopped = sigtimedwait(&signals, nullptr, &wait) >= 0;
    elapsed += wait.tv_sec;
    PrintCounts(*counts);
    if (stopped || elapsed == seconds) break;
  }
  return 0;  // the monitor detaches as it goes
}
