// The library's one entrance: watches network interfaces from inside the kernel, exactly.
//
//   auto monitor = knp::NetworkMonitor::Create();
//   if (!monitor.ok()) …                                   // says what is missing and what to do
//   absl::Status status = (*monitor)->AttachToInterface("eth0");
//   status = (*monitor)->StartEventProcessing();
//   … (*monitor)->GetPacketStats() …
//
// Thread-safety: all methods may be called from any thread at any time, handlers included, except destruction, which
// must come last and not from a handler. Handlers are called one at a time, in order: from the internal thread, or, for
// what a call brings about itself (Finish, SetSecurityConfig, any reading call while no events are processed), from the
// thread of that call. A slow handler delays the reading of the ring, and if it is slow for long the ledger shows
// `lost.ring_full`.
//
// Rights: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN and CAP_NET_ADMIN). Kernel: 5.8 and newer with all that
// this version does.
//
// Errors by code: PermissionDenied names the missing capability; Unimplemented the missing kernel feature;
// InvalidArgument, NotFound, AlreadyExists, FailedPrecondition the caller's mistake; Internal is ours.
#ifndef KNP_NETWORK_MONITOR_H_
#define KNP_NETWORK_MONITOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/interfaces.h>
#include <knp/options.h>
#include <knp/traffic.h>
#include <knp/types.h>
#include <knp/user_map.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace knp {

enum class SecurityParameter {
  // So many distinct destination ports that one source tries to open within a second raise a scan.vertical alert.
  // 0 = off (the default).
  kPortScanPortsPerSecond,
};

// First type number of user-defined events.
inline constexpr std::uint16_t kFirstUserEventType = 0x8000;

class NetworkMonitor {
 public:
  using EventHandler = std::function<void(const Event&)>;
  using AlertHandler = std::function<void(const Alert&)>;
  using FlowHandler = std::function<void(const FlowRecord&)>;
  using UserEventHandler = std::function<void(std::span<const std::byte> payload)>;

  // Loads the built-in programs. Nothing is attached yet.
  static absl::StatusOr<std::unique_ptr<NetworkMonitor>> Create(const MonitorOptions& options = {});

  // Loads a BPF object from disk instead: ours (`network-monitor.o`), or one built from our headers with maps, programs
  // and events of its own (examples/). Refused, with the name of what is wrong: no ELF or no BPF object, a map or
  // program that we need is missing, a layout other than this library's.
  static absl::StatusOr<std::unique_ptr<NetworkMonitor>> CreateFromObjectFile(const std::string& path,
                                                                              const MonitorOptions& options = {});

  // Removes what monitors with MonitorOptions::pin_directory have left there and at the interfaces: hooks, counts, the
  // directory itself. Wants to be called in their network namespace. OK also if there is nothing. FailedPrecondition: a
  // process uses it, which is named.
  static absl::Status Uninstall(const std::string& pin_directory);

  // Detaches everything, reports what is left to the flow handler, frees all kernel memory. With a pin directory: reads and
  // reports all there is; hooks and counts stay, for the next one.
  ~NetworkMonitor();
  NetworkMonitor(const NetworkMonitor&) = delete;
  NetworkMonitor& operator=(const NetworkMonitor&) = delete;

  // Starts counting on an interface of the network namespace in which the monitor was created, in both directions (on
  // `lo` ingress alone, for there every packet passes both). NotFound: no such interface. FailedPrecondition: it is
  // down. AlreadyExists: attached already. Nothing is left behind on failure. With a pin directory, interfaces that an earlier
  // process watched are attached from Create on (GetPacketStats lists them); the first call for one of them is OK.
  absl::Status AttachToInterface(const std::string& interface);

  // Stops counting; the interface's numbers stay in the statistics. NotFound: not attached.
  absl::Status DetachFromInterface(const std::string& interface);

  // Attaches every interface of the selection, now and whenever one appears or comes up, until the monitor ends; called
  // again, follows another selection and detaches what is no longer in it. One that cannot be attached is told
  // (kInterfaceRefused) and tried again. ResourceExhausted, Internal: the kernel's announcements cannot be had.
  absl::Status FollowInterfaces(const InterfaceSelection& selection);

  // Detaches every interface and reads all that is left, so that the ledger settles; flows are reported as final.
  // GetPacketStats().total.Balanced() then tells whether every packet is accounted for. With a pin directory nothing is
  // detached: it is balanced but for packets that come meanwhile, or after DetachFromInterface for each.
  absl::Status Finish();

  // Starts the internal thread that reads events and flows and calls the handlers. FailedPrecondition if it runs, or from
  // within a handler.
  absl::Status StartEventProcessing();
  // Stops it; called by the destructor too. What is in the kernel stays there until it is started again. FailedPrecondition
  // from within a handler.
  absl::Status StopEventProcessing();

  // Exact counters of every interface. Reads the kernel's tables itself, so it works without event processing too.
  absl::StatusOr<PacketStats> GetPacketStats();
  // Every live conversation, as of the last scan (options.scan_interval), or of now if no events are processed.
  absl::StatusOr<FlowStats> GetFlowStats();

  // The same without a copy of everything: `visit` is called with each live conversation, in no order, while the
  // monitor's state is locked: it must be quick and call nothing of the monitor's. The record is valid during the call.
  // `flows` of the result is empty. Null: their number alone is asked for, which is cheap.
  absl::StatusOr<FlowStats> VisitFlows(const std::function<void(const FlowRecord&)>& visit);

  // Who uses how much: the first `top` hosts, protocols and applications, as of the last scan.
  absl::StatusOr<TrafficReport> GetTraffic(std::size_t top);

  // InvalidArgument: the value is out of the parameter's range (0 … 65535 for the port rule).
  absl::Status SetSecurityConfig(SecurityParameter parameter, std::uint64_t value);

  // Handlers may be set at any time; nullptr removes one. When the call returns, the old one is not running any more
  // (except when called from within a handler).
  void SetEventHandler(EventHandler handler);
  void SetAlertHandler(AlertHandler handler);
  void SetFlowHandler(FlowHandler handler);
  // For events that a user's own BPF code sends (knp_emit_user_event). InvalidArgument: `type` is below
  // kFirstUserEventType.
  absl::Status SetUserEventHandler(std::uint16_t type, UserEventHandler handler);

  // A map of the loaded object. NotFound: it has none of that name. InvalidArgument: sizes differ from the map's.
  template <typename Key, typename Value>
  absl::StatusOr<UserMap<Key, Value>> OpenMap(const std::string& name) {
    absl::StatusOr<RawMap> raw = OpenRawMap(name, sizeof(Key), sizeof(Value));
    if (!raw.ok()) return raw.status();
    return UserMap<Key, Value>(*std::move(raw));
  }

  // Which of our programs stands where, by which means.
  std::vector<ProgramInfo> ListPrograms() const;

 private:
  class Impl;
  explicit NetworkMonitor(std::unique_ptr<Impl> impl);
  absl::StatusOr<RawMap> OpenRawMap(const std::string& name, std::size_t key_size, std::size_t value_size);
  std::unique_ptr<Impl> impl_;
};

}  // namespace knp

#endif  // KNP_NETWORK_MONITOR_H_
