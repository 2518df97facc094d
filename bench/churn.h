// Connections over loopback that are made, accepted and closed at once, by the calling thread alone.
#ifndef KNP_BENCH_CHURN_H_
#define KNP_BENCH_CHURN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"

namespace knp::bench {

class Churn {
 public:
  // Listens in the calling thread's network namespace.
  Churn();
  void Connect(std::uint32_t connections);
  // One that stays as long as its two sockets.
  void Keep(std::vector<UniqueFd>* sockets);

 private:
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::uint32_t next_ = 0;
};

// At 20,000 connections a second, of one core.
struct ChurnResult {
  double per_second = 0;  // that were really made
  double host_kernel = 0, host_user = 0;
  double flows_kernel = 0, flows_user = 0;
  double folded_share = 0;  // of the packets
  double host() const { return host_kernel + host_user; }
};

// A monitor of lo with all pieces of the host, or none of them. `folding` as MonitorOptions::new_flows_per_second has it by
// default, or off. The process must be one of its own.
void MeasureChurn(const std::string& floors_path, bool host, bool folding, ChurnResult* result);

}  // namespace knp::bench

#endif  // KNP_BENCH_CHURN_H_
