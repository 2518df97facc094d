// See offloads.h and linux/ethtool.h.
#include "src/datapath/offloads.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdint>

#include "src/base/unique_fd.h"

namespace knp::datapath {

std::optional<Offloads> ReadOffloads(const std::string& interface) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return std::nullopt;
  const auto read = [&](std::uint32_t command, bool* value) {
    ethtool_value answer{command, 0};
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&answer);
    if (ioctl(fd.get(), SIOCETHTOOL, &request) != 0) return false;
    *value = answer.data != 0;
    return true;
  };
  Offloads offloads;
  if (!read(ETHTOOL_GGRO, &offloads.gro) || !read(ETHTOOL_GTSO, &offloads.tso)) return std::nullopt;
  return offloads;
}

}  // namespace knp::datapath
