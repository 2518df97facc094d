// See too_large.h.
#include "src/host/interfaces/too_large.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <utility>

namespace knp::host {

bool TooLarge::Says(const FlowRecord& record) {
  if (!record.icmp) return false;
  const auto [type, code] = *record.icmp;
  return (record.protocol == IPPROTO_ICMP && type == 3 && code == 4) ||
         (record.protocol == IPPROTO_ICMPV6 && type == 2);
}

void TooLarge::Add(const FlowRecord& record) {
  Live now;
  now.ends = fmt::format("{} to {}", record.source.ip.ToString(), record.destination.ip.ToString());
  for (const Observation& seen : record.observations)
    if (seen.count.packets != 0) now.packets[seen.interface] += seen.count.packets;
  if (!record.final) {
    if (live_.size() >= kMostLive && !live_.contains(record.id)) {
      forgotten_++;
      return;
    }
    live_[record.id] = std::move(now);
    return;
  }
  live_.erase(record.id);
  for (const auto& [interface, packets] : now.packets) {
    if (ended_.size() >= kMostInterfaces && !ended_.contains(interface)) {
      forgotten_++;
      continue;
    }
    Ended& ended = ended_[interface];
    ended.packets += packets;
    ended.ends = now.ends;
  }
}

void TooLarge::Describe(const std::string& interface, std::vector<InterfaceTrouble>* troubles) const {
  Ended all;
  if (const auto ended = ended_.find(interface); ended != ended_.end()) all = ended->second;
  for (const auto& [id, live] : live_)
    if (const auto seen = live.packets.find(interface); seen != live.packets.end()) {
      all.packets += seen->second;
      all.ends = live.ends;
    }
  if (all.packets != 0)
    troubles->push_back({"fragmentation_needed", all.packets,
                         fmt::format("packets were too large for the path, as the last was told: {}", all.ends)});
}

}  // namespace knp::host
