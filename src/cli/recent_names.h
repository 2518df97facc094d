// The last questions to name servers, for a view. Fed by the monitor's event handler, read by the thread that draws.
#ifndef KNP_CLI_RECENT_NAMES_H_
#define KNP_CLI_RECENT_NAMES_H_

#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

struct NameRow {
  std::uint64_t time_unix_ns = 0;
  Endpoint client, server;
  DnsTransaction transaction;
};

// Since the start.
struct NameCounts {
  std::uint64_t answered = 0, failed = 0, timed_out = 0;  // failed: any response code but NOERROR
};

class RecentNames {
 public:
  // Safe from any thread; events of other kinds pass unseen.
  void Add(const Event& event);
  // At most `most`, newest first.
  std::vector<NameRow> Latest(std::size_t most) const;
  NameCounts counts() const;

 private:
  static constexpr std::size_t kKept = 256;
  mutable std::mutex mutex_;
  std::deque<NameRow> rows_;  // newest first; guarded by mutex_, as counts_
  NameCounts counts_;
};

// A title, a head line and the first `most` rows.
std::vector<TextLine> RenderNames(const std::vector<NameRow>& rows, const NameCounts& counts, std::size_t most,
                                  const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_RECENT_NAMES_H_
