// A Sink that keeps all that it is told, as values that can be compared: counts by flow, notices and samples in order.
#ifndef KNP_TESTS_SUPPORT_RECORDING_SINK_H_
#define KNP_TESTS_SUPPORT_RECORDING_SINK_H_

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "src/datapath/sink.h"

namespace knp::test {

class RecordingSink : public datapath::Sink {
 public:
  struct Flow {
    Count count;
    std::uint64_t first_ns = 0, last_ns = 0;
    std::uint8_t tcp_flags = 0;
    bool fragments = false;
    friend bool operator==(const Flow&, const Flow&) = default;
  };
  struct Sample {
    PayloadSample head;  // its data is empty
    std::vector<std::uint8_t> data;
  };

  void OnDelta(const FlowDelta& delta) override {
    Flow& flow = flows[NameOf(delta.tuple, delta.interface, delta.direction)];
    flow.count += delta.count;
    if (flow.first_ns == 0 || delta.first_mono_ns < flow.first_ns) flow.first_ns = delta.first_mono_ns;
    flow.last_ns = std::max(flow.last_ns, delta.last_mono_ns);
    flow.tcp_flags |= delta.tcp_flags;
    flow.fragments |= delta.fragments;
    deltas.push_back(delta);
  }
  void OnNotice(const PacketNotice& notice) override { notices.push_back(notice); }
  void OnPayload(const PayloadSample& sample) override {
    samples.push_back({sample, {sample.data.begin(), sample.data.end()}});
    samples.back().head.data = {};
  }
  void OnUserEvent(std::uint16_t, std::span<const std::byte>) override { user_events++; }

  static std::string NameOf(const FlowTuple& t, InterfaceId interface, Direction direction) {
    const IpAddress source{t.source, t.ip_version}, destination{t.destination, t.ip_version};
    return fmt::format("{}:{} > {}:{} protocol {} vlan {} tunnel {}/{} at {} {}", source.ToString(), t.source_port,
                       destination.ToString(), t.destination_port, t.protocol, t.vlan, static_cast<int>(t.tunnel.type),
                       t.tunnel.id, interface, DirectionName(direction));
  }
  static std::string TextOf(const PacketNotice& n) {
    return fmt::format("{} {} at {}: flags {} bytes {} sequence {} ttl {} dscp {} macs {}", static_cast<int>(n.kind),
                       NameOf(n.tuple, n.interface, n.direction), n.mono_ns, n.tcp_flags, n.bytes, n.sequence, n.ttl,
                       n.dscp, n.has_macs ? MacText(n.source_mac) + " " + MacText(n.destination_mac) : "none");
  }

  std::map<std::string, Flow> flows;
  std::vector<FlowDelta> deltas;
  std::vector<PacketNotice> notices;
  std::vector<Sample> samples;
  std::uint64_t user_events = 0;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_RECORDING_SINK_H_
