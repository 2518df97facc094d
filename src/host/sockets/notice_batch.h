// What one reading of the kernel's notices brought, named and in the host's time. A TCP connection that both opened and
// closed within it is one notice, its closing, with what its opening knew: connections that live for milliseconds are the
// many, and the table then has half of the work with them. Used by SocketWatch, from one thread.
#ifndef KNP_HOST_SOCKETS_NOTICE_BATCH_H_
#define KNP_HOST_SOCKETS_NOTICE_BATCH_H_

#include <absl/container/flat_hash_map.h>
#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "src/base/socket_notice.h"

namespace knp::host {

// What the kernel told, with what was found out about it.
struct KnownNotice {
  SocketNotice notice;
  std::shared_ptr<const Process> process;  // null: not known
  std::uint64_t told_unix_ns = 0;
  std::uint64_t since_unix_ns = 0;  // when its owner had it first; 0: not known
};

class NoticeBatch {
 public:
  using NameOwner = std::function<std::shared_ptr<const Process>(const SocketOwner& owner)>;
  NoticeBatch(std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns, NameOwner name);

  void Clear();
  void Add(SocketNotice notice);

  // In the order of the kernel's; a pair that became one is where its first was. Until the next Add or Clear.
  std::span<const KnownNotice> notices() const { return notices_; }
  // How many were added, pairs as two.
  std::size_t told() const { return told_; }

 private:
  void CloseWhatOpened(SocketNotice notice, KnownNotice* known);

  const std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns_;
  const NameOwner name_;
  std::vector<KnownNotice> notices_;                           // keeps its room
  absl::flat_hash_map<std::uint64_t, std::size_t> opened_at_;  // by cookie: the one that opened and has not closed
  std::size_t told_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_NOTICE_BATCH_H_
