// TCP's flags as they stand in the header's byte (RFC 9293).
#ifndef KNP_BASE_TCP_FLAGS_H_
#define KNP_BASE_TCP_FLAGS_H_

#include <cstdint>

namespace knp {

inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

}  // namespace knp

#endif  // KNP_BASE_TCP_FLAGS_H_
