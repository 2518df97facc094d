// Settings of a NetworkMonitor. Every default is meant to be kept on an ordinary node; the comments say when not to.
#ifndef KNP_OPTIONS_H_
#define KNP_OPTIONS_H_

#include <knp/detection.h>
#include <knp/evidence.h>
#include <knp/host.h>
#include <knp/identity.h>
#include <knp/mitigation.h>
#include <knp/patterns.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace knp {

struct MonitorOptions {
  // Kernel memory of the flow table, bytes, of all CPUs together. Raise it if FlowStats::kernel_evictions grows faster
  // than connections do: every eviction is a record that user space has to take. 48 bytes hold an IPv4 flow direction,
  // 72 an IPv6 one; each CPU that sees a flow needs a slot for it. An eighth comes on top, for flows inside tunnels.
  std::size_t table_budget_bytes = std::size_t{20} << 20;

  // Kernel memory of the event ring, bytes; rounded up to a power of two, at least one page. Raise it if
  // Ledger::lost["ring_full"] is not 0: it must hold what arrives while the reader does not run.
  std::size_t ring_bytes = std::size_t{4} << 20;

  // Interfaces that may be attached at one time; 768 bytes a CPU each.
  std::uint32_t max_interfaces = 64;

  // How often the ring is emptied. Lower it only for quicker events; each round costs about 3 µs.
  std::chrono::milliseconds drain_interval{2};

  // How often live flows are read from the kernel's table; counters, rates and flows are as fresh as that.
  std::chrono::milliseconds scan_interval{1000};

  // How often live flows are reported to the flow handler (final records come at once).
  std::chrono::milliseconds report_interval{5000};

  // How often each hook is compared with its interface's counters, 10 ms to 1 s: whether somebody ends the chain before
  // us. That a hook was removed or an interface has changed is mostly noticed at once.
  std::chrono::milliseconds hook_check_interval{1000};

  // flow_started, connection_reset, handshake, echo and security_candidate events per second, of all CPUs together;
  // beyond it they are only counted (PacketStats::events_suppressed). 0 = none. Flow counts never depend on them.
  std::uint32_t events_per_second = 50000;

  // Bytes a second of payload that the kernel may copy out for names and applications, of all CPUs together: the first
  // packets of each flow, and name service messages. Beyond it they are only counted (PacketStats::samples_suppressed).
  // 0 = none, which makes a new flow cheaper. Flow counts never depend on them.
  std::uint64_t sample_bytes_per_second = std::uint64_t{4} << 20;

  // New flows a second that one endpoint (address, port and protocol on one interface, either end) may have on a CPU before
  // further ones are folded: counted to the packet, in one flow of that endpoint with whomever (FlowRecord::folded). An
  // address may have twice that, all of a CPU three times (twice, of 32 CPUs and more); a second's worth may come at once.
  // From half of it on, the endpoint's new flows cause no events and samples. It keeps a flood from sources that are made
  // up from costing a CPU, and others their events. An endpoint that serves more connections a second on one CPU wants
  // more. 0 = nothing is folded. A replay has 0 by default: see ReplayOptions.
  std::uint32_t new_flows_per_second = 10000;

  // Conversations kept in user space, at most; about 300 bytes each. Beyond it the longest idle one is ended and
  // reported.
  std::size_t flow_capacity = 65536;

  // A conversation ends after this time without a packet …
  std::chrono::milliseconds idle_timeout{60000};
  // … or after this one, once both sides have closed it or one has reset it.
  std::chrono::milliseconds closed_timeout{2000};

  // Whether the first bytes of conversations are looked at for the application that they belong to; 8 MiB.
  bool identify_applications = true;

  PatternThresholds patterns;

  // What is an attack.
  DetectionOptions detection;

  // Packets of what alerts are about, as files; off.
  EvidenceOptions evidence;

  // Dropping what attacks; off. Live only: a replay drops nothing.
  MitigationOptions mitigation;

  // What the host itself is asked: processes, sockets, drops, NAT, interfaces. Live only.
  HostOptions host;

  // A directory on a bpffs (its parent must be; it is made) in which hooks and maps are pinned, so that both outlive this
  // process, however it ends: the next one with the same directory takes them over without a gap, and the ledger goes on
  // (PacketStats::since_unix_ns stays). What a killed process had read and not delivered is Ledger::lost["restart"]; one
  // that ends by Finish() or destruction loses nothing. One process at a time may use a directory, in one network
  // namespace. Takes up to a third of table_budget_bytes and 5 KiB an interface more of kernel memory. Where this kernel
  // cannot (Linux 5.8), it is as if empty, and PacketStats::degraded says so. Empty: everything goes with the process.
  std::string pin_directory;

  // Who is asked for the identities of flows' and alerts' endpoints; null: nobody.
  std::shared_ptr<const EndpointNamer> namer;

  // Comma-separated features to do without although the kernel has them, besides those of the environment's
  // KNP_DISABLE_FEATURES. Diagnose (knp/diagnosis.h) tells their names and what each costs. For tests and for trouble.
  std::string disable_features;
};

}  // namespace knp

#endif  // KNP_OPTIONS_H_
