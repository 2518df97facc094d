// What the pieces of the host (src/host) cost: each by itself, against what the same work takes without it. One function a
// piece, each in a process and a network namespace of its own.
#ifndef KNP_BENCH_HOST_H_
#define KNP_BENCH_HOST_H_

#include <string>

namespace knp::bench {

// Nanoseconds of CPU time for one of what the piece is about; medians of rounds with and without it in turn.
struct HostPrice {
  double floor = 0;   // without us
  double kernel = 0;  // what is added in the kernel
  double user = 0;    // what our thread takes; of what only user space does, with the floor's work in it
};

// A dropped packet, over the empty tracepoint.
void MeasureDrops(const std::string& floors_path, HostPrice* price);
// A connection over loopback, made, accepted and closed.
void MeasureSockets(HostPrice* price);
// A socket of a survey, over a bare INET_DIAG dump.
void MeasureSurvey(HostPrice* price);
// An entry of conntrack that begins and ends: two events. The floor is the entry; user space's is the bare reading of them.
struct NatPrice {
  HostPrice entry;
  double bare_read = 0;
};
void MeasureNat(NatPrice* price);
// A look at the interfaces, over a bare dump of them.
void MeasureInterfaces(int interfaces, HostPrice* price);

}  // namespace knp::bench

#endif  // KNP_BENCH_HOST_H_
