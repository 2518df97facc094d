// See address_scope.h.
#include "src/base/address_scope.h"

#include <algorithm>

namespace knp {

bool IsPrivate(const IpAddress& address) {
  const auto& b = address.bytes;
  if (address.version == 6) {
    if ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)) return true;
    return b[15] <= 1 && std::all_of(b.begin(), b.begin() + 15, [](std::uint8_t byte) { return byte == 0; });
  }
  switch (b[0]) {
    case 0:
    case 10:
    case 127: return true;
    case 100: return (b[1] & 0xc0) == 64;
    case 169: return b[1] == 254;
    case 172: return (b[1] & 0xf0) == 16;
    case 192: return b[1] == 168;
    case 198: return (b[1] & 0xfe) == 18;
    default: return false;
  }
}

bool IsGroup(const IpAddress& address) {
  return address.version == 6 ? address.bytes[0] == 0xff : address.bytes[0] >= 224;
}

}  // namespace knp
