// JSON lines as a sink: into a file, rotated, filtered, with chosen fields.
#include "src/export/json/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace knp::exporting {
namespace {

using testing::HasSubstr;

FlowRecord Flow(std::uint64_t id, const char* space) {
  FlowRecord flow;
  flow.id = id;
  flow.protocol = IPPROTO_TCP;
  flow.final = id % 2 == 0;
  flow.source = {.ip = *ParseIpAddress("10.0.0.1"), .port = 4000};
  flow.destination = {.ip = *ParseIpAddress("10.0.0.2"), .port = 80};
  auto identity = std::make_shared<Identity>();
  identity->namespace_name = space;
  identity->pod = "web-1";
  identity->workload = {.kind = "Deployment", .name = "web"};
  identity->labels = {{"app", "we\"b"}};
  flow.source.identity = identity;
  return flow;
}

class JsonFileTest : public testing::Test {
 protected:
  JsonFileTest() { std::filesystem::create_directories(directory_); }
  ~JsonFileTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name = "flows.json") const { return directory_ + "/" + name; }
  static std::string Text(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static std::vector<nlohmann::json> Lines(const std::string& path) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  const std::string directory_ =
      testing::TempDir() + "knp_json_file_" + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(JsonFileTest, Flow_HasItsIdentity) {
  auto sink = MakeJsonFile({.output = Path()});
  ASSERT_TRUE(sink.ok()) << sink.status();
  (*sink)->OnFlow(Flow(1, "shop"));
  (*sink)->Close();
  const auto lines = Lines(Path());
  ASSERT_EQ(lines.size(), 1u);
  const auto& source = lines[0]["source"];
  EXPECT_EQ(source["namespace"], "shop");
  EXPECT_EQ(source["pod"], "web-1");
  EXPECT_EQ(source["workload"]["kind"], "Deployment");
  EXPECT_EQ(source["labels"]["app"], "we\"b");
  EXPECT_FALSE(lines[0]["destination"].contains("namespace"));
  EXPECT_EQ((*sink)->Counters().delivered, 1u);
}

TEST_F(JsonFileTest, Filters_AllHaveToMatch) {
  auto sink = MakeJsonFile({.output = Path(), .filters = {"source.namespace=sh*", "destination.port!=443"}});
  ASSERT_TRUE(sink.ok()) << sink.status();
  (*sink)->OnFlow(Flow(1, "shop"));
  (*sink)->OnFlow(Flow(2, "bank"));
  FlowRecord tls = Flow(3, "shop");
  tls.destination.port = 443;
  (*sink)->OnFlow(tls);
  (*sink)->Close();
  const auto lines = Lines(Path());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["id"], "1");
}

TEST_F(JsonFileTest, Fields_AreAllThatIsWritten) {
  auto sink = MakeJsonFile({.output = Path(), .fields = {"source.ip", "sent", "nothing"}});
  ASSERT_TRUE(sink.ok()) << sink.status();
  (*sink)->OnFlow(Flow(1, "shop"));
  (*sink)->Close();
  EXPECT_EQ(Text(Path()),
            "{\"kind\":\"flow\",\"source\":{\"ip\":\"10.0.0.1\"},\"sent\":{\"packets\":0,\"bytes\":0}}\n");
}

TEST_F(JsonFileTest, Kinds_AndFinalFlowsOnly) {
  auto sink = MakeJsonFile({.output = Path(), .kinds = {"flow"}, .final_flows_only = true});
  ASSERT_TRUE(sink.ok()) << sink.status();
  (*sink)->OnAlert({});
  (*sink)->OnFlow(Flow(1, "shop"));
  (*sink)->OnFlow(Flow(2, "shop"));
  (*sink)->Close();
  EXPECT_EQ(Lines(Path()).size(), 1u);
}

TEST_F(JsonFileTest, FullFile_IsPutAsideAndOldOnesGo) {
  auto sink = MakeJsonFile({.output = Path(), .max_file_bytes = 65536, .max_files = 3});
  ASSERT_TRUE(sink.ok()) << sink.status();
  for (std::uint64_t id = 0; id < 3000; id++) (*sink)->OnFlow(Flow(id, "shop"));
  (*sink)->Close();
  EXPECT_TRUE(std::filesystem::exists(Path("flows.json.1")));
  EXPECT_TRUE(std::filesystem::exists(Path("flows.json.2")));
  EXPECT_FALSE(std::filesystem::exists(Path("flows.json.3")));
  for (const char* name : {"flows.json", "flows.json.1", "flows.json.2"})
    EXPECT_FALSE(Lines(Path(name)).empty());  // whole lines
  EXPECT_THAT(Text(Path()), HasSubstr("\"id\":\"2999\""));
}

TEST_F(JsonFileTest, WrongOptions_NameWhatIsWrong) {
  EXPECT_THAT(std::string(MakeJsonFile({.output = Path(), .filters = {"nonsense"}}).status().message()),
              HasSubstr("'nonsense'"));
  const auto nowhere = MakeJsonFile({.output = "/nonexistent/flows.json"});
  EXPECT_THAT(std::string(nowhere.status().message()), HasSubstr("/nonexistent/flows.json"));
}

}  // namespace
}  // namespace knp::exporting
