// The last events and alerts, for a view: like ones are merged, an alert keeps one row through its life, and rare
// important rows are not washed away by frequent ones. Fed by the monitor's handlers, read by the thread that draws.
#ifndef KNP_CLI_RECENT_EVENTS_H_
#define KNP_CLI_RECENT_EVENTS_H_

#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace knp::cli {

struct EventRow {
  std::uint64_t time_unix_ns = 0;  // of the latest
  bool important = false;          // an alert, or a change of what we watch
  bool alert = false;
  std::string label;  // "ALERT high scan.vertical", "connection_reset"
  std::string text;   // as it came: not yet made printable
  std::uint64_t times = 1;
};

class RecentEvents {
 public:
  // Safe from any thread. New flows are counted by the flow table already, and answers of name servers have a view of
  // their own: both pass unseen.
  void Add(const Event& event);
  void Add(const Alert& alert);

  // At most `most` rows, oldest first. Important rows win over others, later over earlier.
  std::vector<EventRow> Latest(std::size_t most) const;
  // What came or changed since the last call, oldest first; kept rows only, so bounded.
  std::vector<EventRow> TakeNew();

 private:
  struct Entry {
    std::string key;  // rows of the same key are merged
    std::uint64_t serial = 0;
    EventRow row;
  };
  void Merge(std::deque<Entry>& entries, std::string key, EventRow row);

  mutable std::mutex mutex_;
  std::deque<Entry> important_;  // oldest first, guarded by mutex_, as all below
  std::deque<Entry> routine_;
  std::uint64_t serial_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace knp::cli

#endif  // KNP_CLI_RECENT_EVENTS_H_
