// The API's JSON to objects, whole and wrong.
#include "src/identity/kube/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>
#include <variant>
#include <vector>

#include "src/identity/kube/decode_object.h"
#include "tests/agent/kube_json.h"
#include "tests/support/expect_error.h"

namespace knp::identity::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

template <class T>
absl::StatusOr<T> Decode(ObjectKind kind, const std::string& json, std::vector<std::string> labels = {}) {
  Decoder decoder(std::move(labels));
  absl::StatusOr<WatchEvent> event = decoder.Event(kind, Event("ADDED", json));
  if (!event.ok()) return event.status();
  if (!event->change.ok()) return event->change.status();
  return std::get<T>(**event->change);
}

TEST(KubeDecode, Pod_AllThatIsKept_IsRead) {
  const absl::StatusOr<Pod> pod =
      Decode<Pod>(ObjectKind::kPod, knp::testing::PodJson("web-0", "10.0.0.5"), {"app", "missing"});
  ASSERT_TRUE(pod.ok()) << pod.status();
  EXPECT_EQ(pod->namespace_name, "shop");
  EXPECT_EQ(pod->name, "web-0");
  EXPECT_EQ(pod->uid, "uid-of-web-0");
  EXPECT_EQ(pod->controller, (Workload{"ReplicaSet", "web-7d4b9c6f5d"}));
  EXPECT_EQ(pod->template_hash, "7d4b9c6f5d");
  EXPECT_EQ(pod->labels, (std::vector<std::pair<std::string, std::string>>{{"app", "web"}}));
  EXPECT_EQ(pod->node, "node-a");
  EXPECT_FALSE(pod->host_network);
  EXPECT_FALSE(pod->ended);
  EXPECT_EQ(pod->addresses, std::vector<IpAddress>{*ParseIpAddress("10.0.0.5")});
  EXPECT_EQ(pod->container_ids, std::vector<std::string>{std::string(64, 'a')});
  EXPECT_EQ(pod->started_unix_ns, 1793520001'000000000u);  // 2026-11-01T08:00:01Z
}

TEST(KubeDecode, Pod_PendingStaticAndEnded_AreRead) {
  const absl::StatusOr<Pod> pending = Decode<Pod>(
      ObjectKind::kPod, R"({"metadata":{"name":"p","namespace":"n","uid":"u","labels":null},"spec":{},"status":{}})");
  ASSERT_TRUE(pending.ok()) << pending.status();
  EXPECT_TRUE(pending->addresses.empty());
  EXPECT_EQ(pending->started_unix_ns, 0u);
  const absl::StatusOr<Pod> fixed = Decode<Pod>(
      ObjectKind::kPod,
      R"({"metadata":{"name":"etcd","namespace":"kube-system","uid":"u","annotations":{"kubernetes.io/config.hash":"abc",)"
      R"("kubernetes.io/config.mirror":"abc"},"ownerReferences":[{"kind":"X","name":"x"},{"kind":"Node","name":"a",)"
      R"("controller":true}]},"spec":{"hostNetwork":true},"status":{"phase":"Succeeded","podIP":"fd00::1","podIPs":)"
      R"([{"ip":"fd00::1"},{"ip":"10.0.0.1"}],"initContainerStatuses":[{"containerID":"cri-o://i"},{}],)"
      R"("ephemeralContainerStatuses":[{"containerID":""}]}})");
  ASSERT_TRUE(fixed.ok()) << fixed.status();
  EXPECT_EQ(fixed->static_uid, "abc");
  EXPECT_EQ(fixed->controller, (Workload{"Node", "a"}));
  EXPECT_TRUE(fixed->host_network);
  EXPECT_TRUE(fixed->ended);
  EXPECT_EQ(fixed->addresses.size(), 2u);
  EXPECT_EQ(fixed->container_ids, std::vector<std::string>{"i"});
}

TEST(KubeDecode, OtherKinds_AllThatIsKept_IsRead) {
  const auto node = Decode<Node>(ObjectKind::kNode, knp::testing::NodeJson("node-a", "192.168.0.1", "zone-1"));
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->zone, "zone-1");
  EXPECT_EQ(node->addresses.size(), 1u);  // not its host name
  const auto slice =
      Decode<EndpointSlice>(ObjectKind::kEndpointSlice, knp::testing::SliceJson("web-x", "web", "10.0.0.5", 8080));
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_EQ(slice->service, "web");
  ASSERT_EQ(slice->backends.size(), 1u);
  EXPECT_EQ(slice->backends[0].pod_uid, "uid-of-web-0");
  EXPECT_EQ(slice->ports, (std::vector<std::pair<std::uint8_t, std::uint16_t>>{{IPPROTO_TCP, 8080}}));
  const auto set = Decode<Controller>(ObjectKind::kReplicaSet, knp::testing::OwnedJson("web-7d", "Deployment", "web"));
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->owner, (Workload{"Deployment", "web"}));
}

TEST(KubeDecode, Service_OfEveryType_HasTheAddressesThatLeadToIt) {
  const auto service = Decode<Service>(
      ObjectKind::kService,
      R"({"metadata":{"name":"web","namespace":"shop"},"spec":{"clusterIP":"10.96.0.7","clusterIPs":["10.96.0.7",)"
      R"("fd00::7"],"externalIPs":["198.51.100.3"],"ports":[{"port":80,"nodePort":30080},{"port":53,"protocol":"UDP"}]},)"
      R"("status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"},{"hostname":"lb.example.com"}]}}})");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->addresses.size(), 4u);
  ASSERT_EQ(service->ports.size(), 2u);
  EXPECT_EQ(service->ports[0].protocol, IPPROTO_TCP);
  EXPECT_EQ(service->ports[0].node_port, 30080);
  EXPECT_EQ(service->ports[1].protocol, IPPROTO_UDP);
  const auto headless = Decode<Service>(
      ObjectKind::kService,
      R"({"metadata":{"name":"db","namespace":"shop"},"spec":{"clusterIP":"None","clusterIPs":["None"]}})");
  ASSERT_TRUE(headless.ok()) << headless.status();
  EXPECT_TRUE(headless->addresses.empty());
}

TEST(KubeDecode, EndpointSlice_WhoDoesNotServe_IsLeftOut) {
  const auto slice = Decode<EndpointSlice>(
      ObjectKind::kEndpointSlice,
      R"({"metadata":{"name":"s","namespace":"n","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",)"
      R"("endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":false}},{"addresses":["10.0.0.2"],"conditions":)"
      R"({"ready":false,"serving":true,"terminating":true}},{"addresses":["10.0.0.3"]}],"ports":[{"port":null},)"
      R"({"port":80}]})");
  ASSERT_TRUE(slice.ok()) << slice.status();
  ASSERT_EQ(slice->backends.size(), 2u);
  EXPECT_EQ(slice->backends[0].address, *ParseIpAddress("10.0.0.2"));
  EXPECT_EQ(slice->ports.size(), 1u);
  const auto names = Decode<EndpointSlice>(
      ObjectKind::kEndpointSlice,
      R"({"metadata":{"name":"s","namespace":"n"},"addressType":"FQDN","endpoints":[{"addresses":["example.com"]}]})");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_TRUE(names->backends.empty());
}

TEST(KubeDecode, WrongFields_AreNamedWithTheirPath) {
  const auto error = [](ObjectKind kind, const std::string& json) {
    Decoder decoder;
    const auto event = decoder.Event(kind, Event("MODIFIED", json));
    return event.ok() ? event->change.status() : event.status();
  };
  EXPECT_ERROR(
      error(
          ObjectKind::kPod,
          R"({"metadata":{"name":"a","namespace":"n","uid":"u"},"status":{"podIPs":[{"ip":"10.0.0.1"},{"ip":"x"}]}})"),
      IsInvalidArgument, HasSubstr("Pod: status.podIPs[1].ip is no address: 'x' (of n/a)"));
  EXPECT_ERROR(error(ObjectKind::kPod, R"({"metadata":{"name":"a","uid":7}})"), IsInvalidArgument,
               HasSubstr("Pod: metadata.uid is no text (of a)"));
  EXPECT_ERROR(error(ObjectKind::kPod, R"({"metadata":{"name":"a"}})"), IsInvalidArgument,
               HasSubstr("metadata.uid is missing"));
  EXPECT_ERROR(error(ObjectKind::kNode, R"({"metadata":{}})"), IsInvalidArgument,
               HasSubstr("Node: metadata.name is missing"));
  EXPECT_ERROR(error(ObjectKind::kPod, R"({"metadata":{"name":"a","uid":"u"},"spec":{"hostNetwork":"yes"}})"),
               IsInvalidArgument, HasSubstr("Pod: spec.hostNetwork is neither true nor false"));
  EXPECT_ERROR(error(ObjectKind::kService, R"({"metadata":{"name":"a"},"spec":{"ports":[{"port":65536}]}})"),
               IsInvalidArgument, HasSubstr("Service: spec.ports[0].port is 65536, more than 65535"));
  EXPECT_ERROR(error(ObjectKind::kService, R"({"metadata":{"name":"a"},"spec":{"ports":[{"protocol":"IPX"}]}})"),
               IsInvalidArgument, HasSubstr("is none of TCP, UDP and SCTP: 'IPX'"));
  EXPECT_ERROR(error(ObjectKind::kService, R"({"metadata":{"name":"a"},"spec":[]})"), IsInvalidArgument,
               HasSubstr("Service: spec is no object"));
  EXPECT_ERROR(error(ObjectKind::kEndpointSlice, R"({"metadata":{"name":"a"},"endpoints":{}})"), IsInvalidArgument,
               HasSubstr("EndpointSlice: endpoints is no array"));
  EXPECT_ERROR(error(ObjectKind::kEndpointSlice, R"({"metadata":{"name":"a"},"endpoints":[{"addresses":[1]}]})"),
               IsInvalidArgument, HasSubstr("EndpointSlice: endpoints[0].addresses has an element that is no text"));
  EXPECT_ERROR(error(ObjectKind::kJob, "[]"), IsInvalidArgument, HasSubstr("Job is no object"));
  EXPECT_ERROR(error(ObjectKind::kJob, "{"), IsInvalidArgument, HasSubstr("watch of jobs: the event is no JSON"));
}

TEST(KubeDecode, List_OneObjectIsWrong_TheOthersAreRead) {
  Decoder decoder;
  std::string body = R"({"kind":"PodList","metadata":{"resourceVersion":"7","continue":"c"},"items":[)" +
                     knp::testing::PodJson("a", "10.0.0.1") + R"(,{"metadata":{}},)" +
                     knp::testing::PodJson("b", "10.0.0.2") + "]}";
  int good = 0, bad = 0;
  const auto page = decoder.List(ObjectKind::kPod, &body,
                                 [&](const absl::StatusOr<Change>& change) { change.ok() ? ++good : ++bad; });
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->resource_version, "7");
  EXPECT_EQ(page->continue_token, "c");
  EXPECT_EQ(page->objects, 3u);
  EXPECT_EQ(good, 2);
  EXPECT_EQ(bad, 1);
}

TEST(KubeDecode, List_Unusable_IsAnError) {
  Decoder decoder;
  const auto list = [&](std::string body) {
    return decoder.List(ObjectKind::kPod, &body, [](const absl::StatusOr<Change>&) {}).status();
  };
  EXPECT_TRUE(list(R"({"metadata":{"resourceVersion":"7"},"items":null})").ok());
  EXPECT_ERROR(list("<html>"), IsInvalidArgument, HasSubstr("PodList is no JSON"));
  EXPECT_ERROR(list(""), IsInvalidArgument, HasSubstr("PodList is no JSON"));
  EXPECT_ERROR(list(R"({"metadata":{},"items":[]})"), IsInvalidArgument,
               HasSubstr("PodList: metadata.resourceVersion is missing"));
  EXPECT_ERROR(list(R"({"metadata":{"resourceVersion":"7"}})"), IsInvalidArgument, HasSubstr("items is missing"));
  EXPECT_ERROR(list(R"({"metadata":{"resourceVersion":"7"},"items":7})"), IsInvalidArgument,
               HasSubstr("items is no array"));
}

TEST(KubeDecode, Events_OfEveryType_AreTold) {
  Decoder decoder;
  auto event = decoder.Event(ObjectKind::kPod, Event("BOOKMARK", R"({"metadata":{"resourceVersion":"12"}})"));
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type, EventType::kBookmark);
  EXPECT_EQ(event->resource_version, "12");
  event = decoder.Event(ObjectKind::kPod, Event("DELETED", R"({"metadata":{"name":"a","namespace":"n"}})"));
  ASSERT_TRUE(event.ok() && event->change.ok());
  EXPECT_EQ(std::get<Removed>(**event->change).name, "a");
  event = decoder.Event(
      ObjectKind::kPod,
      Event("ERROR", R"({"kind":"Status","message":"too old\nresource version","reason":"Expired","code":410})"));
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type, EventType::kError);
  EXPECT_EQ(event->error.code, 410u);
  EXPECT_EQ(event->error.message, "too old resource version");
  event = decoder.Event(ObjectKind::kPod, Event("UNHEARD_OF", "{}"));
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type, EventType::kOther);
  EXPECT_ERROR(decoder.Event(ObjectKind::kPod, R"({"type":"ADDED"})").status(), IsInvalidArgument,
               HasSubstr("watch of pods: object is missing"));
}

TEST(KubeDecode, Status_AnyText_HasAMessage) {
  Decoder decoder;
  EXPECT_EQ(decoder.Status("Too many requests, please try again later.\n").message,
            "Too many requests, please try again later.");
  const ApiStatus status = decoder.Status(
      R"({"kind":"Status","message":"Too large resource version: 9, current: 5","reason":"Timeout","details":{"causes":)"
      R"([{"reason":"ResourceVersionTooLarge","message":"x"}],"retryAfterSeconds":1},"code":504})");
  EXPECT_TRUE(status.too_large);
  EXPECT_EQ(status.retry_after_s, 1u);
  EXPECT_EQ(status.code, 504u);
  EXPECT_EQ(decoder.Status("").message, "");
}

TEST(KubeDecode, ParseTime_Texts_AreTimesOrNone) {
  EXPECT_EQ(ParseTime("1970-01-01T00:00:01Z"), 1'000'000'000u);
  EXPECT_EQ(ParseTime("2026-11-28T17:22:05.123456Z"), 1795886525'000000000u);
  for (const char* text : {"", "Z", "yesterday", "2026-11-28", "2026-11-28T17:22:05+01:00", "0000-00-00T00:00:00Z"})
    EXPECT_EQ(ParseTime(text), 0u) << text;
}

}  // namespace
}  // namespace knp::identity::kube
