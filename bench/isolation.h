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

}  // namespace knp::bench

#endif  // KNP_BENCH_ISOLATION_H_
