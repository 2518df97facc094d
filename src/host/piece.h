// One thing that the host is asked for: whose sockets, what was dropped, what ails the interfaces. Each is a folder and a row
// in registry.cc, knows the kernel through src/datapath or netlink, and adds to records and statistics what it found.
#ifndef KNP_HOST_PIECE_H_
#define KNP_HOST_PIECE_H_

#include <absl/status/statusor.h>
#include <knp/options.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace knp::host {

class NatWatch;
class SocketWatch;

// What a piece is given. Functions may be called from any thread, but not from within Complete.
struct Surroundings {
  const MonitorOptions& options;  // of the monitor, which outlives the piece
  std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
  mutable std::shared_ptr<SocketWatch> socket_watch{};  // of the pieces that stand on it, made by the first of them
  mutable std::shared_ptr<NatWatch> nat_watch{};        // that the piece "nat" leaves for the reader; null: it is off
};

// Created in the monitor's network namespace, before anything is attached; destroyed after everything is detached.
// Poll comes from the host's own thread alone; the others from any, at any time: a piece has its own lock and holds it
// briefly, never over a system call.
class Piece {
 public:
  virtual ~Piece() = default;
  // Some hundred times a second: takes what the kernel has. What takes long is done in parts or seldom.
  virtual void Poll(std::uint64_t now_mono_ns) = 0;
  // The same, whatever its rhythm, while Poll is not running: what is to be known is known when it returns.
  virtual void Catch(std::uint64_t now_mono_ns) { Poll(now_mono_ns); }
  // Adds what is known to a record that is about to be told.
  virtual void Complete(FlowRecord* record) { (void)record; }
  // Conversations that had packets dropped: their ends, protocol and time, for all pieces to complete.
  virtual std::vector<FlowRecord> Dropped() { return {}; }
  // Whether a socket of this host waits for connections there (TCP), so that who sends to it has opened the conversation.
  virtual bool Listens(const IpAddress& address, std::uint16_t port) {
    (void)address, (void)port;
    return false;
  }
  // Its part of `stats`, and of `stats->host`, which is there, all but its name in `pieces`.
  virtual void Describe(HostPiece* piece, PacketStats* stats) = 0;
};

// A status that is not OK says why it cannot be here, for HostPiece::why.
using MakePiece = absl::StatusOr<std::unique_ptr<Piece>> (*)(const Surroundings& surroundings);

}  // namespace knp::host

#endif  // KNP_HOST_PIECE_H_
