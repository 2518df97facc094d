// A network namespace of the benchmark's own, with nothing in it but a loopback that is up.
#ifndef KNP_BENCH_ISOLATION_H_
#define KNP_BENCH_ISOLATION_H_

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "bench/test_run.h"

namespace knp::bench {

inline void EnterOwnNetworkNamespace() {
  if (unshare(CLONE_NEWNET) != 0) Die("cannot make a network namespace: run as root");
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) Die("cannot bring lo up");
  close(fd);
}

// While it lives, the calling thread keeps to one CPU, as a network card's queue keeps a flow: the kernel's table is per
// CPU. Threads started before stay free.
class OnOneCpu {
 public:
  OnOneCpu() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    if (sched_getaffinity(0, sizeof before_, &before_) != 0 || sched_setaffinity(0, sizeof one, &one) != 0)
      Die("cannot stay on one CPU");
  }
  ~OnOneCpu() { sched_setaffinity(0, sizeof before_, &before_); }
  OnOneCpu(const OnOneCpu&) = delete;
  OnOneCpu& operator=(const OnOneCpu&) = delete;

 private:
  cpu_set_t before_{};
};

}  // namespace knp::bench

#endif  // KNP_BENCH_ISOLATION_H_
