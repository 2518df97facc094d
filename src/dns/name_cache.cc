// See name_cache.h.
#include "src/dns/name_cache.h"

#include <absl/container/inlined_vector.h>
#include <absl/hash/hash.h>

#include <algorithm>

#include "src/base/nanoseconds.h"

namespace knp::dns {
namespace {

constexpr std::size_t kMaxText = 255;  // names that are longer as text are full of escapes, and label nothing
constexpr IpAddress kAnyone = {{}, 0};

using Names = absl::InlinedVector<std::string_view, 4>;

bool Contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The question's name and all that the answers call it. They need not come in order.
Names AliasesOf(const Message& answer) {
  Names names = {answer.question->name};
  for (std::size_t before = 0; before != names.size();) {
    before = names.size();
    for (const Answer& record : answer.answers)
      if (record.type == kTypeCname && Contains(names, record.owner) && !Contains(names, record.text))
        names.push_back(record.text);
  }
  return names;
}

}  // namespace

std::size_t NameCache::KeyHash::operator()(const Key& key) const {
  return absl::HashOf(key.client.bytes, key.client.version, key.address.bytes, key.address.version);
}

NameCache::NameCache(const Options& options) : options_(options), index_(0, KeyHash{&slab_}, KeyEqual{&slab_}) {
  options_.capacity = std::max<std::size_t>(options_.capacity, 1);
  options_.max_ttl_s = std::max(options_.max_ttl_s, options_.min_ttl_s);
}

void NameCache::Add(const IpAddress& client, const Message& answer, std::uint64_t now_mono_ns) {
  if (!answer.question || answer.broken || answer.rcode != 0 || answer.question->rr_class != kClassIn) return;
  const std::string& name = answer.question->name;
  if (name.size() > kMaxText || name == ".") return;
  const Names names = AliasesOf(answer);
  for (const Answer& record : answer.answers) {
    if (!record.address || record.rr_class != kClassIn || !Contains(names, record.owner)) continue;
    const std::uint64_t seconds =
        std::clamp(record.ttl_s, options_.min_ttl_s, options_.max_ttl_s) + std::uint64_t{options_.grace_s};
    Put({client, *record.address}, name, now_mono_ns + seconds * kSecondNs);
    if (options_.shared) Put({kAnyone, *record.address}, name, now_mono_ns + seconds * kSecondNs);
  }
}

void NameCache::Put(const Key& key, const std::string& name, std::uint64_t until_mono_ns) {
  if (const auto found = index_.find(key); found != index_.end()) {
    Entry& entry = slab_[*found];
    if (entry.name != name) entry.name = std::string(name);  // not what it had room for
    entry.until_mono_ns = until_mono_ns;
    slab_.Touch(*found);
    return;
  }
  if (slab_.size() >= options_.capacity) {
    index_.erase(index_.find(slab_[slab_.oldest()].key));
    slab_.Remove(slab_.oldest());
    ++evicted_;
  }
  index_.insert(slab_.Add({key, name, until_mono_ns}));
}

std::string_view NameCache::FindKey(const Key& key, std::uint64_t now_mono_ns) const {
  const auto found = index_.find(key);
  if (found == index_.end() || slab_[*found].until_mono_ns < now_mono_ns) return {};
  return slab_[*found].name;
}

std::string_view NameCache::Find(const IpAddress& client, const IpAddress& address, std::uint64_t now_mono_ns) const {
  const std::string_view own = FindKey({client, address}, now_mono_ns);
  return own.empty() && options_.shared ? FindKey({kAnyone, address}, now_mono_ns) : own;
}

}  // namespace knp::dns
