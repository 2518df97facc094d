// Whose packets were dropped, by conversation: a bounded table of what DropCounter tells, asked for each record. Used by
// DropWatch, which locks it. Names are not its business.
#ifndef KNP_HOST_DROPS_DROP_BOOK_H_
#define KNP_HOST_DROPS_DROP_BOOK_H_

#include <absl/container/flat_hash_map.h>
#include <knp/flow_record.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "src/datapath/drop_counter.h"

namespace knp::host {

class DropBook {
 public:
  // A conversation's first packet may have been dropped before our hooks, and its record begin with the second.
  static constexpr std::uint64_t kSlackNs = 2'000'000'000;
  // Of one conversation at one place, runs of drops that are told apart by their time.
  static constexpr std::size_t kMostRuns = 4;

  struct Sum {
    datapath::DropSite site;
    Count count;
  };

  explicit DropBook(std::size_t capacity) : capacity_(capacity) {}

  void Add(const datapath::DroppedFlow& flow, std::uint64_t first_unix_ns, std::uint64_t last_unix_ns);
  // Of both directions, since the conversation began: what was dropped of an older one on the same ports is not its. Most
  // first.
  std::vector<Sum> SumsOf(const FlowRecord& record) const;
  // Of those dropped last, the ones with most, as records that only know their ends, protocol and time: at most that many.
  std::vector<FlowRecord> Largest(std::size_t most) const;
  // Forgets those that had no drop since then.
  void Age(std::uint64_t before_unix_ns);
  std::size_t size() const { return rows_.size(); }
  // For want of room: the one whose last drop is longest ago.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  using End = std::pair<IpAddress, std::uint16_t>;
  struct Key {
    End low, high;  // in order, so that both directions are one
    std::uint8_t protocol = 0;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.low.first.bytes, k.low.first.version, k.low.second, k.high.first.bytes,
                        k.high.second, k.protocol);
    }
  };
  struct Run {
    std::uint64_t first_unix_ns = 0, last_unix_ns = 0;
    Count count;
  };
  struct Row {
    std::map<datapath::DropSite, std::vector<Run>> runs;
    End source, destination;  // as the last packet had them
    std::uint64_t first_unix_ns = 0, packets = 0;
    std::uint64_t last_unix_ns = 0;
    std::list<Key>::iterator age;
  };
  static Key KeyOf(std::uint8_t protocol, const Endpoint& a, const Endpoint& b, const FlowRecord& record);
  static Key KeyOf(const IpAddress& a, std::uint16_t a_port, const IpAddress& b, std::uint16_t b_port,
                   std::uint8_t protocol);
  void AddSums(const Key& key, std::uint64_t start_unix_ns, std::vector<Sum>* sums) const;
  void Forget();

  const std::size_t capacity_;
  absl::flat_hash_map<Key, Row> rows_;
  std::list<Key> by_age_;  // dropped last: at the back
  std::uint64_t forgotten_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_DROPS_DROP_BOOK_H_
