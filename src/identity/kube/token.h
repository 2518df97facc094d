// The token by which requests are allowed. A file is read again now and then, for the kubelet replaces it before it expires
// (after an hour as a rule). Not thread-safe.
#ifndef KNP_IDENTITY_KUBE_TOKEN_H_
#define KNP_IDENTITY_KUBE_TOKEN_H_

#include <cstdint>
#include <string>

#include "src/identity/kube/api_config.h"

namespace knp::identity::kube {

class Token {
 public:
  // `fresh_ns`: for so long what was read is used without another look.
  Token(const ApiConfig& config, std::uint64_t fresh_ns)
      : file_(config.token_file), fresh_ns_(fresh_ns), token_(config.token) {}

  // Empty: none. A file that cannot be read leaves the token as it was. `refused`: the last one was not accepted.
  const std::string& Get(std::uint64_t now_ns, bool refused);

 private:
  const std::string file_;
  const std::uint64_t fresh_ns_;
  std::string token_;
  bool read_ = false;
  std::uint64_t read_ns_ = 0;
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_TOKEN_H_
