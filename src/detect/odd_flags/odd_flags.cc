// See odd_flags.h.
#include "src/detect/odd_flags/odd_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "src/base/tcp_flags.h"

namespace knp::detect {
namespace {

constexpr std::size_t kMostPorts = 64, kMostTargets = 16, kMostSamples = 8, kMostCombinations = 8;

// As tools print them: "SYN,FIN"; "none".
std::string FlagsText(std::uint8_t flags) {
  static constexpr const char* kNames[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  std::string text;
  for (unsigned bit = 0; bit < 8; bit++)
    if (flags >> bit & 1) text += fmt::format("{}{}", text.empty() ? "" : ",", kNames[bit]);
  return text.empty() ? "none" : text;
}

template <typename Value>
void AddOnce(std::vector<Value>* list, const Value& value, std::size_t most) {
  if (list->size() < most && std::find(list->begin(), list->end(), value) == list->end()) list->push_back(value);
}

}  // namespace

bool AreOddFlags(std::uint8_t tcp_flags) {
  switch (tcp_flags & (kFin | kSyn | kRst | kAck)) {
    case kSyn:
    case kSyn | kAck:
    case kAck:
    case kAck | kFin:
    case kRst:
    case kRst | kAck:
    case kRst | kAck | kFin: return false;
    default: return true;
  }
}

std::unique_ptr<Detector> MakeOddFlags(const Surroundings& surroundings) {
  if (!surroundings.options.anomaly.odd_flags) return nullptr;
  return std::make_unique<OddFlags>(surroundings);
}

void OddFlags::OnTcpPacket(const FlowTuple& tuple, std::uint8_t flags, InterfaceId interface, std::uint64_t mono_ns) {
  if (!AreOddFlags(flags)) return;
  const IpAddress address{.bytes = tuple.source, .version = tuple.ip_version};
  Source* const source = sources_.Use(address, mono_ns);
  if (!source) return;
  if (source->packets != 0 && source->last_mono_ns + kWindowNs <= mono_ns) *source = {};
  if (source->packets == 0) {
    source->interface = interface;
    source->first_mono_ns = mono_ns;
  }
  if (source->interface != interface) return;
  const IpAddress target{.bytes = tuple.destination, .version = tuple.ip_version};
  source->packets++;
  source->last_mono_ns = std::max(source->last_mono_ns, mono_ns);
  source->changed = true;
  changed_ = true;
  AddOnce(&source->ports, tuple.destination_port, kMostPorts);
  AddOnce(&source->targets, target, kMostTargets);
  if (source->samples.size() >= kMostSamples) return;
  AddOnce(&source->flags, FlagsText(flags), kMostCombinations);
  source->samples.push_back({.time_unix_ns = unix_ns_(mono_ns),
                             .protocol = tuple.protocol,
                             .source = {.ip = address, .port = tuple.source_port},
                             .destination = {.ip = target, .port = tuple.destination_port},
                             .tcp_flags = flags,
                             .note = ""});
}

void OddFlags::Advance(std::uint64_t mono_ns) {
  if (!changed_) return;
  changed_ = false;
  sources_.VisitSince(mono_ns - std::min(mono_ns, kWindowNs), [&](const IpAddress& address, Source& source) {
    if (source.changed && source.packets >= kPackets) Tell(address, source, mono_ns);
    source.changed = false;
  });
}

void OddFlags::Tell(const IpAddress& address, const Source& source, std::uint64_t mono_ns) {
  Finding finding;
  Alert& alert = finding.alert;
  alert.type = "anomaly.odd_flags";
  alert.severity = "low";
  alert.source = Endpoint{.ip = address};
  if (source.targets.size() == 1) alert.target = Endpoint{.ip = source.targets[0]};
  alert.rule = {.name = "odd_flags",
                .observed = static_cast<double>(source.packets),
                .threshold = kPackets,
                .window_s = static_cast<double>(kWindowNs) / 1e9};
  alert.evidence_ports = source.ports;
  alert.evidence_targets = source.targets;
  alert.samples = source.samples;
  alert.names = source.flags;
  alert.facts = {{"packets", static_cast<double>(source.packets)}};
  alert.summary = fmt::format("{} sent {} packets with TCP flags that no honest stack sends together ({}) to {}{}",
                              address.ToString(), source.packets, fmt::join(source.flags, "; "),
                              source.targets[0].ToString(), source.targets.size() > 1 ? " and others" : "");
  finding.key = address.ToString();
  finding.first_mono_ns = source.first_mono_ns;
  finding.last_mono_ns = source.last_mono_ns;
  finding.quiet_ns = kWindowNs;
  alerts_.Tell(finding, mono_ns);
}

}  // namespace knp::detect
