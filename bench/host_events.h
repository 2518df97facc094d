// Waits until a piece of the host has taken all that the kernel had for it. Used by the measurements of host.h.
#ifndef KNP_BENCH_HOST_EVENTS_H_
#define KNP_BENCH_HOST_EVENTS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "bench/test_run.h"
#include "src/host/host.h"

namespace knp::bench {

inline void WaitForEvents(const host::Host& host, const std::string& name, std::uint64_t events) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    PacketStats stats;
    host.Describe(&stats);
    for (const HostPiece& piece : stats.host->pieces) {
      if (piece.name != name) continue;
      if (piece.events >= events && piece.lost == 0) return;
      if (piece.lost != 0 || std::chrono::steady_clock::now() > end)
        Die("the piece " + name + " has not taken all there was: " + piece.why);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace knp::bench

#endif  // KNP_BENCH_HOST_EVENTS_H_
