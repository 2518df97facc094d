// Which addresses are ours. Used by detectors that look at hosts of one's own, or at what talks to the outside.
#ifndef KNP_BASE_ADDRESS_SCOPE_H_
#define KNP_BASE_ADDRESS_SCOPE_H_

#include <knp/flow_record.h>
#include <knp/prefix.h>

#include <vector>

namespace knp {

// Loopback, link-local, private (RFC 1918, RFC 4193), shared (RFC 6598), benchmark (RFC 2544), unspecified.
bool IsPrivate(const IpAddress& address);
// Multicast, IPv4's reserved block 240.0.0.0/4, and its broadcast address.
bool IsGroup(const IpAddress& address);

// The private ones and those that the user adds; groups are neither internal nor external.
class InternalNetworks {
 public:
  explicit InternalNetworks(const std::vector<Prefix>& more) : more_(more) {}
  bool IsInternal(const IpAddress& address) const { return IsPrivate(address) || IsAdded(address); }
  bool IsExternal(const IpAddress& address) const { return !IsInternal(address) && !IsGroup(address); }

 private:
  bool IsAdded(const IpAddress& address) const {
    for (const Prefix& prefix : more_)
      if (prefix.Contains(address)) return true;
    return false;
  }
  const std::vector<Prefix>& more_;
};

}  // namespace knp

#endif  // KNP_BASE_ADDRESS_SCOPE_H_
