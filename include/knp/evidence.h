// Packets of what an alert is about, as a pcapng file beside it: off unless a directory is named.
#ifndef KNP_EVIDENCE_H_
#define KNP_EVIDENCE_H_

#include <cstdint>
#include <string>

namespace knp {

// One file an alert, DIRECTORY/<alert id>.pcapng: packets from and to its source, or, where there is none (floods with
// forged sources), its target. Live, copying begins when the alert is opened; of a replay the frames before it are there
// too. It ends with the packets' number, with the alert, or after a minute.
struct EvidenceOptions {
  std::string directory;           // empty: off. Made if it is not there
  std::uint32_t packets = 64;      // of one alert, at most; 1 to 65536
  std::uint32_t snap_bytes = 256;  // of one packet, at most; 64 to 256
  // Of all such files in the directory together. Beyond it the oldest are removed, but not those of open alerts: if these
  // alone are too much, no more is written.
  std::uint64_t max_total_bytes = std::uint64_t{64} << 20;
};

struct EvidenceReport {
  std::string directory;
  std::uint64_t files = 0;  // written by this run
  std::uint64_t packets = 0;
  std::uint64_t removed_files = 0;   // old ones, for want of room
  std::uint64_t skipped_alerts = 0;  // too many at one time, or no room, or nobody to look for
  std::uint64_t lost_packets = 0;    // live: the ring was full
  std::string trouble;               // the last failure to write, if there was one
};

}  // namespace knp

#endif  // KNP_EVIDENCE_H_
