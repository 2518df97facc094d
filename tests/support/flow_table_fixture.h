// What the tests of FlowTable have in common: a table with four interfaces, whose records are kept, and deltas and
// notices written in a line.
#ifndef KNP_TESTS_SUPPORT_FLOW_TABLE_FIXTURE_H_
#define KNP_TESTS_SUPPORT_FLOW_TABLE_FIXTURE_H_

#include <gtest/gtest.h>
#include <knp/types.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "src/base/flow_delta.h"
#include "src/flow/flow_table.h"

namespace knp::flow {

inline constexpr std::uint64_t kSecond = 1'000'000'000;
inline constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;  // Unix time of monotonic 0
inline constexpr std::size_t kAll = 1'000'000;
enum : InterfaceId { kEth0, kEth1, kLo, kEth0Again };

inline FlowTuple Tuple(std::uint8_t protocol, const std::string& source, std::uint16_t source_port,
                       const std::string& destination, std::uint16_t destination_port) {
  const IpAddress from = *ParseIpAddress(source), to = *ParseIpAddress(destination);
  return {.source = from.bytes,
          .destination = to.bytes,
          .source_port = source_port,
          .destination_port = destination_port,
          .vlan = 0,
          .protocol = protocol,
          .ip_version = from.version};
}

inline FlowTuple Reverse(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

// 10.0.0.1:40000 to 10.0.0.2:443 and back; the client's address is the lower one.
inline const FlowTuple kThere = Tuple(IPPROTO_TCP, "10.0.0.1", 40000, "10.0.0.2", 443);
inline const FlowTuple kBack = Reverse(kThere);

inline FlowTuple Icmp(std::uint8_t type, std::uint8_t code, std::uint16_t id, const std::string& from,
                      const std::string& to, std::uint8_t protocol = IPPROTO_ICMP) {
  return Tuple(protocol, from, id, to, static_cast<std::uint16_t>(type << 8 | code));
}

// A delta of 1 packet and 100 bytes at second 10, to be altered.
inline FlowDelta Delta(const FlowTuple& tuple, std::uint8_t flags = 0) {
  FlowDelta delta;
  delta.tuple = tuple;
  delta.count = {1, 100};
  delta.first_mono_ns = delta.last_mono_ns = 10 * kSecond;
  delta.tcp_flags = flags;
  return delta;
}

inline FlowDelta At(FlowDelta delta, std::uint64_t first_ns, std::uint64_t last_ns) {
  delta.first_mono_ns = first_ns;
  delta.last_mono_ns = last_ns;
  return delta;
}

inline FlowDelta On(FlowDelta delta, InterfaceId interface, Direction direction, Count count = {1, 100}) {
  delta.interface = interface;
  delta.direction = direction;
  delta.count = count;
  return delta;
}

inline PacketNotice Notice(const FlowTuple& tuple, std::uint8_t flags = 0, std::uint64_t mono_ns = 10 * kSecond) {
  PacketNotice notice;
  notice.tuple = tuple;
  notice.tcp_flags = flags;
  notice.mono_ns = mono_ns;
  return notice;
}

struct Place {
  std::string interface;
  Direction direction;
  Count count;
  friend bool operator==(const Place&, const Place&) = default;
};

inline std::vector<Place> PlacesOf(const FlowRecord& record) {
  std::vector<Place> places;
  for (const Observation& o : record.observations) places.push_back({o.interface, o.direction, o.count});
  return places;
}

class FlowTableTest : public ::testing::Test {
 protected:
  void Make(const FlowTable::Options& options) {
    table_ = std::make_unique<FlowTable>(
        options,
        FlowTable::Context{.places = {.name = [this](InterfaceId id) -> const std::string& { return names_[id]; },
                                      .vantage = [this](InterfaceId id) { return vantages_[id]; }},
                           .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                           .emit = [this](const FlowRecord& record) { records_.push_back(record); },
                           .complete = nullptr,
                           .on_traffic =
                               [this](std::uint64_t, const ConversationKey&, bool, const Attribution& carried) {
                                 traffic_.sent += carried.sent;
                                 traffic_.received += carried.received;
                               },
                           .on_carried = [this](const Contact& contact,
                                                const Carried& carried) { carried_.emplace_back(contact, carried); },
                           .on_stage = nullptr,
                           .on_end = [this](std::uint64_t id) { ended_.push_back(id); },
                           .listens =
                               [this](const IpAddress& address, std::uint16_t port) {
                                 asked_++;
                                 return listeners_.contains({address, port});
                               }});
  }
  void SetUp() override { Make({}); }

  // The one live conversation's record.
  FlowRecord Only() {
    std::vector<FlowRecord> all;
    table_->Visit([&](const FlowRecord& record) { all.push_back(record); });
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? FlowRecord{} : all[0];
  }

  std::vector<std::string> names_ = {"eth0", "eth1", "lo", "eth0"};
  std::unique_ptr<FlowTable> table_;
  std::vector<FlowRecord> records_;
  std::vector<Vantage> vantages_ = std::vector<Vantage>(4, Vantage::kNode);
  Attribution traffic_;  // of all conversations
  std::vector<std::uint64_t> ended_;
  std::set<std::pair<IpAddress, std::uint16_t>> listeners_;  // of this host
  int asked_ = 0;                                            // who listens
  std::vector<std::pair<Contact, Carried>> carried_;         // what detectors are told
};

}  // namespace knp::flow

#endif  // KNP_TESTS_SUPPORT_FLOW_TABLE_FIXTURE_H_
