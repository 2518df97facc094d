// See token.h.
#include "src/identity/kube/token.h"

#include <fstream>
#include <iterator>

namespace knp::identity::kube {
namespace {

constexpr std::size_t kMaxToken = 64 << 10;

}  // namespace

const std::string& Token::Get(std::uint64_t now_ns, bool refused) {
  if (file_.empty() || (read_ && !refused && now_ns - read_ns_ < fresh_ns_)) return token_;
  read_ = true;
  read_ns_ = now_ns;
  std::ifstream file(file_, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  // It becomes a header's line; a line within it would become another.
  if (!text.empty() && text.size() <= kMaxToken && text.find_first_of("\r\n") == std::string::npos) token_ = text;
  return token_;
}

}  // namespace knp::identity::kube
