// --set detectors.…: every key stores what it names in a field of its own; limits and suppressions as they are written.
#include "src/cli/detection_settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "src/cli/settings.h"

namespace knp::cli {
namespace {

using ::testing::HasSubstr;

struct Applied {
  MonitorOptions options;
  std::uint64_t ports = 0;
  absl::Status status;
};

Applied Apply(const std::string& assignment) {
  Applied applied;
  applied.status = ApplySetting(assignment, {applied.options, applied.ports});
  return applied;
}

// Everything that a key can change, as one comparable text.
std::string TextOf(const Applied& applied) {
  const DetectionOptions& d = applied.options.detection;
  const auto& [scan_enabled, ports, hosts, pinged, d_ports, d_sources, s_ports, s_hosts, window, shared] = d.scan;
  const auto& [flood_enabled, syn, ack, udp, icmp, fragments, amplification, reflection, other, slow] = d.flood;
  const auto& [rules, average, hysteresis] = d.limits;
  const auto& [internal, new_peer, learning, volume, factor, floor, history, failures, per_minute, half_open, beacon,
               connections, score, beacon_long, tunnel, subdomains, long_connection, file, odd] = d.anomaly;
  std::string text;
  for (const double value : {double(scan_enabled),
                             double(ports),
                             double(hosts),
                             double(pinged),
                             double(d_ports),
                             double(d_sources),
                             double(s_ports),
                             double(s_hosts),
                             double(window.count()),
                             double(shared.size()),
                             double(flood_enabled),
                             double(syn),
                             double(ack),
                             double(udp),
                             double(icmp),
                             double(fragments),
                             double(amplification),
                             double(reflection),
                             double(other),
                             double(slow),
                             double(rules.size()),
                             double(average.count()),
                             hysteresis,
                             double(internal.size()),
                             double(new_peer),
                             double(learning.count()),
                             double(volume),
                             factor,
                             double(floor),
                             double(history),
                             double(failures),
                             double(per_minute),
                             double(half_open),
                             double(beacon),
                             double(connections),
                             score,
                             double(beacon_long.count()),
                             double(tunnel),
                             double(subdomains),
                             double(long_connection.count()),
                             double(file.size()),
                             double(odd),
                             double(d.suppress.size()),
                             double(d.max_open_alerts),
                             double(d.cool_down.count()),
                             double(d.update_interval.count()),
                             double(d.enabled),
                             double(applied.ports)})
    text += std::to_string(value) + " ";
  return text;
}

TEST(DetectionSettings, EachKey_ChangesAFieldOfItsOwn) {
  const std::map<std::string, std::string> values{{"detectors.anomaly.internal_networks", "198.51.100.0/24"},
                                                  {"detectors.anomaly.known_bad_file", "/etc/bad"},
                                                  {"detectors.limits", "10.0.0.0/8:packets=1"},
                                                  {"detectors.scan.shared_sources", "10.0.0.1,10.0.0.2"},
                                                  {"detectors.suppress", "any"}};
  std::vector<std::string> made{TextOf(Applied())};
  std::size_t count = 0;
  for (const std::string& key : SettingKeys()) {
    if (!key.starts_with("detectors.")) continue;
    count++;
    const auto value = values.find(key);
    std::vector<std::string> candidates{"7", "0.5", "17", "1m7s", "on", "off"};
    if (value != values.end()) candidates = {value->second};
    std::string text;
    for (const std::string& candidate : candidates) {
      const Applied applied = Apply(fmt::format("{}={}", key, candidate));
      if (!applied.status.ok() || TextOf(applied) == made[0]) continue;
      text = TextOf(applied);
      break;
    }
    ASSERT_FALSE(text.empty()) << key << " stores nothing";
    for (const std::string& other : made) EXPECT_NE(text, other) << key;
    made.push_back(text);
  }
  EXPECT_EQ(count, 48u) << "as many as there are fields: see TextOf";
}

TEST(DetectionSettings, OutOfRange_Refused) {
  for (const std::string assignment :
       {"detectors.anomaly.beacon.connections=3", "detectors.anomaly.beacon.connections=65",
        "detectors.anomaly.beacon.score=1.1", "detectors.anomaly.dns_tunnel.subdomains=0",
        "detectors.anomaly.volume.history=121", "detectors.anomaly.new_peer.learning=10ms", "detectors.enabled=yes",
        "detectors.max_open_alerts=0", "detectors.limit_hysteresis=2", "detectors.anomaly.known_bad_file=",
        "detectors.anomaly.internal_networks=10.0.0.0/8,,", "detectors.scan.window=10ms"})
    EXPECT_EQ(Apply(assignment).status.code(), absl::StatusCode::kInvalidArgument) << assignment;
}

TEST(DetectionSettings, UnknownKey_NearestNamed) {
  EXPECT_THAT(Apply("detectors.anomaly.beacon.enable=off").status.message(),
              HasSubstr("did you mean detectors.anomaly.beacon.enabled?"));
  EXPECT_THAT(Apply("detectors.supress=any").status.message(), HasSubstr("did you mean detectors.suppress?"));
}

TEST(DetectionSettings, Repeated_Added) {
  Applied applied;
  const SettingTargets targets{applied.options, applied.ports};
  for (const char* assignment :
       {"detectors.limits=10.0.0.0/8:flows=5", "detectors.limits=fd00::/8:bits=1M", "detectors.suppress=scan",
        "detectors.suppress=ddos.syn", "detectors.anomaly.internal_networks=192.0.2.0/24",
        "detectors.anomaly.internal_networks=198.51.100.0/24,203.0.113.0/24"})
    ASSERT_TRUE(ApplySetting(assignment, targets).ok()) << assignment;
  EXPECT_EQ(applied.options.detection.limits.rules.size(), 2u);
  EXPECT_EQ(applied.options.detection.suppress.size(), 2u);
  EXPECT_EQ(applied.options.detection.anomaly.internal_networks.size(), 3u);
}

TEST(ParseLimit, AllParts_Stored) {
  const auto rule = ParseLimit("10.0.0.0/8:packets=20000,bits=1G,flows=3500,whole");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->prefix.ToString(), "10.0.0.0/8");
  EXPECT_TRUE(rule->whole);
  EXPECT_EQ(rule->packets_per_second, 20'000u);
  EXPECT_EQ(rule->bits_per_second, 1'000'000'000u);
  EXPECT_EQ(rule->flows_per_second, 3500u);
  const auto six = ParseLimit("2001:db8::/32:flows=2K");
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_EQ(six->prefix.ToString(), "2001:db8::/32");
  EXPECT_EQ(six->flows_per_second, 2000u);
  EXPECT_FALSE(six->whole);
}

TEST(ParseLimit, Mistakes_SayWhatIsWrong) {
  const auto error = [](const std::string& text) { return std::string(ParseLimit(text).status().message()); };
  EXPECT_THAT(error("10.0.0.0/8"), HasSubstr("no limit is given"));
  EXPECT_THAT(error("10.0.0.0/8:whole"), HasSubstr("no limit is given"));
  EXPECT_THAT(error("10.0.0.0/99:packets=1"), HasSubstr("10.0.0.0/99"));
  EXPECT_THAT(error("10.0.0.0/8:pakets=1"), HasSubstr("'pakets=1' is none of"));
  EXPECT_THAT(error("10.0.0.0/8:packets=many"), HasSubstr("packets=many"));
  EXPECT_THAT(error("10.0.0.0/8:packets=0"), HasSubstr("from 1 on"));
  EXPECT_THAT(error("10.0.0.0/8:packets="), HasSubstr("from 1 on"));
  EXPECT_THAT(error("10.0.0.0/8:bits=99999999999999999999G"), HasSubstr("from 1 on"));
  EXPECT_THAT(error("10.0.0.0/8:packets=1,"), HasSubstr("'' is none of"));
}

TEST(ParseSuppression, AllParts_Stored) {
  const auto one = ParseSuppression("scan,source=10.0.0.5,source=fd00::/8,target=10.1.0.0/16");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->type, "scan");
  EXPECT_EQ(one->source.size(), 2u);
  EXPECT_EQ(one->target.size(), 1u);
  const auto any = ParseSuppression("any,source=10.0.0.5");
  ASSERT_TRUE(any.ok());
  EXPECT_EQ(any->type, "");
}

TEST(ParseSuppression, Mistakes_SayWhatIsWrong) {
  const auto error = [](const std::string& text) { return std::string(ParseSuppression(text).status().message()); };
  EXPECT_THAT(error("scan.vertcal"), HasSubstr("did you mean scan.vertical?"));
  EXPECT_THAT(error("zzzzzzzzzzzzzz"), HasSubstr("anomaly.beacon"));
  EXPECT_THAT(error(""), HasSubstr("there is no alert type"));
  EXPECT_THAT(error("scan,from=10.0.0.1"), HasSubstr("'from=10.0.0.1' is neither"));
  EXPECT_THAT(error("scan,source=host"), HasSubstr("'host' is no address"));
}

}  // namespace
}  // namespace knp::cli
