// A list of addresses and prefixes with a label each, as blocklists are: one a line, '#' begins a comment, what stands behind
// the address is its label. Made from text by src/monitor, asked by detectors for each contact.
//
// 16 to 40 bytes an entry and its label once for all that have it; 2 MiB on top that turn away most IPv4 addresses at one look.
#ifndef KNP_BASE_ADDRESS_LIST_H_
#define KNP_BASE_ADDRESS_LIST_H_

#include <absl/container/flat_hash_map.h>
#include <knp/prefix.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/address_hash.h"

namespace knp {

class AddressList {
 public:
  struct Match {
    Prefix entry;
    std::string_view label;  // valid as long as the list
  };

  // Adds what `text` says; what is wrong with a line goes to `complaints` as "name:line: why", and the line is skipped. The
  // first kMostComplaints are told, and then how many more there are.
  void AddText(std::string_view text, const std::string& name, std::vector<std::string>* complaints);
  // False: it is on the list already; the later label counts.
  bool Add(const Prefix& entry, std::string_view label);

  // The longest entry that holds the address; false: none.
  bool Find(const IpAddress& address, Match* match) const;
  std::size_t size() const { return size_; }

  static constexpr std::size_t kMostComplaints = 20, kMostEntries = 4'000'000, kLongestLabel = 128;

 private:
  struct Block {  // entries of one length
    std::uint8_t length = 0;
    absl::flat_hash_map<IpAddress, std::uint32_t, IpAddressHash> labels;
  };
  bool AddLine(std::string_view line, std::string* complaint);
  void Mark(const Prefix& entry);
  bool MayHold(const IpAddress& address) const;

  std::array<std::vector<Block>, 2> blocks_;  // IPv4, IPv6; the longest first
  std::vector<std::uint64_t> marks_;          // of each IPv4 /24, whether an entry touches it
  std::vector<std::string> labels_{""};
  absl::flat_hash_map<std::string, std::uint32_t> label_numbers_;
  std::size_t size_ = 0;
};

}  // namespace knp

#endif  // KNP_BASE_ADDRESS_LIST_H_
