// The promise of the public API that any method may be called from any thread at any time: many threads call everything
// at once, handlers included, while traffic flows, interfaces come and go and slots are reused. Run it under TSAN too:
//   setarch -R build-tsan/bin/knp_netns_tests --gtest_filter='Threads*'
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "abi/knp_abi.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/rig_test.h"
#include "tests/support/scale.h"
#include "tests/support/traffic.h"
#include "tests/support/witness.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;

// Threads that repeat their work until the object goes, with a pause each time: the machine has other users.
class Crowd {
 public:
  ~Crowd() { Stop(); }
  void Add(const std::function<void(int round)>& work, milliseconds pause = milliseconds(1)) {
    threads_.emplace_back([this, work, pause = Patience(pause)] {
      for (int round = 0; !stop_; round++) {
        work(round);
        std::this_thread::sleep_for(pause);
      }
    });
  }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  const std::atomic<bool>* stop() const { return &stop_; }

 private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

class ThreadsTest : public RigTest {
 protected:
  // In side b's namespace, attached to nothing.
  std::unique_ptr<NetworkMonitor> Create(const MonitorOptions& options) {
    auto monitor = rig_->RunIn(Side::kB, [&] { return NetworkMonitor::Create(options); });
    EXPECT_TRUE(monitor.ok()) << monitor.status();
    return monitor.ok() ? *std::move(monitor) : nullptr;
  }

  // Datagrams to side b from many sources, a port scan, connections over the wire and over b's lo.
  void AddTraffic(Crowd* crowd) {
    crowd->Add(
        [this](int round) {
          EXPECT_TRUE(rig_->RunIn(Side::kA,
                                  [&] {
                                    FloodOptions options;
                                    options.flows = 500;
                                    options.first_flow = static_cast<std::uint32_t>(round % 8) * 400;
                                    options.frames = 1000;
                                    options.frames_per_second = Scaled(20'000, 4000);
                                    return Flood("veth_a", options);
                                  })
                          .ok());
        },
        milliseconds(5));
    crowd->Add(
        [this](int round) {
          rig_->RunIn(Side::kA, [&] {
            auto sender = FrameSender::Open("veth_a");
            ASSERT_TRUE(sender.ok()) << sender.status();
            for (unsigned port = 1; port <= 20; port++)
              EXPECT_TRUE(sender
                              ->Send(testing::Join(
                                  {testing::Ethernet(ETH_P_IP),
                                   testing::Ipv4({.protocol = IPPROTO_UDP},
                                                 testing::Udp(8, 53, static_cast<unsigned>(round % 50) * 20 + port))}))
                              .ok());
          });
        },
        milliseconds(30));
    crowd->Add([this](int) { EXPECT_TRUE(TcpBulk(*rig_, Side::kB, Side::kB, 100'000).ok()); }, milliseconds(5));
    crowd->Add([this](int) { EXPECT_TRUE(TcpBulk(*rig_, Side::kA, Side::kB, 100'000).ok()); }, milliseconds(5));
  }
};

// What the call may answer while others do the opposite.
void ExpectOkOr(absl::StatusCode code, const absl::Status& status) {
  EXPECT_TRUE(status.ok() || status.code() == code) << status;
}

void AddReaders(Crowd* crowd, NetworkMonitor* monitor) {
  crowd->Add([monitor](int) {
    const auto stats = monitor->GetPacketStats();
    ASSERT_TRUE(stats.ok()) << stats.status();
    Ledger sum;
    for (const InterfaceStats& one : stats->interfaces) {
      Count known = one.ledger.in_flows;
      for (const auto& [reason, count] : one.ledger.remainder) known += count;
      for (const auto& [where, count] : one.ledger.lost) known += count;
      EXPECT_LE(known.packets, one.ledger.seen.packets) << "more known than seen on " << one.name;
      EXPECT_EQ(known.packets + one.ledger.in_flight.packets, one.ledger.seen.packets) << one.name;
      EXPECT_EQ(one.rx.packets + one.tx.packets, one.ledger.seen.packets) << one.name;
      sum += one.ledger;
    }
    EXPECT_EQ(stats->total.in_flows, sum.in_flows);
  });
  crowd->Add([monitor](int round) {
    const auto stats = monitor->GetFlowStats();
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_LE(stats->flows.size(), stats->active_flows);
    std::set<std::uint64_t> ids;
    for (const FlowRecord& flow : stats->flows)
      EXPECT_TRUE(ids.insert(flow.id).second) << "flow " << flow.id << " twice";
    std::uint64_t visited = 0;
    if (round % 4 == 0) {
      EXPECT_TRUE(monitor->VisitFlows([&](const FlowRecord&) { visited++; }).ok());
    }
  });
  crowd->Add([monitor](int) {
    for (const ProgramInfo& program : monitor->ListPrograms()) EXPECT_FALSE(program.interface.empty());
    auto map = monitor->OpenMap<std::uint32_t, knp_cpu_state>("knp_cpu");
    ASSERT_TRUE(map.ok()) << map.status();
    EXPECT_TRUE(map->Lookup(0).ok());
    EXPECT_TRUE(absl::IsNotFound((monitor->OpenMap<std::uint32_t, std::uint32_t>("no_such_map").status())));
  });
}

void AddSwitchers(Crowd* crowd, NetworkMonitor* monitor) {
  for (const char* interface : {"veth_b", "lo"})
    crowd->Add(
        [monitor, interface](int round) {
          if (round % 2 == 0)
            ExpectOkOr(absl::StatusCode::kAlreadyExists, monitor->AttachToInterface(interface));
          else
            ExpectOkOr(absl::StatusCode::kNotFound, monitor->DetachFromInterface(interface));
          EXPECT_TRUE(absl::IsNotFound(monitor->AttachToInterface("nowhere")));
        },
        milliseconds(20));
  // Two that undo each other's work.
  for (int i = 0; i < 2; i++)
    crowd->Add(
        [monitor](int round) {
          if (round % 4 == 0)
            EXPECT_TRUE(monitor->StopEventProcessing().ok());
          else
            ExpectOkOr(absl::StatusCode::kFailedPrecondition, monitor->StartEventProcessing());
        },
        milliseconds(15));
  crowd->Add([monitor](int round) {
    const std::uint64_t thresholds[] = {0, 5, 20, 65535};
    EXPECT_TRUE(monitor->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, thresholds[round % 4]).ok());
    EXPECT_FALSE(monitor->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 65536).ok());
  });
}

TEST_F(ThreadsTest, EverythingAtOnce_NothingIsLostNorOutOfOrder) {
  MonitorOptions options;
  options.max_interfaces = 3;  // for two interfaces that come and go: slots are reused all the time
  options.flow_capacity = 300;
  options.drain_interval = milliseconds(1);
  options.scan_interval = milliseconds(50);
  auto monitor = Create(options);
  ASSERT_TRUE(monitor);
  NetworkMonitor* const m = monitor.get();
  // Handlers are called one at a time: what they touch needs no lock, and TSAN would tell.
  std::map<std::string, AlertState> alerts;
  std::set<std::uint64_t> ended;
  int events = 0, inside = 0;
  const auto once = [&](auto work) {
    EXPECT_EQ(inside++, 0) << "a handler within a handler";
    work();
    inside--;
  };
  const NetworkMonitor::EventHandler on_event = [&](const Event&) {
    once([&] {
      if (events++ % 50 != 0) return;
      EXPECT_TRUE(m->GetPacketStats().ok());
      EXPECT_TRUE(m->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 3).ok());
      EXPECT_TRUE(absl::IsFailedPrecondition(m->StopEventProcessing()));
      EXPECT_TRUE(absl::IsFailedPrecondition(m->StartEventProcessing()));
      m->SetUserEventHandler(kFirstUserEventType, [](std::span<const std::byte>) {}).IgnoreError();
    });
  };
  const NetworkMonitor::AlertHandler on_alert = [&](const Alert& alert) {
    once([&] {
      const auto [known, first] = alerts.try_emplace(alert.id, alert.state);
      EXPECT_EQ(first, alert.state == AlertState::kOpened) << alert.id;
      EXPECT_TRUE(first || known->second != AlertState::kClosed) << alert.id << " goes on after its end";
      known->second = alert.state;
    });
  };
  const NetworkMonitor::FlowHandler on_flow = [&](const FlowRecord& record) {
    once([&] {
      EXPECT_FALSE(ended.contains(record.id)) << record.id << " goes on after its end";
      if (record.final) ended.insert(record.id);
      if (ended.size() % 100 == 0) {
        EXPECT_TRUE(m->GetFlowStats().ok());
      }
    });
  };
  m->SetAlertHandler(on_alert);
  {
    Crowd crowd;
    AddTraffic(&crowd);
    AddReaders(&crowd, m);
    AddSwitchers(&crowd, m);
    crowd.Add([&](int round) {
      m->SetEventHandler(round % 3 ? on_event : nullptr);
      m->SetFlowHandler(round % 5 ? on_flow : nullptr);
      m->SetAlertHandler(on_alert);
      EXPECT_FALSE(m->SetUserEventHandler(7, nullptr).ok());
      EXPECT_TRUE(m->SetUserEventHandler(static_cast<std::uint16_t>(kFirstUserEventType + round % 9), nullptr).ok());
    });
    std::this_thread::sleep_for(Scaled(milliseconds(3000), milliseconds(1000)));
    // A sanitizer or a busy machine takes longer to come round all slots.
    EXPECT_TRUE(WaitFor(Patience(milliseconds(20'000)), [m] {
      const auto stats = m->GetPacketStats();
      return stats.ok() && stats->interfaces.size() > 8;
    })) << "slots were not reused";
  }
  EXPECT_GT(events, 0);
  if (Scale() == 1) {  // an emulated machine may not send so many ports a second
    EXPECT_GT(alerts.size(), 0u);
  }
  EXPECT_GT(ended.size(), 0u);
  ASSERT_TRUE(m->Finish().ok());
  const auto stats = m->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_GT(stats->total.seen.packets, 1000u);
  EXPECT_TRUE(stats->total.Balanced());
  for (std::size_t i = 0; i < stats->interfaces.size(); i++) {
    const InterfaceStats& one = stats->interfaces[i];
    EXPECT_TRUE(one.ledger.Balanced()) << fmt::format("{}, attachment {}: seen {}, in flows {}, in flight {}", one.name,
                                                      i, one.ledger.seen.packets, one.ledger.in_flows.packets,
                                                      one.ledger.in_flight.packets);
    EXPECT_FALSE(one.attached);
  }
  for (const auto& [id, state] : alerts) EXPECT_EQ(state, AlertState::kClosed) << id;
  EXPECT_TRUE(m->ListPrograms().empty());
}

TEST_F(ThreadsTest, DestroyedUnderTraffic_HandlersAreNotCalledAfterwards) {
  Crowd crowd;
  AddTraffic(&crowd);
  for (std::uint64_t round = 0; round < Scaled(4, 2); round++) {
    auto monitor = Create({});
    ASSERT_TRUE(monitor);
    auto calls = std::make_unique<std::uint64_t>(0);  // freed after the monitor: ASAN and TSAN would tell
    monitor->SetFlowHandler([&](const FlowRecord&) { ++*calls; });
    monitor->SetEventHandler([&](const Event&) { ++*calls; });
    ASSERT_TRUE(monitor->AttachToInterface("veth_b").ok());
    ASSERT_TRUE(monitor->AttachToInterface("lo").ok());
    if (round % 2 == 0) {
      ASSERT_TRUE(monitor->StartEventProcessing().ok());
    }
    std::this_thread::sleep_for(Patience(milliseconds(100)));
    monitor.reset();
    EXPECT_GT(*calls, 0u);
    calls.reset();
  }
}

TEST_F(ThreadsTest, SeveralMonitors_CreatedAtOnce_DoNotDisturbEachOther) {
  constexpr int kMonitors = 4;
  std::vector<std::unique_ptr<NetworkMonitor>> monitors(kMonitors);
  std::vector<std::thread> threads;
  threads.reserve(kMonitors);
  for (auto& monitor : monitors)
    threads.emplace_back([this, &monitor] {
      monitor = Create({});
      if (!monitor) return;
      EXPECT_TRUE(monitor->AttachToInterface("veth_b").ok());
      EXPECT_TRUE(monitor->StartEventProcessing().ok());
    });
  for (std::thread& thread : threads) thread.join();
  FloodOptions options;
  options.flows = 50;
  options.frames = 2000;
  options.frames_per_second = 20'000;
  ASSERT_TRUE(rig_->RunIn(Side::kA, [&] { return Flood("veth_a", options); }).ok());
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  threads.clear();
  for (auto& monitor : monitors)
    threads.emplace_back([&monitor] {
      ASSERT_TRUE(monitor);
      EXPECT_TRUE(monitor->Finish().ok());
      const auto stats = monitor->GetPacketStats();
      ASSERT_TRUE(stats.ok());
      EXPECT_EQ(stats->interfaces.at(0).rx.packets, 2000u);
      EXPECT_TRUE(stats->total.Balanced());
      monitor.reset();
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace knp::test
