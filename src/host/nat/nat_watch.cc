// See nat_watch.h.
#include "src/host/nat/nat_watch.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace knp::host {
namespace {

constexpr std::chrono::seconds kPatience{1};
constexpr std::size_t kAtOnce = 4096;

class Nat final : public Piece {
 public:
  explicit Nat(std::shared_ptr<NatWatch> watch) : watch_(std::move(watch)) {}
  void Poll(std::uint64_t) override {}  // the reader does it
  void Describe(HostPiece* piece, PacketStats* stats) override { watch_->Describe(piece, stats); }

 private:
  const std::shared_ptr<NatWatch> watch_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<NatWatch>> NatWatch::Open(std::size_t capacity) {
  auto conntrack = Conntrack::Open();
  if (!conntrack.ok()) return conntrack.status();
  std::shared_ptr<NatWatch> watch(new NatWatch(*std::move(conntrack), capacity));
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (watch->conntrack_.listing() && std::chrono::steady_clock::now() < until)
    if (!watch->Drain(0, kAtOnce, [](const FlowTuple&, const FlowTuple&) {}) && watch->conntrack_.listing())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return watch;
}

bool NatWatch::Drain(std::uint64_t now_mono_ns, std::size_t most,
                     absl::FunctionRef<void(const FlowTuple&, const FlowTuple&)> learned) {
  const bool more = conntrack_.Drain(most, [&](const ConntrackEntry& entry, bool destroyed) {
    if (!entry.is_translated())
      table_.Supersede(entry);
    else if (destroyed)
      table_.Destroy(entry, now_mono_ns);
    else if (table_.Add(entry))
      learned(entry.translated, entry.original);
  });
  table_.Advance(now_mono_ns);
  return more;
}

void NatWatch::Describe(HostPiece* piece, PacketStats* stats) const {
  piece->how = "conntrack's events (netlink)";
  if (const int error = conntrack_.list_error(); error != 0)
    piece->why = fmt::format("conntrack's list could not be read again: {}", std::strerror(-error));
  piece->events = conntrack_.messages();
  piece->lost = conntrack_.lost();
  piece->forgotten = table_.forgotten();
  stats->host->translations = table_.size();
}

absl::StatusOr<std::unique_ptr<Piece>> MakeNat(const Surroundings& surroundings) {
  auto watch = NatWatch::Open(surroundings.options.host.capacity);
  if (!watch.ok()) return watch.status();
  surroundings.nat_watch = *watch;
  return std::make_unique<Nat>(*std::move(watch));
}

}  // namespace knp::host
