// A path for a listening Unix socket: made in a folder of our own beside it, which nobody else can enter, then given its mode and moved
// to its place. So it is never open to more than may use it, and one that is in use is not taken away from its owner. Used by
// HubbleServer.
#ifndef KNP_EXPORT_HUBBLE_SOCKET_PLACE_H_
#define KNP_EXPORT_HUBBLE_SOCKET_PLACE_H_

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace knp::hubble {

class SocketPlace {
 public:
  // AlreadyExists: somebody listens there, or it is no socket. Makes the folder of `path` if there is none.
  static absl::StatusOr<SocketPlace> Prepare(const std::string& path);
  SocketPlace(SocketPlace&& other) noexcept;
  SocketPlace& operator=(SocketPlace&&) = delete;
  // Removes the socket, unless it has become another's.
  ~SocketPlace();

  // Where to listen first.
  const std::string& temporary() const { return temporary_; }
  // Moves what listens there to its place; replaces a stale one in the same instant. `group`: -1 leaves it.
  absl::Status Publish(mode_t mode, gid_t group);

 private:
  SocketPlace(std::string path, std::string folder);

  std::string path_, folder_, temporary_;
  bool published_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_SOCKET_PLACE_H_
