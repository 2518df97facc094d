// The agent's settings: files, environment, assignments, and what is said of wrong ones.
#include "src/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>

#include "src/agent/config_keys.h"

namespace knp::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(const std::string& yaml) {
  AgentConfig config;
  const absl::Status status = ApplyYaml(yaml, "agent.yaml", &config);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

AgentConfig Taken(const std::string& yaml) {
  AgentConfig config;
  const absl::Status status = ApplyYaml(yaml, "agent.yaml", &config);
  EXPECT_TRUE(status.ok()) << status;
  return config;
}

TEST(AgentConfig, Tree_IsTheKeysOfSettings) {
  const AgentConfig config = Taken(R"(
interfaces: {include: [eth*, "bond0"], exclude: [eth9]}
detectors:
  scan:
    vertical: {ports: 20}
flows:
  capacity: 1000
metrics:
  listen: "[::1]:9000"
json: {output: "-", kinds: [flow, alert]}
limits: {cpu: 0.5, memory: 128MiB}
)");
  EXPECT_THAT(config.interfaces.include, ElementsAre("eth*", "bond0"));
  EXPECT_THAT(config.interfaces.exclude, ElementsAre("eth9"));
  EXPECT_EQ(config.monitor.flow_capacity, 1000u);
  EXPECT_EQ(config.metrics.listen, "[::1]:9000");
  EXPECT_THAT(config.json.kinds, ElementsAre("flow", "alert"));
  EXPECT_EQ(config.limits.cpu, 0.5);
  EXPECT_EQ(config.limits.memory, std::size_t{128} << 20);
}

TEST(AgentConfig, EmptyFileOrHeading_IsFine) {
  Taken("");
  Taken("# nothing\n");
  Taken("detectors:\nflows: {}\n");
}

TEST(AgentConfig, UnknownKey_NamesLineAndTheNearestOne) {
  EXPECT_THAT(ErrorOf("flows:\n  capacty: 7\n"),
              HasSubstr("agent.yaml:2: there is no setting 'flows.capacty'; did you mean flows.capacity?"));
  EXPECT_THAT(ErrorOf("interface: {include: [eth0]}\n"), HasSubstr("interface'; did you mean interfaces."));
}

TEST(AgentConfig, WrongValue_NamesLineKeyAndRange) {
  EXPECT_THAT(ErrorOf("metrics:\n  max_series: many\n"), HasSubstr("agent.yaml:2: metrics.max_series: "));
  EXPECT_THAT(ErrorOf("kubernetes: {enabled: maybe}"), HasSubstr("kubernetes.enabled: must be auto, on or off"));
  EXPECT_THAT(ErrorOf("metrics: {listen: [a, b]}"), HasSubstr("metrics.listen: one value is expected"));
  EXPECT_THAT(ErrorOf("flows: {capacity: {a: b}}"), HasSubstr("flows.capacity"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("must be a map of settings"));
}

TEST(AgentConfig, BrokenYaml_NamesLineAndColumn) {
  EXPECT_THAT(ErrorOf("flows: {capacity: 1\ninterfaces: ["), HasSubstr("agent.yaml:"));
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"), HasSubstr("2 documents"));
}

TEST(AgentConfig, FailedFile_ChangesNothing) {
  AgentConfig config;
  EXPECT_FALSE(ApplyYaml("flows: {capacity: 5}\nflows2: 1\n", "f", &config).ok());
  EXPECT_EQ(config.monitor.flow_capacity, MonitorOptions().flow_capacity);
  EXPECT_TRUE(config.given.empty());
}

TEST(AgentConfig, LaterSource_HasTheLastWord) {
  const std::string path = testing::TempDir() + "knp_agent_config_test.yaml";
  std::ofstream(path) << "flows: {capacity: 5}\nnode: {name: from-file}\nmetrics: {max_series: 500}\n";
  const std::map<std::string, std::string> environment = {{"KNP_FLOWS_CAPACITY", "6"}, {"KNP_NODE_NAME", "from-env"}};
  const auto config = LoadConfig({.path = path,
                                  .assignments = {"flows.capacity=7"},
                                  .environment = [&](const std::string& name) -> std::optional<std::string> {
                                    const auto found = environment.find(name);
                                    if (found == environment.end()) return std::nullopt;
                                    return found->second;
                                  }});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->monitor.flow_capacity, 7u);
  EXPECT_EQ(config->node_name, "from-env");
  EXPECT_EQ(config->metrics.max_series, 500u);
  std::remove(path.c_str());
}

TEST(AgentConfig, FileThatIsNotThere_IsAnErrorOnlyIfNamed) {
  const auto named = LoadConfig({.path = "/nonexistent/agent.yaml", .assignments = {}, .environment = {}});
  EXPECT_TRUE(absl::IsNotFound(named.status()));
  EXPECT_THAT(std::string(named.status().message()), HasSubstr("/nonexistent/agent.yaml"));
}

TEST(AgentConfig, HubbleForOthersWithoutTls_IsRefused) {
  AgentConfig config;
  config.hubble.listen = "0.0.0.0:4244";
  EXPECT_THAT(std::string(CheckConfig(config).message()), HasSubstr("hubble.insecure: on"));
  config.hubble.listen = "127.0.0.1:4244";
  EXPECT_TRUE(CheckConfig(config).ok());
  config.hubble.listen = "0.0.0.0:4244";
  config.hubble.insecure = true;
  EXPECT_TRUE(CheckConfig(config).ok());
  config.hubble.certificate = "c.pem";
  EXPECT_THAT(std::string(CheckConfig(config).message()), HasSubstr("belong together"));
}

TEST(AgentConfig, EveryKey_HasAnEnvironmentNameOfItsOwn) {
  std::map<std::string, std::string> names;
  for (const std::string& key : ConfigKeys()) {
    const auto [at, added] = names.emplace(EnvironmentName(key), key);
    EXPECT_TRUE(added) << key << " and " << at->second;
  }
}

}  // namespace
}  // namespace knp::agent
