// See address_list.h.
#include "src/base/address_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace knp {
namespace {

constexpr std::size_t kNetworks24 = std::size_t{1} << 24;

std::uint32_t Network24(const IpAddress& address) {
  return std::uint32_t{address.bytes[0]} << 16 | std::uint32_t{address.bytes[1]} << 8 | address.bytes[2];
}

std::string_view Strip(std::string_view text) {
  constexpr const char* kBlanks = " \t\r\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// A label is shown on terminals and in JSON: no control characters, no endless ones.
std::string CleanLabel(std::string_view label) {
  std::string clean(label.substr(0, AddressList::kLongestLabel));
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return clean;
}

}  // namespace

void AddressList::AddText(std::string_view text, const std::string& name, std::vector<std::string>* complaints) {
  std::size_t number = 0, untold = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    number++;
    std::string complaint;
    if (AddLine(line, &complaint)) continue;
    if (complaints->size() < kMostComplaints)
      complaints->push_back(fmt::format("{}:{}: {}; the line is skipped", name, number, complaint));
    else
      untold++;
  }
  if (untold != 0) complaints->push_back(fmt::format("{}: {} more lines are skipped", name, untold));
}

bool AddressList::AddLine(std::string_view line, std::string* complaint) {
  line = Strip(line.substr(0, line.find('#')));
  if (line.empty()) return true;
  const std::size_t blank = std::min(line.find_first_of(" \t,;"), line.size());
  if (blank > 64) {
    *complaint = "no address and no prefix: write 10.1.2.3, 10.0.0.0/8, fd00::1 or fd00::/8";
    return false;
  }
  const auto entry = Prefix::Parse(std::string(line.substr(0, blank)));
  if (!entry.ok()) {
    *complaint = std::string(entry.status().message());
    return false;
  }
  if (size_ >= kMostEntries) {
    *complaint = fmt::format("more than {} entries", kMostEntries);
    return false;
  }
  line.remove_prefix(blank);
  const std::size_t label = std::min(line.find_first_not_of(" \t,;"), line.size());
  Add(*entry, line.substr(label));
  return true;
}

bool AddressList::Add(const Prefix& entry, std::string_view label) {
  std::vector<Block>& family = blocks_[entry.address.version == 6];
  auto block =
      std::find_if(family.begin(), family.end(), [&](const Block& other) { return other.length <= entry.length; });
  if (block == family.end() || block->length != entry.length) {
    block = family.insert(block, Block());
    block->length = entry.length;
  }
  std::uint32_t number = 0;
  if (!label.empty()) {
    const auto [known, is_new] =
        label_numbers_.try_emplace(CleanLabel(label), static_cast<std::uint32_t>(labels_.size()));
    if (is_new) labels_.push_back(known->first);
    number = known->second;
  }
  const bool added = block->labels.insert_or_assign(entry.address, number).second;
  size_ += added;
  if (entry.address.version == 4) Mark(entry);
  return added;
}

void AddressList::Mark(const Prefix& entry) {
  if (marks_.empty()) marks_.resize(kNetworks24 / 64);
  const std::uint32_t first = Network24(entry.address);
  const std::size_t count = entry.length >= 24 ? 1 : std::size_t{1} << (24 - entry.length);
  for (std::size_t i = first; i < first + count; i++) marks_[i / 64] |= std::uint64_t{1} << (i % 64);
}

bool AddressList::MayHold(const IpAddress& address) const {
  if (address.version == 6) return !blocks_[1].empty();
  if (marks_.empty()) return false;
  const std::uint32_t network = Network24(address);
  return (marks_[network / 64] >> (network % 64)) & 1;
}

bool AddressList::Find(const IpAddress& address, Match* match) const {
  if (!MayHold(address)) return false;
  for (const Block& block : blocks_[address.version == 6]) {
    const Prefix wanted = Prefix::Of(address, block.length);
    const auto found = block.labels.find(wanted.address);
    if (found == block.labels.end()) continue;
    *match = {.entry = wanted, .label = labels_[found->second]};
    return true;
  }
  return false;
}

}  // namespace knp
