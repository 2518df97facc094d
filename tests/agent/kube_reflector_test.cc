// What a reflector asks for next, by what it was answered; time passes by argument.
#include "src/identity/kube/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "tests/agent/kube_json.h"

namespace knp::identity::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs, kUnix = 1'800'000'000 * kSecond;
constexpr char kEmptyList[] = R"({"metadata":{"resourceVersion":"100"},"items":[]})";

class RecordingChanges final : public ChangeSink {
 public:
  void Apply(Change change, std::uint64_t) override { changes.push_back(std::move(change)); }
  void Advance(std::uint64_t) override {}
  std::vector<Change> changes;
};

class KubeReflectorTest : public ::testing::Test {
 protected:
  static Reflector::Options MakeOptions() {
    Reflector::Options options;
    options.max_line = 1000;
    options.max_page = 10000;
    return options;
  }
  // The next request, when it is due.
  Request Next() {
    EXPECT_NE(reflector_.due_ns(), Reflector::kNever);
    waited_ns_ = reflector_.due_ns() > now_ns_ ? reflector_.due_ns() - now_ns_ : 0;
    now_ns_ += waited_ns_;
    return reflector_.Begin(now_ns_, kUnix);
  }
  void Answer(int status, const std::string& body, const std::string& error = "", std::uint64_t retry_after_s = 0) {
    reflector_.OnHead(status, retry_after_s, now_ns_, kUnix);
    if (body.empty() || reflector_.OnBody(body, now_ns_, kUnix))
      reflector_.OnEnd(error, now_ns_, kUnix);
    else
      reflector_.OnEnd("given up", now_ns_, kUnix);
  }
  void ListAndWatch() {
    Next();
    Answer(200, kEmptyList);
    EXPECT_TRUE(Next().watch);
  }
  static std::string ErrorEvent(int code, const std::string& reason) {
    return fmt::format(R"({{"type":"ERROR","object":{{"kind":"Status","code":{},"reason":"{}","message":"m"}}}})", code,
                       reason) +
           "\n";
  }
  static std::string Bookmark(int version) {
    return fmt::format(R"({{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{}"}}}}}})", version) + "\n";
  }

  Decoder decoder_;
  RecordingChanges sink_;
  Reflector reflector_{ObjectKind::kPod, MakeOptions(), &decoder_, &sink_};
  std::uint64_t now_ns_ = 1000 * kSecond;
  std::uint64_t waited_ns_ = 0;
};

TEST_F(KubeReflectorTest, List_TwoPages_ThenAWatchFromTheirVersion) {
  EXPECT_EQ(Next().target, "/api/v1/pods?limit=500");
  Answer(200, R"({"metadata":{"resourceVersion":"100","continue":"a/b="},"items":[]})");
  EXPECT_EQ(Next().target, "/api/v1/pods?limit=500&continue=a%2Fb%3D");
  EXPECT_FALSE(reflector_.status().complete);
  Answer(200, kEmptyList);
  EXPECT_TRUE(reflector_.status().complete);
  const Request watch = Next();
  EXPECT_THAT(watch.target, AllOf(HasSubstr("watch=true"), HasSubstr("resourceVersion=100"),
                                  HasSubstr("allowWatchBookmarks=true"), HasSubstr("timeoutSeconds=")));
  EXPECT_EQ(waited_ns_, 0u);
  ASSERT_EQ(sink_.changes.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<SnapshotBegun>(sink_.changes[0]));
  EXPECT_TRUE(std::holds_alternative<SnapshotDone>(sink_.changes[1]));
}

TEST_F(KubeReflectorTest, Watch_EventsInPieces_AreTakenByLines) {
  ListAndWatch();
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  const std::string line = R"({"type":"DELETED","object":{"metadata":{"name":"a","resourceVersion":"101"}}})";
  EXPECT_TRUE(reflector_.OnBody(line.substr(0, 20), now_ns_, kUnix));
  EXPECT_TRUE(reflector_.OnBody(line.substr(20) + "\n\n" + line + "\n" + line.substr(0, 9), now_ns_, kUnix));
  EXPECT_EQ(reflector_.status().events, 2u);
  reflector_.OnEnd("", now_ns_, kUnix);
  EXPECT_THAT(Next().target, HasSubstr("resourceVersion=101"));
  EXPECT_LT(waited_ns_, kSecond);
  EXPECT_EQ(reflector_.status().errors, 0u);
}

TEST_F(KubeReflectorTest, Watch_IsCut_GoesOnFromTheLastBookmark) {
  ListAndWatch();
  Answer(200, Bookmark(150) + R"({"type":"AD)", "the connection was cut");
  const Request again = Next();
  EXPECT_TRUE(again.watch);
  EXPECT_THAT(again.target, HasSubstr("resourceVersion=150"));
  EXPECT_EQ(reflector_.status().errors, 1u);
  EXPECT_EQ(reflector_.status().lists, 1u);
}

TEST_F(KubeReflectorTest, Watch_VersionIsGone_ListsAnewAfterAWait) {
  ListAndWatch();
  Answer(200, ErrorEvent(410, "Expired"));
  EXPECT_FALSE(Next().watch);
  EXPECT_GE(waited_ns_, kSecond / 2);
  Answer(200, kEmptyList);
  EXPECT_TRUE(Next().watch);
  Answer(410, "Gone");
  EXPECT_FALSE(Next().watch);
  EXPECT_GE(waited_ns_, kSecond);  // it waits longer each time until a watch says something
}

TEST_F(KubeReflectorTest, Watch_ErrorEventsOf500_ListsAnewAfterTheSecond) {
  ListAndWatch();
  Answer(200, ErrorEvent(500, "InternalError"));
  EXPECT_TRUE(Next().watch);
  Answer(200, ErrorEvent(504, "Timeout"));
  EXPECT_FALSE(Next().watch);
}

TEST_F(KubeReflectorTest, Watch_BadVersion_ListsAnew) {
  ListAndWatch();
  Answer(400, "bad");  // as 1.36 says it
  EXPECT_FALSE(Next().watch);
  Answer(200, kEmptyList);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Next().watch);
    Answer(500, "bad");  // as 1.25 does
  }
  EXPECT_FALSE(Next().watch);
}

TEST_F(KubeReflectorTest, Watch_VersionIsTooLarge_ListsAnew) {
  ListAndWatch();
  Answer(
      504,
      R"({"code":504,"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1}})");
  EXPECT_FALSE(Next().watch);
  EXPECT_GE(waited_ns_, kSecond);
}

TEST_F(KubeReflectorTest, Watch_SaysNothingForTooLong_ListsAnew) {
  ListAndWatch();
  const std::uint64_t began_ns = now_ns_;
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  now_ns_ += 300 * kSecond;
  reflector_.OnEnd("", now_ns_, kUnix);  // the server's own timeout
  EXPECT_TRUE(Next().watch);
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  EXPECT_LE(reflector_.deadline_ns(), began_ns + 361 * kSecond);
  now_ns_ = reflector_.deadline_ns();
  reflector_.OnEnd("nothing has come for too long", now_ns_, kUnix);
  EXPECT_FALSE(Next().watch);
}

TEST_F(KubeReflectorTest, Watch_ServerIsAway_GoesOnFromWhereItWasHoweverLong) {
  ListAndWatch();
  Answer(200, Bookmark(150));
  std::uint64_t longest_ns = 0;
  for (int i = 0; i < 40; ++i) {
    const Request again = Next();
    longest_ns = std::max(longest_ns, waited_ns_);
    EXPECT_THAT(again.target, HasSubstr("resourceVersion=150"));
    reflector_.OnEnd("connection refused", now_ns_, kUnix);
    EXPECT_EQ(reflector_.status().state, FeedState::kRetrying);
  }
  EXPECT_LE(longest_ns, 60 * kSecond);
  EXPECT_GE(longest_ns, 30 * kSecond);
  EXPECT_TRUE(reflector_.status().complete);
}

TEST_F(KubeReflectorTest, Watch_BookmarksComeButNothingElse_IsTrusted) {
  ListAndWatch();
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  for (int i = 0; i < 20; ++i) {
    now_ns_ += 60 * kSecond;
    EXPECT_GT(reflector_.deadline_ns(), now_ns_);
    reflector_.OnBody(Bookmark(200 + i), now_ns_, kUnix);
  }
  EXPECT_EQ(reflector_.status().bookmarks, 20u);
  EXPECT_EQ(reflector_.status().events, 0u);
}

TEST_F(KubeReflectorTest, Watch_EventIsTooLarge_TriesOnceAndListsAnew) {
  ListAndWatch();
  Answer(200, std::string(2000, 'x'));
  EXPECT_THAT(reflector_.status().last_error, HasSubstr("larger than 1000 bytes"));
  EXPECT_TRUE(Next().watch);
  Answer(200, "{\"type\":\"ADDED\"" + std::string(2000, ' ') + "}\n");
  EXPECT_FALSE(Next().watch);
}

TEST_F(KubeReflectorTest, Watch_EndsAtOnce_IsNotAskedForInALoop) {
  ListAndWatch();
  Answer(200, "");
  Next();
  EXPECT_GE(waited_ns_, kSecond / 2);
}

TEST_F(KubeReflectorTest, Watch_ObjectMakesNoSense_IsPassed) {
  ListAndWatch();
  Answer(200, R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"120"}}})"
              "\n");
  EXPECT_EQ(reflector_.status().errors, 1u);
  EXPECT_THAT(reflector_.status().last_error, HasSubstr("Pod: metadata.uid is missing"));
  EXPECT_THAT(Next().target, HasSubstr("resourceVersion=120"));
}

TEST_F(KubeReflectorTest, TooManyRequests_RetryAfterIsHonoured) {
  Next();
  Answer(429, "Too many requests, please try again later.\n", "", 7);
  EXPECT_THAT(reflector_.status().last_error, HasSubstr("429 Too many requests"));
  Next();
  EXPECT_GE(waited_ns_, 7 * kSecond);
  Answer(429, "x", "", 1'000'000'000);
  Next();
  EXPECT_LE(waited_ns_, 302 * kSecond);
  Answer(503, "");
  Next();
  EXPECT_LE(waited_ns_, 4 * kSecond);
}

TEST_F(KubeReflectorTest, List_ContinueExpires_BeginsAnewThenAsksForAllAtOnce) {
  const std::string first = R"({"metadata":{"resourceVersion":"100","continue":"c"},"items":[]})";
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Next().target, "/api/v1/pods?limit=500");
    Answer(200, first);
    EXPECT_THAT(Next().target, HasSubstr("continue=c"));
    Answer(410, R"({"kind":"Status","metadata":{"continue":"fresh"},"reason":"Expired","code":410})");
  }
  EXPECT_EQ(Next().target, "/api/v1/pods");
  Answer(200, kEmptyList);
  EXPECT_TRUE(Next().watch);
}

TEST_F(KubeReflectorTest, List_PageIsCut_IsAskedForAgain) {
  Next();
  Answer(200, R"({"metadata":{"resourceVersion":"100","continue":"c"},"items":[]})");
  Next();
  Answer(200, R"({"metadata":)", "the connection was cut");
  EXPECT_THAT(Next().target, HasSubstr("continue=c"));
  Answer(200, "<html>a proxy's page</html>");
  EXPECT_THAT(reflector_.status().last_error, HasSubstr("no JSON"));
  EXPECT_THAT(Next().target, Not(HasSubstr("continue")));
}

TEST_F(KubeReflectorTest, List_PageIsTooLarge_PagesBecomeSmaller) {
  Next();
  Answer(200, std::string(20000, ' '));
  EXPECT_EQ(Next().target, "/api/v1/pods?limit=250");
}

TEST_F(KubeReflectorTest, Forbidden_IsRefusedAndAskedAgainSeldom) {
  Next();
  Answer(403,
         R"({"kind":"Status","message":"pods is forbidden: User \"x\" cannot list","reason":"Forbidden","code":403})");
  EXPECT_EQ(reflector_.status().state, FeedState::kRefused);
  EXPECT_THAT(reflector_.status().last_error, AllOf(HasSubstr("pods is forbidden"), HasSubstr("docs/identity.md")));
  Next();
  EXPECT_GE(waited_ns_, 600 * kSecond);
  EXPECT_EQ(reflector_.status().state, FeedState::kRefused);
  Answer(200, kEmptyList);
  Next();
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  EXPECT_EQ(reflector_.status().state, FeedState::kWatching);
}

TEST_F(KubeReflectorTest, Unauthorized_TriesOnceAtOnceThenWaits) {
  Next();
  EXPECT_FALSE(reflector_.unauthorized());
  Answer(401, "Unauthorized");
  EXPECT_TRUE(reflector_.unauthorized());
  Next();
  EXPECT_EQ(waited_ns_, 0u);
  Answer(401, "Unauthorized");
  Next();
  EXPECT_GE(waited_ns_, kSecond / 2);
  Answer(200, kEmptyList);
  EXPECT_FALSE(reflector_.unauthorized());
}

TEST_F(KubeReflectorTest, Deadline_NoAnswer_IsGivenUp) {
  EXPECT_EQ(reflector_.deadline_ns(), Reflector::kNever);
  Next();
  EXPECT_EQ(reflector_.deadline_ns(), now_ns_ + 30 * kSecond);
  now_ns_ += 20 * kSecond;
  reflector_.OnHead(200, 0, now_ns_, kUnix);
  EXPECT_EQ(reflector_.deadline_ns(), now_ns_ + 30 * kSecond);
}

TEST(KubeReflector, OwnersOnly_AskForMetadata) {
  Decoder decoder;
  RecordingChanges sink;
  Reflector reflector(ObjectKind::kReplicaSet, {}, &decoder, &sink);
  const Request request = reflector.Begin(1, kUnix);
  EXPECT_EQ(request.target, "/apis/apps/v1/replicasets?limit=500");
  EXPECT_THAT(request.accept, HasSubstr("PartialObjectMetadataList"));
}

}  // namespace
}  // namespace knp::identity::kube
