// The policy of drops: which alerts lead to one, and whom they name. And which options are refused.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "src/datapath/mitigation.h"
#include "src/monitor/mitigator.h"

namespace knp::monitor {
namespace {

IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }

Alert Raised(const std::string& type, const std::string& severity, const std::string& source) {
  Alert alert;
  alert.id = "01ALERT";
  alert.type = type;
  alert.severity = severity;
  if (!source.empty()) alert.source = Endpoint{.ip = Ip(source)};
  return alert;
}

Alert Spread(const std::string& type, std::size_t named, std::uint64_t distinct) {
  Alert alert = Raised(type, "critical", "");
  for (std::size_t i = 0; i < named; i++) alert.evidence_sources.push_back(Ip("192.0.2." + std::to_string(i + 1)));
  alert.distinct_sources = distinct;
  return alert;
}

std::size_t Drops(const Alert& alert, const MitigationOptions& options = {}) {
  return SourcesToDrop(alert, options).size();
}

TEST(MitigationPolicy, OneSource_GraveScanOrAnyFlood_IsDropped) {
  for (const std::string severity : {"high", "critical"}) {
    EXPECT_EQ(SourcesToDrop(Raised("scan.vertical", severity, "192.0.2.1"), {}), std::vector{Ip("192.0.2.1")});
    EXPECT_EQ(SourcesToDrop(Raised("ddos.syn", severity, "2001:db8::1"), {}), std::vector{Ip("2001:db8::1")});
  }
  EXPECT_EQ(Drops(Raised("ddos.udp", "medium", "192.0.2.1")), 1u);
  EXPECT_EQ(Drops(Raised("scan.vertical", "medium", "192.0.2.1")), 0u);
  EXPECT_EQ(Drops(Raised("scan.vertical", "low", "192.0.2.1")), 0u);
  EXPECT_EQ(Drops(Raised("scan.vertical", "unheard of", "192.0.2.1")), 0u);
}

TEST(MitigationPolicy, MinSeverity_Lowered_LetsLesserScansDrop) {
  MitigationOptions options;
  options.min_severity = "medium";
  EXPECT_EQ(Drops(Raised("scan.vertical", "medium", "192.0.2.1"), options), 1u);
  EXPECT_EQ(Drops(Raised("scan.vertical", "low", "192.0.2.1"), options), 0u);
}

TEST(MitigationPolicy, ForgedOrManySources_NothingIsDropped) {
  EXPECT_EQ(Drops(Raised("ddos.syn", "critical", "")), 0u);
  EXPECT_EQ(Drops(Spread("ddos.syn", 16, 50'000)), 0u) << "sixteen of fifty thousand";
  EXPECT_EQ(Drops(Spread("ddos.syn", 4, 5)), 0u) << "one is not named";
  EXPECT_EQ(Drops(Spread("ddos.syn", 4, 0)), 0u) << "nobody counted them";
  EXPECT_EQ(Drops(Spread("ddos.syn", 9, 9)), 0u) << "more than max_sources_per_alert";
}

TEST(MitigationPolicy, FewSourcesAllNamed_AreDropped) {
  EXPECT_EQ(Drops(Spread("ddos.udp", 8, 8)), 8u);
  MitigationOptions single;
  single.max_sources_per_alert = 0;
  EXPECT_EQ(Drops(Spread("ddos.udp", 1, 1), single), 0u);
}

TEST(MitigationPolicy, ReflectedTraffic_ReflectorsAreNotDropped) {
  EXPECT_EQ(Drops(Raised("ddos.amplification", "critical", "192.0.2.53")), 0u);
  EXPECT_EQ(Drops(Raised("ddos.reflection", "critical", "192.0.2.53")), 0u);
  EXPECT_EQ(Drops(Spread("ddos.amplification", 2, 2)), 0u);
}

TEST(MitigationPolicy, DistributedScan_SourcesMayBeDecoysAndAreNotDropped) {
  EXPECT_EQ(Drops(Spread("scan.distributed", 5, 5)), 0u);
  EXPECT_EQ(Drops(Raised("scan.distributed", "critical", "192.0.2.1")), 0u);
}

TEST(MitigationPolicy, AnomaliesAndClosedAlerts_NothingIsDropped) {
  EXPECT_EQ(Drops(Raised("anomaly.known_bad", "critical", "192.0.2.1")), 0u);
  EXPECT_EQ(Drops(Raised("", "critical", "192.0.2.1")), 0u);
  Alert over = Raised("ddos.syn", "critical", "192.0.2.1");
  over.state = AlertState::kClosed;
  EXPECT_EQ(Drops(over), 0u);
}

TEST(MitigationOptions, OutOfRange_AreRefusedByName) {
  using std::chrono::milliseconds;
  const auto check = [](auto change, const std::string& name) {
    MitigationOptions options;
    change(options);
    const absl::Status status = datapath::CheckMitigationOptions(options);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_NE(status.message().find("mitigation." + name + " must be"), std::string::npos) << status;
  };
  EXPECT_TRUE(datapath::CheckMitigationOptions({}).ok());
  check([](MitigationOptions& o) { o.max_rules = 0; }, "max_rules");
  check([](MitigationOptions& o) { o.max_rules = 4097; }, "max_rules");
  check([](MitigationOptions& o) { o.duration = milliseconds(600'001); }, "duration");
  check([](MitigationOptions& o) { o.duration = milliseconds(999); }, "duration");
  check([](MitigationOptions& o) { o.max_duration = milliseconds(3'600'001); }, "max_duration");
  check([](MitigationOptions& o) { o.packets_per_second = 0; }, "packets_per_second");
  check([](MitigationOptions& o) { o.allow.assign(9000, Prefix{}); }, "allow");
}

}  // namespace
}  // namespace knp::monitor
