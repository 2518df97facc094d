// JSON lines (docs/records.md) to stdout or to a file that is rotated by size. A sink: filters and field selection are applied
// in the monitor's thread, writing is the queue's.
#ifndef KNP_EXPORT_JSON_JSON_FILE_H_
#define KNP_EXPORT_JSON_JSON_FILE_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "src/export/sink.h"

namespace knp::exporting {

struct JsonFileOptions {
  std::string output{};                // "-": stdout, else a path
  std::vector<std::string> kinds{};    // "flow", "alert", "event", "stats", "loss"; empty: all
  std::vector<std::string> fields{};   // of flows, "source.pod" also; empty: all. `kind` is always written
  std::vector<std::string> filters{};  // "FIELD=PATTERN" or "FIELD!=PATTERN", shell patterns; all must match
  bool final_flows_only = false;
  std::size_t max_file_bytes = std::size_t{100} << 20;
  std::size_t max_files = 5;  // PATH, PATH.1 (the newest of the earlier ones), …
  std::size_t queue_bytes = std::size_t{4} << 20;
};

// Errors: the file cannot be opened; a filter is none (the message names it).
absl::StatusOr<std::unique_ptr<Sink>> MakeJsonFile(const JsonFileOptions& options);

}  // namespace knp::exporting

#endif  // KNP_EXPORT_JSON_JSON_FILE_H_
