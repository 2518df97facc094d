// The pieces "processes" and "sockets": two views of one SocketWatch (socket_watch.h).
#include <memory>
#include <utility>

#include "src/host/sockets/socket_watch.h"

namespace knp::host {
namespace {

class ProcessesPiece : public Piece {
 public:
  explicit ProcessesPiece(std::shared_ptr<SocketWatch> watch) : watch_(std::move(watch)) {}
  void Poll(std::uint64_t now_mono_ns) override { watch_->Poll(now_mono_ns); }
  void Catch(std::uint64_t now_mono_ns) override { watch_->Catch(now_mono_ns); }
  void Complete(FlowRecord* record) override { watch_->AddProcesses(record); }
  void Describe(HostPiece* piece, PacketStats* stats) override {
    watch_->Describe(piece, &*stats->host);
    stats->host->processes = watch_->processes();
  }

 private:
  const std::shared_ptr<SocketWatch> watch_;
};

class SocketsPiece : public Piece {
 public:
  explicit SocketsPiece(std::shared_ptr<SocketWatch> watch) : watch_(std::move(watch)) {}
  void Poll(std::uint64_t now_mono_ns) override { watch_->Poll(now_mono_ns); }
  void Catch(std::uint64_t now_mono_ns) override { watch_->Catch(now_mono_ns); }
  void Complete(FlowRecord* record) override { watch_->AddSockets(record); }
  bool Listens(const IpAddress& address, std::uint16_t port) override { return watch_->Listens(address, port); }
  void Describe(HostPiece* piece, PacketStats* stats) override {
    watch_->Describe(piece, &*stats->host);
    watch_->DescribeListeners(&*stats->host);
    stats->host->sockets = watch_->sockets();
  }

 private:
  const std::shared_ptr<SocketWatch> watch_;
};

template <typename T>
absl::StatusOr<std::unique_ptr<Piece>> MakeOn(const Surroundings& surroundings) {
  auto watch = SocketWatch::Of(surroundings);
  if (!watch.ok()) return watch.status();
  return std::make_unique<T>(*std::move(watch));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Piece>> MakeProcesses(const Surroundings& surroundings) {
  return MakeOn<ProcessesPiece>(surroundings);
}
absl::StatusOr<std::unique_ptr<Piece>> MakeSockets(const Surroundings& surroundings) {
  return MakeOn<SocketsPiece>(surroundings);
}

}  // namespace knp::host
