// A tc program of three lines for attach tests: counts the packets it sees and returns a fixed verdict. Assembled here,
// so that the tests need no compiler.
#ifndef KNP_TESTS_SUPPORT_TEST_PROGRAM_H_
#define KNP_TESTS_SUPPORT_TEST_PROGRAM_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "src/base/unique_fd.h"

namespace knp::test {

inline constexpr int kVerdictNext = -1;  // TCX_NEXT, TC_ACT_UNSPEC: the next program decides
inline constexpr int kVerdictPass = 0;   // ends the chain, the packet passes
inline constexpr int kVerdictDrop = 2;

class TestProgram {
 public:
  static absl::StatusOr<TestProgram> Load(const std::string& name, int verdict = kVerdictNext);

  int fd() const { return program_.get(); }
  std::uint32_t id() const { return id_; }
  // Skbs seen since it was loaded.
  std::uint64_t Count() const;

 private:
  UniqueFd counter_;  // an array map with one number
  UniqueFd program_;
  std::uint32_t id_ = 0;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_TEST_PROGRAM_H_
