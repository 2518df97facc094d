// Two network namespaces of our own, joined by a veth pair: the wire on which the netns tests send their packets.
//
//   absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
//   ASSERT_TRUE(rig.ok()) << rig.status();                 // needs root
//   rig->RunIn(Side::kB, [&] { …sockets of side b… });     // on a thread of that namespace
//
// The namespaces have no name: they hang on file descriptors of this process, so nothing stays behind even if it
// crashes. With the default options nothing is sent on the wire but what the test sends: packet counts are exact.
#ifndef KNP_TESTS_SUPPORT_NETNS_RIG_H_
#define KNP_TESTS_SUPPORT_NETNS_RIG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "src/base/unique_fd.h"

namespace knp::test {

enum class Side { kA = 0, kB = 1 };

class NetnsRig {
 public:
  struct Options {
    // False: TSO, GSO and GRO are off and no skb holds more than one segment, so that one skb is one packet.
    bool offload = false;
    // True: fixed neighbour entries (no ARP, no neighbour discovery), no router solicitation, no duplicate address
    // detection, no link-local addresses; Create returns when the last multicast report has been sent.
    bool quiet = true;
    bool ipv6 = true;
    std::uint32_t mtu = 1500;
  };

  // Both interfaces are up and reach each other when this returns. PermissionDenied without root.
  static absl::StatusOr<NetnsRig> Create(const Options& options);
  static absl::StatusOr<NetnsRig> Create() { return Create(Options()); }
  NetnsRig(NetnsRig&&) = default;
  NetnsRig& operator=(NetnsRig&&) = default;

  // "veth_a" or "veth_b".
  const std::string& interface(Side side) const { return ends_[Index(side)].interface; }
  std::uint32_t ifindex(Side side) const { return ends_[Index(side)].ifindex; }
  // 10.200.0.1 and 10.200.0.2, /24.
  std::string ipv4(Side side) const { return side == Side::kA ? "10.200.0.1" : "10.200.0.2"; }
  // fd00:200::1 and fd00:200::2, /64.
  std::string ipv6(Side side) const { return side == Side::kA ? "fd00:200::1" : "fd00:200::2"; }
  // 02:4b:4e:50:00:01 and …:02.
  std::string mac(Side side) const { return side == Side::kA ? "02:4b:4e:50:00:01" : "02:4b:4e:50:00:02"; }

  // Calls `f` on a new thread in the side's namespace, waits for it, returns what it returns. A failing ASSERT_* leaves
  // only `f`.
  template <typename F>
  auto RunIn(Side side, F&& f) const -> std::invoke_result_t<F>;

  // Moves the calling thread into the side's namespace for good: for a test's own threads and forked children.
  absl::Status Enter(Side side) const;
  // For `nsenter --net=PATH` and the like, as long as this process and this rig live.
  std::string NamespacePath(Side side) const;

  // Removes the pair, as when a container ends.
  absl::Status DeleteInterfaces();
  absl::Status SetUp(Side side, bool up);
  // The interface has carrier and is running; DeadlineExceeded after 5 s.
  absl::Status WaitUntilRunning(Side side) const;
  // Neither side's counters moved for 60 ms; DeadlineExceeded after 5 s.
  absl::Status WaitUntilSilent() const;

 private:
  struct End {
    UniqueFd netns;
    std::string interface;
    std::uint32_t ifindex = 0;
  };
  static constexpr int Index(Side side) { return static_cast<int>(side); }
  static constexpr Side Other(Side side) { return side == Side::kA ? Side::kB : Side::kA; }

  NetnsRig() = default;
  absl::Status CreatePair(const Options& options);
  absl::Status Configure(Side side, const Options& options);  // on a thread of that side
  absl::Status AddAddresses(Side side, const Options& options);
  absl::Status AddNeighbours(Side side, const Options& options);

  End ends_[2];
};

template <typename F>
auto NetnsRig::RunIn(Side side, F&& f) const -> std::invoke_result_t<F> {
  using Result = std::invoke_result_t<F>;
  // A functor that ran outside its namespace would touch the machine's own network: never.
  const auto enter = [&] {
    if (!Enter(side).ok()) std::terminate();
  };
  if constexpr (std::is_void_v<Result>) {
    std::thread([&] {
      enter();
      f();
    }).join();
  } else {
    std::optional<Result> result;
    std::thread([&] {
      enter();
      result.emplace(f());
    }).join();
    return *std::move(result);
  }
}

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_NETNS_RIG_H_
