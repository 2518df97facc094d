// See live_mark.h and unix(7), "Abstract sockets".
#include "src/datapath/live_mark.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

struct Address {
  sockaddr_un address{};
  socklen_t size = 0;

  Address(Mark mark, std::uint32_t program_id, std::uint32_t ifindex, std::uint32_t parent) {
    address.sun_family = AF_UNIX;
    const char* kind = mark == Mark::kAlive ? "alive" : "owns-qdisc";
    const std::string name = fmt::format("knp-{}-{}-{}-{:x}", kind, program_id, ifindex, parent);
    std::memcpy(address.sun_path + 1, name.data(), name.size());  // sun_path[0] = '\0': no file
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

}  // namespace

absl::StatusOr<UniqueFd> HoldMark(Mark mark, std::uint32_t program_id, std::uint32_t ifindex, std::uint32_t parent) {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address address(mark, program_id, ifindex, parent);
  if (fd.valid() && (bind(fd.get(), address.get(), address.size) == 0 || errno == EADDRINUSE)) return fd;
  return ErrnoStatus(errno, "cannot bind the socket that marks our filter");
}

bool HasMark(Mark mark, std::uint32_t program_id, std::uint32_t ifindex, std::uint32_t parent, bool in_doubt) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address address(mark, program_id, ifindex, parent);
  if (!fd.valid()) return in_doubt;
  if (connect(fd.get(), address.get(), address.size) == 0) return true;
  return errno == ECONNREFUSED ? false : in_doubt;
}

}  // namespace knp::datapath
