// The public API from outside: what it refuses and how it says so, what it tells while it watches, and that handlers and
// threads may call it as they like.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/flow_book.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"
#include "tests/support/rig_test.h"
#include "tests/support/scale.h"
#include "tests/support/traffic.h"
#include "tests/support/watched_link.h"
#include "tests/support/witness.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;

class MonitorTest : public RigTest {
 protected:
  // In side b's namespace, attached to nothing; what it tells goes to witness_.
  std::unique_ptr<NetworkMonitor> Create(const MonitorOptions& options = {}) {
    auto monitor = rig_->RunIn(Side::kB, [&] { return NetworkMonitor::Create(options); });
    EXPECT_TRUE(monitor.ok()) << monitor.status();
    if (!monitor.ok()) return nullptr;
    witness_.Listen(monitor->get());
    return *std::move(monitor);
  }
  std::unique_ptr<NetworkMonitor> Watching(const MonitorOptions& options = {}) {
    auto monitor = Create(options);
    if (!monitor) return nullptr;
    for (const absl::Status& status : {monitor->AttachToInterface("veth_b"), monitor->StartEventProcessing()})
      EXPECT_TRUE(status.ok()) << status;
    return monitor;
  }
  absl::StatusOr<FloodResult> FloodA(const FloodOptions& options) {
    return rig_->RunIn(Side::kA, [&] { return Flood("veth_a", options); });
  }
  FrameSender SenderA() {
    auto sender = rig_->RunIn(Side::kA, [] { return FrameSender::Open("veth_a"); });
    EXPECT_TRUE(sender.ok()) << sender.status();
    return *std::move(sender);
  }

  Witness witness_;
};

// ---- what is refused -----------------------------------------------------------------------------------------------

TEST_F(MonitorTest, Interfaces_WrongOnes_AreRefusedByNameAndReason) {
  MonitorOptions options;
  options.max_interfaces = 1;
  auto monitor = Create(options);
  ASSERT_TRUE(monitor);
  EXPECT_ERROR(monitor->AttachToInterface("nosuch0"), IsNotFound, HasSubstr("nosuch0"));
  EXPECT_ERROR(monitor->AttachToInterface(""), IsNotFound, HasSubstr("interface"));
  EXPECT_ERROR(monitor->AttachToInterface(std::string(300, 'x')), IsNotFound, HasSubstr("xxx"));
  EXPECT_ERROR(monitor->DetachFromInterface("veth_b"), IsNotFound, HasSubstr("veth_b"));
  ASSERT_TRUE(rig_->SetUp(Side::kB, false).ok());
  EXPECT_ERROR(monitor->AttachToInterface("veth_b"), IsFailedPrecondition,
               AllOf(HasSubstr("veth_b"), HasSubstr("down")));
  EXPECT_TRUE(monitor->ListPrograms().empty());
  ASSERT_TRUE(rig_->SetUp(Side::kB, true).ok());
  ASSERT_TRUE(monitor->AttachToInterface("veth_b").ok());
  EXPECT_ERROR(monitor->AttachToInterface("veth_b"), IsAlreadyExists, HasSubstr("veth_b"));
  EXPECT_ERROR(monitor->AttachToInterface("lo"), IsResourceExhausted, HasSubstr("max_interfaces"));
  const std::vector<ProgramInfo> programs = monitor->ListPrograms();
  ASSERT_EQ(programs.size(), 2u);
  EXPECT_NE(programs[0].id, 0u);
  EXPECT_NE(programs[0].id, programs[1].id);
  EXPECT_TRUE(monitor->DetachFromInterface("veth_b").ok());
  EXPECT_TRUE(monitor->ListPrograms().empty());
  EXPECT_TRUE(monitor->AttachToInterface("lo").ok()) << "the slot is free again";
}

TEST_F(MonitorTest, Calls_OutOfOrderOrRange_AreRefused) {
  auto monitor = Watching();
  ASSERT_TRUE(monitor);
  EXPECT_ERROR(monitor->StartEventProcessing(), IsFailedPrecondition, HasSubstr("runs already"));
  EXPECT_TRUE(monitor->StopEventProcessing().ok());
  EXPECT_TRUE(monitor->StopEventProcessing().ok()) << "twice is no error";
  EXPECT_ERROR(monitor->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 65536), IsInvalidArgument,
               HasSubstr("65536"));
  EXPECT_ERROR(monitor->SetUserEventHandler(5, nullptr), IsInvalidArgument, HasSubstr("5"));
  EXPECT_ERROR((monitor->OpenMap<int, int>("nosuch").status()), IsNotFound, HasSubstr("nosuch"));
  EXPECT_ERROR((monitor->OpenMap<int, int>("knp_cpu").status()), IsInvalidArgument, HasSubstr("knp_cpu"));
  EXPECT_TRUE(monitor->Finish().ok());
  EXPECT_TRUE(monitor->Finish().ok()) << "twice is no error";
}

// ---- what is told --------------------------------------------------------------------------------------------------

TEST_F(MonitorTest, Events_OfFlowsResetsAndOddFlags_AreToldOnce) {
  auto monitor = Watching();
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(FloodA({.flows = 100, .frames = 1000}).ok());
  FrameSender sender = SenderA();
  const auto tcp = [](unsigned flags, unsigned port) {
    return Join({Ethernet(ETH_P_IP), Ipv4({}, Tcp({.flags = flags, .sport = port}))});
  };
  ASSERT_TRUE(sender.Send(tcp(2, 1001)).ok());
  ASSERT_TRUE(sender.Send(tcp(4, 1001)).ok());  // RST
  ASSERT_TRUE(sender.Send(tcp(0, 1002)).ok());  // null scan
  EXPECT_TRUE(WaitFor(milliseconds(2000), [&] { return !witness_.Events(EventType::kSecurityCandidate).empty(); }));
  EXPECT_EQ(witness_.Events(EventType::kFlowStarted).size(), 102u);
  const auto resets = witness_.Events(EventType::kConnectionReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].source.port, 1001);
  EXPECT_EQ(resets[0].interface, "veth_b");
  EXPECT_EQ(resets[0].source.ip.ToString(), "10.0.0.1");
  EXPECT_NE(resets[0].flow_id, 0u);
  const auto odd = witness_.Events(EventType::kSecurityCandidate);
  ASSERT_EQ(odd.size(), 1u);
  EXPECT_EQ(odd[0].source.port, 1002);
  EXPECT_EQ(odd[0].tcp_flags, 0);
  const auto flows = monitor->GetFlowStats();
  ASSERT_TRUE(flows.ok());
  bool found = false;
  for (const FlowRecord& flow : flows->flows) found |= flow.id == resets[0].flow_id && flow.source.port == 1001;
  EXPECT_TRUE(found || flows->active_flows == 102) << "the event's flow is a flow";
}

// Whoever reads the tables finds flows of which the ring's record has not been read: their events must come all the same.
TEST_F(MonitorTest, Events_WhileSomebodyReadsTheTables_AreAllTold) {
  MonitorOptions options;
  options.events_per_second = 1'000'000;
  options.new_flows_per_second = 1'000'000;
  auto monitor = Create(options);
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(monitor->AttachToInterface("veth_b").ok());
  std::atomic<bool> stop = false;
  std::thread asking([&] {
    while (!stop) EXPECT_TRUE(monitor->GetPacketStats().ok());
  });
  EXPECT_TRUE(FloodA({.flows = 20'000, .frames = 20'000, .frames_per_second = 20'000}).ok());
  stop = true;
  asking.join();
  ASSERT_TRUE(monitor->Finish().ok());
  const auto stats = monitor->GetPacketStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->events_suppressed + stats->events_lost, 0u);
  EXPECT_EQ(witness_.Events(EventType::kFlowStarted).size(), 20'000u);
}

TEST_F(MonitorTest, EventRate_Limited_TheRestIsCountedAndFlowsAreExact) {
  MonitorOptions options;
  options.events_per_second = 200;
  options.new_flows_per_second = 0;  // no other budget than that
  auto monitor = Watching(options);
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(FloodA({.flows = 20'000, .frames = 20'000, .frames_per_second = 20'000}).ok());
  ASSERT_TRUE(monitor->Finish().ok());
  const auto stats = monitor->GetPacketStats();
  ASSERT_TRUE(stats.ok());
  const std::size_t told = witness_.Events(EventType::kFlowStarted).size();
  EXPECT_EQ(told + stats->events_suppressed + stats->events_lost, 20'000u);
  EXPECT_GE(told, 10u);
  EXPECT_LE(told, 200u * 3);  // about one second, and what was saved up
  EXPECT_EQ(stats->total.in_flows.packets, 20'000u);
  EXPECT_TRUE(stats->total.Balanced());
}

TEST_F(MonitorTest, PortScan_TwentyPortsInASecond_IsOneAlertOpenedUpdatedClosed) {
  auto monitor = Watching();
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(monitor->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 10).ok());
  FrameSender sender = SenderA();
  const auto probe = [&](unsigned port) {
    return sender.Send(Join({Ethernet(ETH_P_IP), Ipv4({}, Tcp({.flags = 2, .sport = 50000, .dport = port}))})).ok();
  };
  for (unsigned port = 1; port <= 20; port++) ASSERT_TRUE(probe(port));
  ASSERT_TRUE(WaitFor(milliseconds(2000), [&] { return !witness_.Alerts().empty(); })) << "no alert";
  // It goes on, slower: the same attack.
  const auto updated = [&] { return witness_.Alerts().size() > 1; };
  for (unsigned port = 21; port < 60 && !updated(); port++) {
    ASSERT_TRUE(probe(port));
    WaitFor(milliseconds(200), updated);
  }
  ASSERT_TRUE(monitor->Finish().ok());
  const std::vector<Alert> alerts = witness_.Alerts();
  ASSERT_EQ(alerts.size(), 3u);
  EXPECT_EQ(alerts[0].state, AlertState::kOpened);
  EXPECT_EQ(alerts[1].state, AlertState::kUpdated);
  EXPECT_EQ(alerts[2].state, AlertState::kClosed);
  for (const Alert& alert : alerts) {
    EXPECT_EQ(alert.id, alerts[0].id);
    EXPECT_EQ(alert.type, "scan.vertical");
    ASSERT_TRUE(alert.source && alert.target);
    EXPECT_EQ(alert.source->ip.ToString(), "10.0.0.1");
    EXPECT_EQ(alert.target->ip.ToString(), "10.0.0.2");
    EXPECT_GE(alert.rule.observed, 10);
    EXPECT_EQ(alert.rule.threshold, 10);
  }
  EXPECT_EQ(alerts[0].rule.observed, 10);
  EXPECT_GE(alerts[0].packets_seen, 10u);
  EXPECT_GE(alerts[2].distinct_ports, 20u);
}

TEST_F(MonitorTest, PortScan_ClientsAndReplies_RaiseNothing) {
  auto monitor = Watching();
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(monitor->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 10).ok());
  FrameSender from_a = SenderA();
  auto from_b = rig_->RunIn(Side::kB, [] { return FrameSender::Open("veth_b"); });
  ASSERT_TRUE(from_b.ok()) << from_b.status();
  for (unsigned i = 0; i < 60; i++) {
    const auto host = static_cast<std::uint8_t>(10 + i % 40);
    const unsigned port = 30000 + i;
    const Ipv4Header udp_out{.protocol = 17, .source_host = 1, .target_host = host},
        udp_back{.protocol = 17, .source_host = host, .target_host = 1};
    const Ipv4Header tcp_out{.source_host = 1, .target_host = host}, tcp_back{.source_host = host, .target_host = 1};
    // Side b is the client: questions by UDP, answers from port 53; connections to port 443, answered or refused.
    ASSERT_TRUE(from_b->Send(Join({Ethernet(ETH_P_IP), Ipv4(udp_out, Udp(20, port, 53))})).ok());
    ASSERT_TRUE(from_a.Send(Join({Ethernet(ETH_P_IP), Ipv4(udp_back, Udp(90, 53, port))})).ok());
    ASSERT_TRUE(
        from_b->Send(Join({Ethernet(ETH_P_IP), Ipv4(tcp_out, Tcp({.flags = 2, .sport = port, .dport = 443}))})).ok());
    const unsigned answer = i % 2 ? 0x12 : 0x14;  // SYN-ACK, or RST-ACK
    ASSERT_TRUE(
        from_a.Send(Join({Ethernet(ETH_P_IP), Ipv4(tcp_back, Tcp({.flags = answer, .sport = 443, .dport = port}))}))
            .ok());
    // Answers whose question nobody saw.
    const Ipv4Header late{.source_host = host, .target_host = 3};
    ASSERT_TRUE(
        from_a.Send(Join({Ethernet(ETH_P_IP), Ipv4(late, Tcp({.flags = answer, .sport = 443, .dport = port}))})).ok());
  }
  ASSERT_TRUE(monitor->Finish().ok());
  for (const Alert& alert : witness_.Alerts()) ADD_FAILURE() << alert.summary;
  EXPECT_EQ(monitor->GetPacketStats()->total.in_flows.packets, 300u);
}

TEST_F(MonitorTest, Rates_SteadyFlood_AreWhatWasSent) {
  auto monitor = Watching();
  ASSERT_TRUE(monitor);
  const auto sent = FloodA({.flows = 10, .duration = milliseconds(2300), .frames_per_second = 10'000});
  const auto stats = monitor->GetPacketStats();
  ASSERT_TRUE(sent.ok() && stats.ok());
  const InterfaceStats& ours = stats->interfaces.at(0);
  ASSERT_EQ(ours.rates.size(), 3u);
  EXPECT_EQ(ours.rates[0].window_s, 1u);
  EXPECT_NEAR(ours.rates[0].rx_packets_per_second, 10'000, 2000);
  EXPECT_NEAR(ours.rates[0].rx_bytes_per_second, 640'000, 128'000);
  EXPECT_NEAR(ours.rates[1].rx_packets_per_second, static_cast<double>(sent->frames) / sent->seconds, 2000)
      << "over the time that it has";
  EXPECT_EQ(ours.rates[0].tx_packets_per_second, 0);
}

// ---- handlers and threads ------------------------------------------------------------------------------------------

// Fails instead of hanging for ever.
void Within(milliseconds patience, const std::function<void()>& work) {
  std::packaged_task<void()> task(work);
  std::future<void> done = task.get_future();
  std::thread thread(std::move(task));
  if (done.wait_for(patience) != std::future_status::ready) {
    std::fprintf(stderr, "deadlock: not done after %lld ms\n", static_cast<long long>(patience.count()));
    std::abort();
  }
  thread.join();
}

TEST_F(MonitorTest, Handlers_ThatCallTheMonitor_DoNotDeadlock) {
  Within(Patience(milliseconds(30'000)), [this] {
    auto monitor = Watching();
    ASSERT_TRUE(monitor);
    NetworkMonitor* m = monitor.get();
    std::atomic<int> flows = 0, first = 0, second = 0, refused = 0;
    m->SetFlowHandler([&](const FlowRecord&) {
      if (flows++ > 20) return;
      EXPECT_TRUE(m->GetPacketStats().ok());
      EXPECT_TRUE(m->GetFlowStats().ok());
      refused += absl::IsFailedPrecondition(m->StopEventProcessing());
      refused += absl::IsFailedPrecondition(m->Finish());
    });
    m->SetEventHandler([&](const Event&) {
      first++;
      EXPECT_TRUE(m->GetPacketStats().ok());
      EXPECT_EQ(m->ListPrograms().size(), 2u);
      EXPECT_TRUE(m->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 0).ok());
      m->SetEventHandler([&](const Event&) {
        second++;
        m->SetAlertHandler(nullptr);
      });
    });
    ASSERT_TRUE(FloodA({.flows = 200, .frames = 2000, .frames_per_second = 10'000}).ok());
    EXPECT_TRUE(WaitFor(milliseconds(3000), [&] { return second >= 199; })) << second;
    EXPECT_EQ(first, 1) << "a handler that replaced itself is called no more";
    ASSERT_TRUE(m->Finish().ok());
    EXPECT_GE(flows, 200);
    EXPECT_GE(refused, 2);
    EXPECT_TRUE(m->GetPacketStats()->total.Balanced());
  });
}

// Without event processing each question reads all that there is, but not what a flood adds meanwhile.
TEST_F(MonitorTest, PacketStats_NotProcessingUnderFlood_Answers) {
  Within(Patience(milliseconds(60'000)), [this] {
    MonitorOptions options;
    options.table_budget_bytes = TinyTableBytes();  // each packet evicts a flow
    auto monitor = Create(options);
    ASSERT_TRUE(monitor);
    FlowBook book;
    monitor->SetFlowHandler(book.Handler());
    ASSERT_TRUE(monitor->AttachToInterface("veth_b").ok());
    std::atomic<bool> stop = false;
    std::vector<std::thread> floods;
    // An emulator's CPUs share one of the host's: a flood without limit would leave nothing to whoever asks.
    const std::uint64_t rate = Scale() < 1 ? Scaled(100'000, 5000) : 0;
    for (int cpu : {0, 1})
      floods.emplace_back([&, cpu] {
        EXPECT_TRUE(FloodA({.flows = 1'000'000,
                            .frames_per_second = rate,
                            .cpu = cpu % static_cast<int>(UsableCpus().size()),
                            .stop = &stop})
                        .ok());
      });
    std::this_thread::sleep_for(milliseconds(300));
    for (int i = 0; i < 3; i++) {
      const auto start = steady_clock::now();
      EXPECT_TRUE(monitor->GetPacketStats().ok());
      EXPECT_LT(steady_clock::now() - start, Patience(milliseconds(8000)));
    }
    stop = true;
    for (std::thread& flood : floods) flood.join();
    ASSERT_TRUE(monitor->Finish().ok());
    ExpectExact(*monitor->GetPacketStats(), book, "not processing");
  });
}

}  // namespace
}  // namespace knp::test
