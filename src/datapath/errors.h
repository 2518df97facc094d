// libbpf's -errno turned into a Status, with what was tried, on what, and what the user can do: the only place that
// decides what is missing permission and what a missing kernel feature.
#ifndef KNP_DATAPATH_ERRORS_H_
#define KNP_DATAPATH_ERRORS_H_

#include <absl/status/status.h>

#include <string>

namespace knp::datapath {

// `error`: a positive errno. EPERM and EACCES become PermissionDenied and name the capability that is not held.
absl::Status ErrnoStatus(int error, const std::string& what);

// Names of the capabilities that the data plane needs and this thread lacks, "CAP_BPF, CAP_NET_ADMIN"; empty if none.
std::string MissingCapabilities();
bool HasCapability(unsigned capability);

// libbpf's own messages, kept while the object lives instead of being printed, for the text of an error. One thread at a
// time may hold one; others wait.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;
  // The last lines, at most about 1 KiB.
  std::string Tail() const;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_ERRORS_H_
