// The API's client against a server in this process, from a list to a named endpoint, and everything that goes wrong between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/identity/directory.h"
#include "src/identity/kube/api_source.h"
#include "tests/agent/fake_api_server.h"
#include "tests/agent/kube_json.h"

namespace knp::identity::kube {
namespace {

using knp::testing::FakeApiServer;
using knp::testing::NodeJson;
using knp::testing::OwnedJson;
using knp::testing::PodJson;
using knp::testing::ScriptedAnswer;
using knp::testing::ServiceJson;
using knp::testing::SliceJson;
using knp::testing::TlsIdentity;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr std::uint64_t kLater = 4'000'000'000'000'000'000;  // after every pod's start

bool Eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class KubeApiTest : public ::testing::Test {
 protected:
  KubeApiTest() {
    options_.api.server = server_.url();
    options_.kinds = {ObjectKind::kPod};
    options_.timing.backoff_min = milliseconds(4);
    options_.timing.backoff_max = milliseconds(30);
    options_.timing.refused = milliseconds(40);
    options_.timing.stall = milliseconds(300);
  }
  void Start() {
    auto source = ApiSource::Create(options_);
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
    ASSERT_TRUE(source_->Start(&directory_).ok());
  }
  FeedStatus Feed(ObjectKind kind = ObjectKind::kPod) const {
    return source_->Status().feeds[static_cast<std::size_t>(kind)];
  }
  Endpoint Ask(const std::string& ip, std::uint16_t port = 0) const {
    Endpoint endpoint;
    endpoint.ip = *ParseIpAddress(ip);
    endpoint.port = port;
    directory_.Name(IPPROTO_TCP, kLater, &endpoint);
    return endpoint;
  }
  std::string PodAt(const std::string& ip) const {
    const Endpoint endpoint = Ask(ip);
    return endpoint.identity ? endpoint.identity->pod : "";
  }
  bool Names(const std::string& ip, const std::string& pod) const {
    return Eventually([&] { return PodAt(ip) == pod; });
  }
  bool Watches(std::size_t count) const {
    return Eventually([&] { return Feed().watches >= count && Feed().state == FeedState::kWatching; });
  }

  FakeApiServer server_;
  ApiSource::Options options_;
  Directory directory_;
  std::unique_ptr<ApiSource> source_;
};

TEST_F(KubeApiTest, ListAndWatch_PodsComeAndGo_EndpointsAreNamed) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  Start();
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  ASSERT_TRUE(Watches(1));
  EXPECT_TRUE(source_->Status().Ready());
  server_.Put("pods", "shop/b", PodJson("b", "10.0.0.2"));
  EXPECT_TRUE(Names("10.0.0.2", "b"));
  server_.Delete("pods", "shop/a");
  EXPECT_TRUE(Names("10.0.0.1", ""));
  EXPECT_TRUE(Eventually([&] { return Feed().events == 2 && Feed().objects == 1; }));
  EXPECT_EQ(Feed().errors, 0u) << Feed().last_error;
  EXPECT_EQ(server_.Count("pods", false), 1u);
}

TEST_F(KubeApiTest, AllKinds_AreReadTogether_EndpointHasEverything) {
  options_.kinds = ApiSource::Options().kinds;
  options_.label_keys = {"app"};
  server_.Put("pods", "shop/web-0", PodJson("web-0", "10.0.0.5"));
  server_.Put("nodes", "node-a", NodeJson("node-a", "192.168.0.1", "zone-1"));
  server_.Put("services", "shop/web", ServiceJson("web", "10.96.0.7", 80));
  server_.Put("endpointslices", "shop/web-x", SliceJson("web-x", "web", "10.0.0.5", 8080));
  server_.Put("replicasets", "shop/web-7d4b9c6f5d", OwnedJson("web-7d4b9c6f5d", "Rollout", "web"));
  Start();
  ASSERT_TRUE(Eventually([&] { return source_->Status().Ready(); }));
  const Endpoint pod = Ask("10.0.0.5", 8080);
  ASSERT_TRUE(pod.identity);
  EXPECT_EQ(pod.identity->workload, (Workload{"Rollout", "web"}));
  EXPECT_EQ(pod.identity->zone, "zone-1");
  EXPECT_EQ(pod.service, "web");
  EXPECT_EQ(pod.identity->labels, (std::vector<std::pair<std::string, std::string>>{{"app", "web"}}));
  EXPECT_EQ(Ask("10.96.0.7", 80).service, "web");
  EXPECT_EQ(Ask("192.168.0.1").identity->kind, IdentityKind::kNode);
}

TEST_F(KubeApiTest, List_ManyPagesPacked_AllAreRead) {
  for (int i = 0; i < 25; ++i) {
    const std::string name = fmt::format("p{:02}", i);
    server_.Put("pods", "shop/" + name, PodJson(name, fmt::format("10.0.1.{}", i)));
  }
  server_.SetPage(10);
  Start();
  ASSERT_TRUE(Watches(1));
  EXPECT_EQ(Feed().objects, 25u);
  EXPECT_EQ(PodAt("10.0.1.24"), "p24");
  const auto requests = server_.requests("pods", false);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].query.at("limit"), "500");
  EXPECT_THAT(requests[0].headers.at("accept-encoding"), HasSubstr("gzip"));
  const auto watch = server_.requests("pods", true).at(0);
  EXPECT_EQ(watch.query.at("allowWatchBookmarks"), "true");
  EXPECT_GE(std::stoi(watch.query.at("timeoutSeconds")), 270);
  EXPECT_LE(std::stoi(watch.query.at("timeoutSeconds")), 330);
  EXPECT_EQ(watch.headers.count("accept-encoding"), 0u);
}

TEST_F(KubeApiTest, Watch_EndsOrIsCut_GoesOnWithoutAList) {
  Start();
  ASSERT_TRUE(Watches(1));
  server_.EndWatches("pods");
  ASSERT_TRUE(Watches(2));
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  server_.CutWatches("pods");
  server_.Put("pods", "shop/b", PodJson("b", "10.0.0.2"));  // while nobody watches
  EXPECT_TRUE(Names("10.0.0.2", "b"));
  EXPECT_TRUE(Watches(3));
  EXPECT_EQ(server_.Count("pods", false), 1u);
}

TEST_F(KubeApiTest, Watch_VersionIsCompacted_ListsAnewAndDropsWhatIsGone) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  server_.Put("pods", "shop/b", PodJson("b", "10.0.0.2"));
  Start();
  ASSERT_TRUE(Watches(1));
  server_.Lose("pods", "shop/a");
  server_.Compact();
  EXPECT_EQ(PodAt("10.0.0.1"), "a");
  server_.CutWatches("pods");
  EXPECT_TRUE(Names("10.0.0.1", ""));
  EXPECT_EQ(PodAt("10.0.0.2"), "b");
  EXPECT_EQ(server_.Count("pods", false), 2u);
  EXPECT_TRUE(Eventually([&] { return Feed().lists == 2 && Feed().state == FeedState::kWatching; }));
}

TEST_F(KubeApiTest, Watch_Bookmark_IsWhereTheNextBegins) {
  Start();
  ASSERT_TRUE(Watches(1));
  server_.Compact();
  server_.Bookmark("pods");
  ASSERT_TRUE(Eventually([&] { return Feed().bookmarks == 1; }));
  server_.CutWatches("pods");
  ASSERT_TRUE(Watches(2));
  EXPECT_EQ(server_.Count("pods", false), 1u);  // without the bookmark it would have been too old
}

TEST_F(KubeApiTest, OneKindIsCompacted_OthersAreNotListedAgain) {
  options_.kinds = {ObjectKind::kPod, ObjectKind::kNode, ObjectKind::kService};
  Start();
  ASSERT_TRUE(Watches(1));
  ASSERT_TRUE(Eventually([&] { return Feed(ObjectKind::kNode).watches == 1; }));
  server_.Send("pods", R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
                       "\n");
  ASSERT_TRUE(Eventually([&] { return Feed().lists == 2; }));
  EXPECT_EQ(server_.Count("nodes", false), 1u);
  EXPECT_EQ(server_.Count("services", false), 1u);
}

TEST_F(KubeApiTest, List_ContinueExpires_BeginsAnew) {
  for (const char* name : {"a", "b", "c"}) server_.Put("pods", std::string("shop/") + name, PodJson(name, "10.0.0.1"));
  server_.SetPage(1);
  server_.Answer("pods", false, {200, R"({"metadata":{"resourceVersion":"1","continue":"1~shop/a"},"items":[]})", {}});
  server_.Compact();
  Start();
  ASSERT_TRUE(Watches(1));
  EXPECT_EQ(Feed().objects, 3u);
  EXPECT_EQ(Feed().lists, 1u);
  EXPECT_GE(Feed().errors, 1u);
}

TEST_F(KubeApiTest, Refusals_TextOrStatus_AreWaitedOut) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  server_.Answer("pods", false, {429, "Too many requests, please try again later.\n", {"Content-Type: text/plain"}});
  server_.Answer("pods", false, {503, R"({"kind":"Status","code":503,"message":"not yet"})", {}});
  server_.Answer("pods", false, {504, R"({"code":504,"reason":"Timeout","message":"Too large resource version"})", {}});
  server_.Answer("pods", true, {500, "etcdserver: leader changed", {}});
  Start();
  ASSERT_TRUE(Watches(1));
  EXPECT_EQ(PodAt("10.0.0.1"), "a");
  EXPECT_EQ(Feed().errors, 4u);
  EXPECT_THAT(Feed().last_error, HasSubstr("watch of pods: the server answers 500 etcdserver: leader changed"));
  EXPECT_EQ(server_.Count("pods", false), 4u);
}

TEST_F(KubeApiTest, RetryAfter_OfTheServer_IsHonoured) {
  options_.timing.retry_after_max = milliseconds(200);
  server_.Answer("pods", false, {429, "later", {"Retry-After: 1"}});
  const auto start = std::chrono::steady_clock::now();
  Start();
  ASSERT_TRUE(Watches(1));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(200));
}

TEST_F(KubeApiTest, Forbidden_OneKind_IsOffUntilItIsAllowed) {
  options_.kinds = {ObjectKind::kPod, ObjectKind::kReplicaSet};
  std::mutex mutex;
  int told = 0;
  options_.tell = [&](ObjectKind kind, FeedState state, const std::string&) {
    const std::lock_guard lock(mutex);
    told += kind == ObjectKind::kReplicaSet && state == FeedState::kRefused;
  };
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  for (int i = 0; i < 3; ++i) server_.Answer("replicasets", false, {403, R"({"message":"no","code":403})", {}});
  Start();
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  ASSERT_TRUE(Eventually([&] { return Feed(ObjectKind::kReplicaSet).state == FeedState::kRefused; }));
  EXPECT_TRUE(Eventually([&] { return source_->Status().Ready(); }));
  EXPECT_EQ(Ask("10.0.0.1").identity->workload, (Workload{"Deployment", "web"}));  // from the pod's own label
  ASSERT_TRUE(Eventually([&] { return Feed(ObjectKind::kReplicaSet).state == FeedState::kWatching; }));
  EXPECT_EQ(server_.Count("replicasets", false), 4u);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(told, 1);
}

TEST_F(KubeApiTest, Token_IsReplaced_IsReadAgainWhenRefused) {
  const std::string file = (std::filesystem::temp_directory_path() / fmt::format("knp-token-{}", getpid())).string();
  std::ofstream(file) << "old";
  options_.api.token_file = file;
  server_.RequireToken("old");
  Start();
  ASSERT_TRUE(Watches(1));
  server_.RequireToken("new");
  std::ofstream(file, std::ios::trunc) << "new";
  server_.CutWatches("pods");
  ASSERT_TRUE(Watches(2));
  EXPECT_EQ(server_.Count("pods", true), 3u);
  EXPECT_EQ(server_.requests("pods", true).back().headers.at("authorization"), "Bearer new");
  std::filesystem::remove(file);
}

TEST_F(KubeApiTest, ServerIsAway_KeepsNamesAndComesBackWithoutAList) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  Start();
  ASSERT_TRUE(Watches(1));
  server_.Suspend();
  ASSERT_TRUE(Eventually([&] { return Feed().state == FeedState::kRetrying && Feed().errors >= 4; }));
  EXPECT_EQ(PodAt("10.0.0.1"), "a");
  EXPECT_TRUE(source_->Status().Ready());
  server_.Put("pods", "shop/b", PodJson("b", "10.0.0.2"));
  server_.Resume();
  EXPECT_TRUE(Names("10.0.0.2", "b"));
  EXPECT_EQ(server_.Count("pods", false), 1u);
}

TEST_F(KubeApiTest, ServerIsAwayAtTheStart_IsWaitedFor) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  server_.Suspend();
  Start();
  ASSERT_TRUE(Eventually([&] { return Feed().errors >= 2; }));
  EXPECT_FALSE(source_->Status().Ready());
  EXPECT_THAT(Feed().last_error, HasSubstr("is the API server up"));
  server_.Resume();
  EXPECT_TRUE(Names("10.0.0.1", "a"));
}

TEST_F(KubeApiTest, Answer_HangsOrIsCut_IsGivenUpAndAskedForAgain) {
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  server_.Answer("pods", false, {200, "", {}, false, true});
  server_.Answer("pods", false, {200, R"({"metadata":{"resourceVersion":"1"},"items":[)", {}, true});
  Start();
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  EXPECT_EQ(Feed().errors, 2u);
  EXPECT_EQ(server_.Count("pods", false), 3u);
}

TEST_F(KubeApiTest, Watch_IsSilent_ListsAnew) {
  options_.timing.silence = milliseconds(150);
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  Start();
  ASSERT_TRUE(Watches(1));
  server_.Lose("pods", "shop/a");  // as after a restored etcd: nobody tells
  EXPECT_TRUE(Names("10.0.0.1", ""));
  EXPECT_TRUE(Eventually([&] { return Feed().lists >= 2; }));  // told just after the names
}

TEST_F(KubeApiTest, Watch_NonsenseAndGiants_CostNoMoreThanARestart) {
  options_.max_line = 4096;
  Start();
  ASSERT_TRUE(Watches(1));
  server_.Send("pods", "this is no JSON\n");
  ASSERT_TRUE(Watches(2));
  server_.Send("pods", std::string(10'000, 'x'));
  ASSERT_TRUE(Eventually([&] { return Feed().errors == 2; }));
  ASSERT_TRUE(Watches(3));
  server_.Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
  EXPECT_TRUE(Names("10.0.0.1", "a"));
}

TEST_F(KubeApiTest, PodsOfOneNode_AreSelectedByTheServer) {
  options_.pods_of_node = "node-a";
  Start();
  ASSERT_TRUE(Watches(1));
  EXPECT_EQ(server_.requests("pods", false).at(0).query.at("fieldSelector"), "spec.nodeName=node-a");
  EXPECT_EQ(server_.requests("pods", true).at(0).query.at("fieldSelector"), "spec.nodeName=node-a");
}

TEST_F(KubeApiTest, Stop_WhileWaitingOrWatching_IsQuick) {
  Start();
  ASSERT_TRUE(Watches(1));
  const auto start = std::chrono::steady_clock::now();
  source_->Stop();
  source_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_FALSE(source_->Start(&directory_).ok());
}

class KubeTlsTest : public KubeApiTest {
 protected:
  void StartWith(const TlsIdentity& identity, const std::string& ca, const std::string& name = "") {
    secure_ = std::make_unique<FakeApiServer>(&identity);
    secure_->Put("pods", "shop/a", PodJson("a", "10.0.0.1"));
    options_.api.server = secure_->url();
    options_.api.ca.pem = ca;
    options_.api.server_name = name;
    Start();
  }
  void TearDown() override { source_.reset(); }
  std::unique_ptr<FakeApiServer> secure_;
};

TEST_F(KubeTlsTest, Server_OfTheConfiguredCa_IsTrusted) {
  const TlsIdentity identity;
  StartWith(identity, identity.ca_pem());
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  secure_->CutWatches("pods");
  secure_->Put("pods", "shop/b", PodJson("b", "10.0.0.2"));
  EXPECT_TRUE(Names("10.0.0.2", "b"));
  source_.reset();
  secure_.reset();
}

TEST_F(KubeTlsTest, Server_OfAnotherCa_IsNot) {
  const TlsIdentity identity, other;
  StartWith(identity, other.ca_pem());
  ASSERT_TRUE(Eventually([&] { return Feed().errors > 0; }));
  EXPECT_THAT(Feed().last_error, HasSubstr("none of the configured CA's"));
  EXPECT_EQ(PodAt("10.0.0.1"), "");
  source_.reset();
  secure_.reset();
}

TEST_F(KubeTlsTest, Server_OfAnotherName_IsTrustedByTheNameThatIsAskedFor) {
  const TlsIdentity identity("DNS:kubernetes");
  StartWith(identity, identity.ca_pem(), "kubernetes");
  EXPECT_TRUE(Names("10.0.0.1", "a"));
  source_.reset();
  secure_.reset();
}

}  // namespace
}  // namespace knp::identity::kube
