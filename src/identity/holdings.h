// Who holds a place (an address, or an address with a port) and who held it before, by time. The Directory fills it and
// asks it under its own lock. Not thread-safe. Times are nanoseconds since the Unix epoch.
#ifndef KNP_IDENTITY_HOLDINGS_H_
#define KNP_IDENTITY_HOLDINGS_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>
#include <knp/flow_record.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "src/base/address_hash.h"

namespace knp::identity {

// Who can hold a place. Outlives what the tables know of it: see Leaving in directory.h. Not deleted by this name.
struct Holder {
  Holder() = default;
  Holder(const Holder&) = delete;  // the tables point to it
  Holder& operator=(const Holder&) = delete;

  std::shared_ptr<const Identity> identity;
  bool placed = false;  // a pod's address is known: its own, or its node's
};

struct Place {
  IpAddress address;
  std::uint8_t protocol = 0;  // 0 with port 0: all that the address has
  std::uint16_t port = 0;
  friend bool operator==(const Place&, const Place&) = default;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct PlaceHash {
  std::size_t operator()(const Place& place) const {
    return HashOf(place.address, std::uint64_t{place.protocol} << 16 | place.port);
  }
};

class HoldingTable {
 public:
  static constexpr std::uint64_t kOpen = std::numeric_limits<std::uint64_t>::max();

  // `lag_ns`: by how much a holder may be older than the time at which we learned of it. `past`: how many former holders of
  // a place are remembered; the oldest goes first.
  HoldingTable(std::uint64_t lag_ns, std::size_t past) : lag_ns_(lag_ns), past_(past) {}

  // `holder` has the place since `from_ns`, or since its last former holder left it, if that was later. Whoever still has
  // it leaves. If he came after `from_ns`: with `yields`, for what is told in no order, he keeps it, and `holder` had it
  // until then; else it goes over now.
  void Take(const Place& place, Holder* holder, std::uint64_t from_ns, std::uint64_t now_ns, bool yields);
  // Joins others who have it, too.
  void Share(const Place& place, Holder* holder, std::uint64_t from_ns);
  // What `holder` has of the place ends now; stays known until Forget.
  void Leave(const Place& place, const Holder* holder, std::uint64_t now_ns);
  // Drops what ended by `until_ns`.
  void Forget(const Place& place, const Holder* holder, std::uint64_t until_ns);

  // Who had it then; else who came within the lag after it. Several: the first by namespace and service, or among those of
  // `namespace_name` if it is not empty. Null: nobody.
  Holder* Find(const Place& place, std::uint64_t at_ns, std::string_view namespace_name = {}) const;
  // Who had it then, if that was one alone.
  Holder* FindOnly(const Place& place, std::uint64_t at_ns) const;
  bool Has(const Place& place, const Holder* holder) const;

  std::size_t size() const { return places_.size(); }

 private:
  struct Holding {
    std::uint64_t from_ns = 0;
    std::uint64_t until_ns = kOpen;
    Holder* holder = nullptr;
  };
  // In the order in which they were told.
  using Holdings = absl::InlinedVector<Holding, 1>;

  void Add(Holdings* holdings, const Holding& holding);
  static bool Held(const Holding& holding, std::uint64_t at_ns) {
    return holding.from_ns <= at_ns && at_ns < holding.until_ns;
  }

  const std::uint64_t lag_ns_;
  const std::size_t past_;
  absl::flat_hash_map<Place, Holdings, PlaceHash> places_;
};

}  // namespace knp::identity

#endif  // KNP_IDENTITY_HOLDINGS_H_
