// A tc or XDP program of a few lines for attach tests: counts the packets it sees and returns a fixed verdict, always or
// now and then. Assembled here, so that the tests need no compiler.
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

// Of XDP programs.
inline constexpr int kXdpDrop = 1, kXdpPass = 2;

class TestProgram {
 public:
  // `one_in`, a power of two: the verdict is for one packet in so many, at random; the others go to the next program.
  static absl::StatusOr<TestProgram> Load(const std::string& name, int verdict = kVerdictNext, int one_in = 1);
  static absl::StatusOr<TestProgram> LoadXdp(const std::string& name, int verdict, int one_in = 1);

  int fd() const { return program_.get(); }
  std::uint32_t id() const { return id_; }
  // Skbs seen since it was loaded.
  std::uint64_t Count() const;

 private:
  static absl::StatusOr<TestProgram> Load(int type, const std::string& name, int verdict, int otherwise, int one_in);

  UniqueFd counter_;  // an array map with one number
  UniqueFd program_;
  std::uint32_t id_ = 0;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_TEST_PROGRAM_H_
