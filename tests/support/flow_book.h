// A second bookkeeping, independent of the library's own: the sums of the last record of every flow id, taken from a
// flow handler, against which a ledger's `in_flows` is held. Also notes every record that breaks its word: one that
// follows the final one, or counts less than the one before.
#ifndef KNP_TESTS_SUPPORT_FLOW_BOOK_H_
#define KNP_TESTS_SUPPORT_FLOW_BOOK_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <knp/network_monitor.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace knp::test {

// Thread-safe.
class FlowBook {
 public:
  // Flows by who sent to whom, whatever their ids: for tests that know what each one must have carried.
  using Conversation =
      std::tuple<Endpoint, Endpoint, std::uint8_t, std::uint16_t>;  // source, destination, protocol, VLAN

  explicit FlowBook(bool by_conversation = false) : by_conversation_(by_conversation) {}

  void Add(const FlowRecord& record);
  NetworkMonitor::FlowHandler Handler() {
    return [this](const FlowRecord& record) { Add(record); };
  }

  // Per interface: what the last records say.
  std::map<std::string, Count> Sums() const;
  Count Total() const;
  // Ids that still wait for their final record; 0 after Finish().
  std::size_t open() const;
  std::uint64_t flows() const;
  // What was wrong with the records, the first few; empty if nothing.
  std::string Violations() const;
  // Sum over directions and interfaces. Needs by_conversation.
  std::map<Conversation, Count> Conversations() const;

 private:
  struct Part {
    std::uint16_t interface;
    Direction direction;
    Count count;
  };
  using Parts = std::vector<Part>;
  std::uint16_t Name(const std::string& interface);
  void Complain(const std::string& what);

  mutable std::mutex mutex_;
  const bool by_conversation_;
  std::vector<std::string> names_;
  absl::flat_hash_map<std::uint64_t, Parts> open_;
  absl::flat_hash_map<std::uint64_t, Conversation> who_;
  absl::flat_hash_set<std::uint64_t> finished_;
  std::vector<Count> settled_;  // by interface number, of finished flows
  std::map<Conversation, Count> settled_conversations_;
  std::string violations_;
  int complaints_ = 0;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_FLOW_BOOK_H_
