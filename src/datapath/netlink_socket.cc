// See netlink_socket.h. Wire format: RFC 3549 and the kernel's Documentation/userspace-api/netlink/intro.rst.
#include "src/datapath/netlink_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr int kDumpAttempts = 10;

std::size_t Aligned(std::size_t size) {
  return (size + NLMSG_ALIGNTO - 1) & ~static_cast<std::size_t>(NLMSG_ALIGNTO - 1);
}

}  // namespace

std::string Attribute::String() const {
  const char* text = reinterpret_cast<const char*>(payload.data());
  return std::string(text, strnlen(text, payload.size()));
}

bool NextAttribute(Bytes* rest, Attribute* attribute) {
  if (rest->size() < sizeof(nlattr)) return false;
  const nlattr header = ReadAs<nlattr>(*rest);
  if (header.nla_len < sizeof(nlattr) || header.nla_len > rest->size()) return false;
  attribute->type = header.nla_type & NLA_TYPE_MASK;
  attribute->payload = rest->subspan(sizeof(nlattr), header.nla_len - sizeof(nlattr));
  *rest = rest->subspan(std::min(Aligned(header.nla_len), rest->size()));
  return true;
}

NetlinkRequest::NetlinkRequest(std::uint16_t type, int flags) {
  header()->nlmsg_len = sizeof(nlmsghdr);
  header()->nlmsg_type = type;
  const bool dump = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK) | flags);
}

void NetlinkRequest::Append(const void* data, std::size_t size) {
  const std::size_t begin = Aligned(header()->nlmsg_len);
  if (begin + size > buffer_.size()) {
    overflow_ = true;
    return;
  }
  if (size > 0) std::memcpy(buffer_.data() + begin, data, size);
  header()->nlmsg_len = static_cast<std::uint32_t>(begin + size);
}

NetlinkRequest& NetlinkRequest::Put(int type, const void* data, std::size_t size) {
  const nlattr attribute = {static_cast<std::uint16_t>(sizeof(nlattr) + size), static_cast<std::uint16_t>(type)};
  Append(&attribute, sizeof(attribute));
  Append(data, size);
  return *this;
}

NetlinkRequest& NetlinkRequest::PutRaw(const void* data, std::size_t size) {
  Append(data, size);
  return *this;
}

std::size_t NetlinkRequest::BeginNest(int type) {
  const std::size_t nest = Aligned(header()->nlmsg_len);
  Put(type | NLA_F_NESTED, nullptr, 0);
  return nest;
}

void NetlinkRequest::EndNest(std::size_t nest) {
  if (overflow_) return;
  const std::uint16_t size = static_cast<std::uint16_t>(header()->nlmsg_len - nest);
  std::memcpy(buffer_.data() + nest, &size, sizeof(size));  // nlattr::nla_len
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open a netlink socket");
  const int on = 1;
  // Both are refinements (4.12, 4.20): without them errors have no text, and dumps may ignore their filters, which is
  // why every reader checks what it gets.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof(local)) != 0) {
    return ErrnoStatus(errno, "cannot bind a netlink socket");
  }
  return NetlinkSocket(std::move(fd));
}

ssize_t ReceiveFromKernel(int fd, std::span<std::byte> buffer, int flags) {
  sockaddr_nl sender{};
  iovec vector{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &sender;
  message.msg_namelen = sizeof(sender);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  const ssize_t size = recvmsg(fd, &message, flags);
  if (size < 0) return -errno;
  if (size == 0) return -EPIPE;
  if (sender.nl_pid != 0) return 0;
  return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : size;
}

int NetlinkSocket::Transact(NetlinkRequest& request) {
  return Transact(request, [](std::uint16_t, Bytes) {});
}

int NetlinkSocket::Transact(NetlinkRequest& request, Visitor visit) {
  kernel_message_[0] = '\0';
  if (request.overflow_) return -EMSGSIZE;
  nlmsghdr* header = request.header();
  header->nlmsg_seq = ++sequence_;  // replies to an earlier, abandoned request are told apart by it
  while (send(fd_.get(), header, header->nlmsg_len, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  for (int error = 0;;) {
    const ssize_t size = ReceiveFromKernel(fd_.get(), {buffer_.get(), kBufferSize}, 0);
    if (size == 0 || size == -EINTR) continue;
    if (size < 0) return static_cast<int>(size);
    if (Consume(Bytes(buffer_.get(), static_cast<std::size_t>(size)), visit, &error) == Progress::kDone) return error;
  }
}

NetlinkSocket::Progress NetlinkSocket::Consume(Bytes datagram, Visitor visit, int* error) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const nlmsghdr header = ReadAs<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) {
      *error = -EBADMSG;
      return Progress::kDone;
    }
    const Bytes body = datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    datagram = datagram.subspan(std::min(Aligned(header.nlmsg_len), datagram.size()));
    if (header.nlmsg_seq != sequence_) continue;
    if (header.nlmsg_flags & NLM_F_DUMP_INTR) *error = -EINTR;
    if (header.nlmsg_type == NLMSG_DONE) {
      const int result = body.size() >= sizeof(int) ? ReadAs<int>(body) : 0;
      if (result < 0) *error = result;
      return Progress::kDone;
    }
    if (header.nlmsg_type != NLMSG_ERROR) {
      if (header.nlmsg_type >= NLMSG_MIN_TYPE) visit(header.nlmsg_type, body);
      continue;
    }
    const nlmsgerr outcome = ReadAs<nlmsgerr>(body);
    *error = outcome.error;
    // The extended acknowledgement follows our own request, of which NLM_F_CAPPED leaves the header only.
    const bool capped = header.nlmsg_flags & NLM_F_CAPPED;
    const std::size_t echoed = capped ? sizeof(nlmsghdr) : Aligned(outcome.msg.nlmsg_len);
    const std::size_t skip = sizeof(int) + echoed;
    if ((header.nlmsg_flags & NLM_F_ACK_TLVS) && body.size() > skip) {
      Bytes rest = body.subspan(skip);
      for (Attribute attribute; NextAttribute(&rest, &attribute);) {
        if (attribute.type != NLMSGERR_ATTR_MSG) continue;
        const std::size_t size = std::min(attribute.payload.size(), kernel_message_.size() - 1);
        std::memcpy(kernel_message_.data(), attribute.payload.data(), size);
        kernel_message_[size] = '\0';
      }
    }
    return Progress::kDone;
  }
  return Progress::kMore;
}

absl::Status NetlinkSocket::Explain(int error, const std::string& what) const {
  if (kernel_message_[0] == '\0') return ErrnoStatus(-error, what);
  return ErrnoStatus(-error, fmt::format("{} (the kernel says: {})", what, kernel_message_.data()));
}

absl::Status NetlinkSocket::Execute(NetlinkRequest& request, const std::string& what) {
  const int error = Transact(request);
  return error == 0 ? absl::OkStatus() : Explain(error, what);
}

absl::Status NetlinkSocket::Dump(NetlinkRequest& request, const std::string& what, absl::FunctionRef<void()> restart,
                                 Visitor visit) {
  int error = -EINTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == -EINTR; ++attempt) {
    restart();
    error = Transact(request, visit);
  }
  if (error == -EINTR) return absl::UnavailableError(fmt::format("{}: it changes all the time; try again", what));
  return error == 0 ? absl::OkStatus() : Explain(error, what);
}

}  // namespace knp::datapath
