// By which name a client asked for an address. Fed by the tracker with answers to questions that were seen; read by who
// labels a conversation's peers. Bounded: when full, the name that was told longest ago goes. Not thread-safe.
#ifndef KNP_DNS_NAME_CACHE_H_
#define KNP_DNS_NAME_CACHE_H_

#include <absl/container/flat_hash_set.h>
#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/dns/aged_slab.h"
#include "src/dns/message.h"

namespace knp::dns {

class NameCache {
 public:
  struct Options {
    std::size_t capacity = 32768;
    std::uint32_t min_ttl_s = 60;
    std::uint32_t max_ttl_s = 86400;
    std::uint32_t grace_s = 120;  // a connection may begin a while after its name was asked for
    bool shared = false;          // where a client did not ask itself, who asked last will do
  };

  NameCache() : NameCache(Options{}) {}
  explicit NameCache(const Options& options);
  NameCache(const NameCache&) = delete;
  NameCache& operator=(const NameCache&) = delete;

  // Takes the addresses in the answers that belong to the question's name, directly or through aliases (CNAME). None of
  // failed or broken ones.
  void Add(const IpAddress& client, const Message& answer, std::uint64_t now_mono_ns);
  // Empty if not known. Valid until the next call of Add.
  std::string_view Find(const IpAddress& client, const IpAddress& address, std::uint64_t now_mono_ns) const;

  std::size_t size() const { return slab_.size(); }
  std::uint64_t evicted() const { return evicted_; }

 private:
  struct Key {
    IpAddress client;  // kAnyone's version is 0
    IpAddress address;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Entry {
    Key key;
    std::string name;
    std::uint64_t until_mono_ns = 0;
  };
  using Slab = AgedSlab<Entry>;
  using Index = Slab::Index;
  struct KeyHash {
    using is_transparent = void;
    const Slab* slab;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(Index i) const { return (*this)((*slab)[i].key); }
  };
  struct KeyEqual {
    using is_transparent = void;
    const Slab* slab;
    bool operator()(Index a, Index b) const { return a == b; }
    bool operator()(Index a, const Key& b) const { return (*slab)[a].key == b; }
    bool operator()(const Key& a, Index b) const { return (*slab)[b].key == a; }
  };

  void Put(const Key& key, const std::string& name, std::uint64_t until_mono_ns);
  std::string_view FindKey(const Key& key, std::uint64_t now_mono_ns) const;

  Options options_;
  Slab slab_;
  absl::flat_hash_set<Index, KeyHash, KeyEqual> index_;
  std::uint64_t evicted_ = 0;
};

}  // namespace knp::dns

#endif  // KNP_DNS_NAME_CACHE_H_
