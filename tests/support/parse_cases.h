// The parser's cases as data: a frame and what must come of it. The same table drives the native tests
// (tests/unit/parse_test.cc), can drive the programs in the kernel, and seeds the fuzzer (fuzz/parse_fuzz.cc).
#ifndef KNP_TESTS_SUPPORT_PARSE_CASES_H_
#define KNP_TESTS_SUPPORT_PARSE_CASES_H_

#include <string>
#include <vector>

#include "abi/knp_abi.h"
#include "tests/support/packet_bytes.h"

namespace knp::testing {

// What the stack says of the frame besides its bytes; host byte order.
struct FrameContext {
  std::uint32_t gso_segs = 0;
  std::uint32_t gso_size = 0;
  int offloaded_vlan = -1;  // -1: no tag was taken off
  std::uint32_t l2_len = 14;
  std::uint16_t ether_type = 0;  // where l2_len is 0
};

struct ParseExpectation {
  int reason = KNP_OK;
  int ip_version = 4;  // this and what follows: of frames that belong to a flow
  int protocol = 6;
  int sport = 40000;
  int dport = 443;
  int tcp_flags = 0;
  int vlan = 0;
  bool fragment = false;
  std::uint32_t header_len = 0;
  std::uint32_t packets = 1;
  std::uint64_t bytes = 0;  // 0: the frame's length
};

struct ParseCase {
  std::string name;  // Subject_Condition
  Bytes frame;
  ParseExpectation expected;
  FrameContext context;
  std::size_t needed = 0;  // bytes without which it is in no flow; 0: all
};

std::vector<ParseCase> ParseCases();

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_PARSE_CASES_H_
