// A block of addresses: an address and how many of its leading bits count. For suppression, allow and drop lists.
#ifndef KNP_PREFIX_H_
#define KNP_PREFIX_H_

#include <absl/status/statusor.h>
#include <knp/flow_record.h>

#include <cstdint>
#include <string>

namespace knp {

// A value: safe to copy, to compare and to keep; by default all of IPv4. The bits beyond `length` are 0 in what Parse and Of return, so that equal
// blocks compare equal.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;  // 0 … 32 of IPv4, 0 … 128 of IPv6

  // "10.0.0.0/8", "fd00::/8", or an address alone, which is a block of one. Bits beyond the length are cleared:
  // "10.1.2.3/8" is 10.0.0.0/8. InvalidArgument says what is wrong with the text.
  static absl::StatusOr<Prefix> Parse(const std::string& text);
  // The block of that length around the address; a length beyond the family's is cut to it.
  static Prefix Of(const IpAddress& address, unsigned length);
  // The address alone.
  static Prefix Host(const IpAddress& address);

  // Never of another family: an IPv4-mapped IPv6 address is IPv6.
  bool Contains(const IpAddress& other) const;
  bool Contains(const Prefix& other) const;
  bool Overlaps(const Prefix& other) const { return Contains(other) || other.Contains(*this); }
  bool IsHost() const { return length == (address.version == 6 ? 128 : 32); }

  // "10.0.0.0/8"; a block of one without the length: "10.1.2.3".
  std::string ToString() const;

  friend bool operator==(const Prefix&, const Prefix&) = default;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

}  // namespace knp

#endif  // KNP_PREFIX_H_
