// Uses the installed library the way a stranger would: loads the installed object and one with a map of its own, watches
// the loopback interface, sends three datagrams there and finds them in that map. Fails loudly, with status 1.
#include <arpa/inet.h>
#include <knp/network_monitor.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

constexpr std::uint16_t kPort = 9;  // discard; nobody needs to listen
constexpr int kDatagrams = 3;

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "consumer: " << what << "\n";
  std::exit(1);
}

void Check(const absl::Status& status, const std::string& what) {
  if (!status.ok()) Fail(what + ": " + std::string(status.message()));
}

void SendDatagrams() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < kDatagrams; i++) {
    if (sendto(fd, "knp", 3, 0, reinterpret_cast<sockaddr*>(&to), sizeof to) != 3) Fail("cannot send to 127.0.0.1");
  }
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) Fail("usage: consumer OBJECT");
  Check(knp::NetworkMonitor::CreateFromObjectFile(KNP_OBJECT_FILE).status(), "load the installed object");
  auto monitor = knp::NetworkMonitor::CreateFromObjectFile(argv[1]);
  Check(monitor.status(), "load our own object");
  auto ports = (*monitor)->OpenMap<std::uint16_t, std::uint64_t>("counted_ports");
  Check(ports.status(), "open our own map");
  Check((*monitor)->AttachToInterface("lo"), "attach to lo");
  SendDatagrams();
  auto count = ports->Lookup(htons(kPort));
  Check(count.status(), "look up port 9");
  if (*count < kDatagrams) Fail("counted " + std::to_string(*count) + " datagrams of " + std::to_string(kDatagrams));
  std::cout << "consumer: counted " << *count << " packets to port " << kPort << "\n";
  return 0;
}
