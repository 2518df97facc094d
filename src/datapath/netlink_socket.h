// Netlink on the wire: requests in a fixed buffer, attributes with their bounds checked, and one socket.
//
// Nothing here allocates after Open() except what returns an absl::Status, so the watchdog's child may use it after
// fork(). Used by netlink.cc, the clsact attachment, the watchdog, src/host, and the tests' network namespaces.
#ifndef KNP_DATAPATH_NETLINK_SOCKET_H_
#define KNP_DATAPATH_NETLINK_SOCKET_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <linux/netlink.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "src/base/unique_fd.h"

namespace knp::datapath {

using Bytes = std::span<const std::byte>;

// The first bytes of `bytes` as a T; zeroes where `bytes` is shorter (older kernels send shorter structures).
template <typename T>
  requires std::is_trivially_copyable_v<T> T ReadAs(Bytes bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), bytes.size() < sizeof(T) ? bytes.size() : sizeof(T));
    return value;
  }

struct Attribute {
  std::uint16_t type = 0;  // without the NLA_F_* bits
  Bytes payload;

  template <typename T>
  T As() const {
    return ReadAs<T>(payload);
  }
  // Up to the first NUL or the payload's end.
  std::string String() const;
};

// Takes the next attribute off `rest`; false at the end, or at an attribute that does not fit.
bool NextAttribute(Bytes* rest, Attribute* attribute);
// What follows the family header T of a message.
template <typename T>
Bytes AttributesAfter(Bytes body) {
  return body.size() > NLMSG_ALIGN(sizeof(T)) ? body.subspan(NLMSG_ALIGN(sizeof(T))) : Bytes();
}

// A request under construction. What does not fit is noted and makes Transact fail with EMSGSIZE.
class NetlinkRequest {
 public:
  // NLM_F_REQUEST is always set; an acknowledgement is asked for unless `flags` has NLM_F_DUMP.
  template <typename Header>
  NetlinkRequest(std::uint16_t type, int flags, const Header& header) : NetlinkRequest(type, flags) {
    Append(&header, sizeof(header));
  }

  NetlinkRequest& Put(int type, const void* data, std::size_t size);
  NetlinkRequest& PutU16(int type, std::uint16_t value) { return Put(type, &value, sizeof(value)); }
  NetlinkRequest& PutU32(int type, std::uint32_t value) { return Put(type, &value, sizeof(value)); }
  NetlinkRequest& PutString(int type, const char* value) { return Put(type, value, std::strlen(value) + 1); }
  // A header without an attribute around it: struct ifinfomsg within VETH_INFO_PEER.
  NetlinkRequest& PutRaw(const void* data, std::size_t size);
  // Attributes put between the two are nested in one of `type`.
  std::size_t BeginNest(int type);
  void EndNest(std::size_t nest);

 private:
  friend class NetlinkSocket;
  NetlinkRequest(std::uint16_t type, int flags);
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  void Append(const void* data, std::size_t size);

  alignas(nlmsghdr) std::array<std::byte, 1024> buffer_{};
  bool overflow_ = false;
};

// Takes one datagram off the socket `fd`; `flags` as for recvmsg. Its length; 0: it was not the kernel's, who alone may
// answer; else -errno: -EMSGSIZE if `buffer` was too small, -EPIPE at the end.
ssize_t ReceiveFromKernel(int fd, std::span<std::byte> buffer, int flags);

// A socket of the network namespace in which it was opened. Not thread-safe: one request at a time.
class NetlinkSocket {
 public:
  using Visitor = absl::FunctionRef<void(std::uint16_t type, Bytes body)>;

  // `protocol`: NETLINK_SOCK_DIAG, …
  static absl::StatusOr<NetlinkSocket> Open(int protocol = NETLINK_ROUTE);

  // Sends `request` and hands every reply to `visit`, which must not use this socket. Returns 0 or -errno; -EINTR: a
  // dump changed while it was read, so ask again.
  int Transact(NetlinkRequest& request, Visitor visit);
  int Transact(NetlinkRequest& request);

  // The same, with a Status that begins with `what` ("cannot …") and ends with the kernel's own words.
  absl::Status Execute(NetlinkRequest& request, const std::string& what);
  // A dump, repeated while it changes under our hands; `restart` is called before each attempt.
  absl::Status Dump(NetlinkRequest& request, const std::string& what, absl::FunctionRef<void()> restart, Visitor visit);

  // Of the last Transact that failed with `error`: `what`, the reason, and the kernel's own words if it gave some.
  absl::Status Explain(int error, const std::string& what) const;

  int fd() const { return fd_.get(); }

 private:
  static constexpr std::size_t kBufferSize = 32768;  // no dump's message is larger: include/linux/netlink.h

  explicit NetlinkSocket(UniqueFd fd)
      : fd_(std::move(fd)), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferSize)) {}
  enum class Progress { kMore, kDone };
  Progress Consume(Bytes datagram, Visitor visit, int* error);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  std::array<char, 128> kernel_message_{};  // of the last failure; "" if it gave none
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_NETLINK_SOCKET_H_
