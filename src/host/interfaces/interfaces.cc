// See interfaces.h.
#include "src/host/interfaces/interfaces.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "src/datapath/netlink_socket.h"
#include "src/host/interfaces/growth.h"
#include "src/host/interfaces/link_counters.h"
#include "src/host/interfaces/too_large.h"

namespace knp::host {
namespace {

constexpr std::uint64_t kEveryNs = 1'000'000'000;
constexpr std::uint64_t kRestForWork = 50;  // with thousands of interfaces: at most 2 % of a CPU

// Of what came in past our hook: where nothing better is known, what the interface itself says it did not pass on.
void GiveCause(InterfaceStats* interface) {
  if (interface->unseen.rx_packets == 0 || !interface->unseen.cause.empty()) return;
  for (const InterfaceTrouble& trouble : interface->troubles)
    if (trouble.cause == "rx_dropped")
      interface->unseen.cause = fmt::format("the interface counted {} rx_dropped", trouble.count);
}

class Interfaces final : public Piece {
 public:
  Interfaces(datapath::NetlinkSocket socket, const std::map<std::uint32_t, LinkCounters>& first)
      : socket_(std::move(socket)) {
    for (const auto& [ifindex, counters] : first) growths_[ifindex].Start(counters);
  }

  void Poll(std::uint64_t now_mono_ns) override {
    if (now_mono_ns >= next_ns_) Read(now_mono_ns);
  }
  void Catch(std::uint64_t now_mono_ns) override { Read(now_mono_ns); }

  void Complete(FlowRecord* record) override {
    if (!TooLarge::Says(*record)) return;
    const std::lock_guard lock(mutex_);
    too_large_.Add(*record);
  }

  void Describe(HostPiece* piece, PacketStats* stats) override {
    const std::lock_guard lock(mutex_);
    piece->how = "interfaces' and qdiscs' counters, once a second (rtnetlink)";
    piece->why = trouble_;
    piece->events = readings_;
    piece->forgotten = too_large_.forgotten();
    for (InterfaceStats& interface : stats->interfaces) {
      asked_.insert(interface.ifindex);
      if (const auto found = growths_.find(interface.ifindex); found != growths_.end())
        found->second.Describe(&interface.troubles);
      too_large_.Describe(interface.name, &interface.troubles);
      GiveCause(&interface);
    }
  }

 private:
  void Read(std::uint64_t now_mono_ns) {
    const auto began = std::chrono::steady_clock::now();
    const auto links = ReadLinkCounters(socket_);
    const auto took = std::chrono::steady_clock::now() - began;
    const auto took_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
    next_ns_ = now_mono_ns + std::max(kEveryNs, static_cast<std::uint64_t>(took_ns) * kRestForWork);
    const std::lock_guard lock(mutex_);
    if (!links.ok()) {  // the counters are totals: the next reading makes up for it
      trouble_ = std::string(links.status().message());
      return;
    }
    trouble_.clear();
    readings_++;
    for (const auto& [ifindex, counters] : *links) {
      const auto [growth, is_new] = growths_.try_emplace(ifindex);
      if (is_new)
        growth->second.Start(counters);
      else
        growth->second.Update(counters);
    }
    // Of what is gone, only what is still told of is kept.
    std::erase_if(growths_,
                  [&](const auto& entry) { return !links->contains(entry.first) && !asked_.contains(entry.first); });
  }

  datapath::NetlinkSocket socket_;  // Poll's and Catch's alone; of the monitor's network namespace
  std::uint64_t next_ns_ = 0;       // likewise

  std::mutex mutex_;                         // guards all below
  std::map<std::uint32_t, Growth> growths_;  // by interface index
  std::set<std::uint32_t> asked_;            // watched ones, as far as Describe has met them
  TooLarge too_large_;
  std::uint64_t readings_ = 0;
  std::string trouble_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Piece>> MakeInterfaces(const Surroundings&) {
  auto socket = datapath::NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  auto first = ReadLinkCounters(*socket);
  if (!first.ok()) return first.status();
  return std::make_unique<Interfaces>(*std::move(socket), *first);
}

}  // namespace knp::host
