// Names by time: who held an address when, host networks, services, owners.
#include "src/identity/directory.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <string>
#include <vector>

namespace knp::identity {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = 1'800'000'000 * kSecond;  // all times are after it
constexpr std::uint64_t At(std::uint64_t seconds) { return kStart + seconds * kSecond; }

IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }

Pod MakePod(const std::string& name, const std::string& address, std::uint64_t started_ns = 0) {
  Pod pod;
  pod.namespace_name = "shop";
  pod.name = name;
  pod.uid = "uid-of-" + name;
  pod.node = "node-a";
  if (!address.empty()) pod.addresses = {Ip(address)};
  pod.started_unix_ns = started_ns;
  return pod;
}

Node MakeNode(const std::string& name, const std::string& address, const std::string& zone = "") {
  Node node;
  node.name = name;
  node.zone = zone;
  node.addresses = {Ip(address)};
  return node;
}

Service MakeService(const std::string& name, const std::string& address, std::vector<ServicePort> ports) {
  Service service;
  service.namespace_name = "shop";
  service.name = name;
  if (!address.empty()) service.addresses = {Ip(address)};
  service.ports = std::move(ports);
  return service;
}

EndpointSlice MakeSlice(const std::string& service, const std::string& suffix, std::vector<Backend> backends,
                        std::uint16_t port) {
  EndpointSlice slice;
  slice.namespace_name = "shop";
  slice.service = service;
  slice.name = service + "-" + suffix;
  slice.backends = std::move(backends);
  slice.ports = {{IPPROTO_TCP, port}};
  return slice;
}

class DirectoryTest : public ::testing::Test {
 protected:
  Endpoint Ask(const std::string& address, std::uint64_t at_ns, std::uint16_t port = 0,
               std::uint8_t protocol = IPPROTO_TCP, std::shared_ptr<const Process> process = nullptr) const {
    Endpoint endpoint;
    endpoint.ip = Ip(address);
    endpoint.port = port;
    endpoint.process = std::move(process);
    directory_.Name(protocol, at_ns, &endpoint);
    return endpoint;
  }
  std::string PodAt(const std::string& address, std::uint64_t at_ns) const {
    const Endpoint endpoint = Ask(address, at_ns);
    return endpoint.identity ? endpoint.identity->pod : "";
  }
  std::string ServiceAt(const std::string& address, std::uint64_t at_ns, std::uint16_t port) const {
    return Ask(address, at_ns, port).service;
  }
  void Remove(ObjectKind kind, const std::string& name, std::uint64_t at_ns) {
    directory_.Apply(Removed{kind, kind == ObjectKind::kNode ? "" : "shop", name}, at_ns);
  }
  static std::shared_ptr<const Process> ProcessOf(const std::string& pod_uid, const std::string& container_id = "") {
    auto process = std::make_shared<Process>();
    process->pod_uid = pod_uid;
    process->container_id = container_id;
    return process;
  }

  Directory directory_;
};

TEST_F(DirectoryTest, Name_PodOfTheFirstList_IsKnownSinceItsStart) {
  directory_.Apply(SnapshotBegun{ObjectKind::kPod}, At(1000));
  directory_.Apply(MakePod("web-0", "10.0.0.5", At(100)), At(1000));
  directory_.Apply(SnapshotDone{ObjectKind::kPod}, At(1000));
  const Endpoint endpoint = Ask("10.0.0.5", At(500));
  ASSERT_TRUE(endpoint.identity);
  EXPECT_EQ(endpoint.identity->kind, IdentityKind::kPod);
  EXPECT_EQ(endpoint.identity->namespace_name, "shop");
  EXPECT_EQ(endpoint.identity->pod, "web-0");
  EXPECT_EQ(endpoint.identity->pod_uid, "uid-of-web-0");
  EXPECT_EQ(endpoint.identity->node, "node-a");
  EXPECT_EQ(PodAt("10.0.0.5", At(95)), "web-0");  // clocks differ by a little
  EXPECT_EQ(PodAt("10.0.0.5", At(50)), "");
  EXPECT_FALSE(Ask("10.0.0.6", At(500)).identity);
}

TEST_F(DirectoryTest, Name_AddressReused_FlowIsNamedByWhoHeldItWhenItBegan) {
  directory_.Apply(MakePod("old", "10.0.0.5", At(0)), At(10));
  Remove(ObjectKind::kPod, "old", At(100));
  EXPECT_EQ(PodAt("10.0.0.5", At(99)), "old");
  EXPECT_EQ(PodAt("10.0.0.5", At(100)), "");
  directory_.Apply(MakePod("new", "", At(101)), At(101));
  directory_.Apply(MakePod("new", "10.0.0.5", At(101)), At(104));
  EXPECT_EQ(PodAt("10.0.0.5", At(50)), "old");
  EXPECT_EQ(PodAt("10.0.0.5", At(102)), "new");  // before we heard of its address
  EXPECT_EQ(PodAt("10.0.0.5", At(100)), "new");  // nobody else had it
  EXPECT_EQ(PodAt("10.0.0.5", At(300)), "new");
  directory_.Advance(At(100 + 601));
  EXPECT_EQ(PodAt("10.0.0.5", At(50)), "");
  EXPECT_EQ(PodAt("10.0.0.5", At(300)), "new");
}

TEST_F(DirectoryTest, Name_AddressTakenBeforeItsHolderIsRemoved_NewcomerHasItFromThenOn) {
  directory_.Apply(MakePod("old", "10.0.0.5", At(0)), At(10));
  directory_.Apply(MakePod("new", "", At(200)), At(200));
  directory_.Apply(MakePod("new", "10.0.0.5", At(200)), At(203));
  EXPECT_EQ(PodAt("10.0.0.5", At(150)), "old");
  EXPECT_EQ(PodAt("10.0.0.5", At(202)), "new");
  Remove(ObjectKind::kPod, "old", At(230));
  EXPECT_EQ(PodAt("10.0.0.5", At(150)), "old");
  EXPECT_EQ(PodAt("10.0.0.5", At(240)), "new");
}

TEST_F(DirectoryTest, Name_PodThatWaitedLongTakesAYoungersAddress_HasItFromThenOn) {
  directory_.Apply(SnapshotDone{ObjectKind::kPod}, At(1));
  directory_.Apply(MakePod("patient", "", At(100)), At(100));  // waits for a volume
  directory_.Apply(MakePod("brief", "10.0.0.5", At(150)), At(150));
  directory_.Apply(MakePod("patient", "10.0.0.5", At(100)), At(203));  // "brief" is being deleted
  EXPECT_EQ(PodAt("10.0.0.5", At(160)), "brief");
  EXPECT_EQ(PodAt("10.0.0.5", At(204)), "patient");
  Remove(ObjectKind::kPod, "brief", At(230));
  EXPECT_EQ(PodAt("10.0.0.5", At(160)), "brief");
  EXPECT_EQ(PodAt("10.0.0.5", At(240)), "patient");
}

TEST_F(DirectoryTest, Name_ListTellsTheYoungerFirst_OlderDoesNotTakeTheAddressBack) {
  directory_.Apply(MakePod("a-younger", "10.0.0.5", At(500)), At(1000));
  directory_.Apply(MakePod("b-older", "10.0.0.5", At(100)), At(1000));
  EXPECT_EQ(PodAt("10.0.0.5", At(900)), "a-younger");
  EXPECT_EQ(PodAt("10.0.0.5", At(300)), "b-older");
  Remove(ObjectKind::kPod, "b-older", At(1010));
  EXPECT_EQ(PodAt("10.0.0.5", At(1020)), "a-younger");
}

TEST_F(DirectoryTest, Name_PodHasEnded_AddressIsFree) {
  directory_.Apply(MakePod("job-x", "10.0.0.5", At(0)), At(10));
  Pod ended = MakePod("job-x", "10.0.0.5", At(0));
  ended.ended = true;
  directory_.Apply(ended, At(60));
  EXPECT_EQ(PodAt("10.0.0.5", At(30)), "job-x");
  EXPECT_EQ(PodAt("10.0.0.5", At(70)), "");
}

TEST_F(DirectoryTest, Name_SameNameAgain_IsAnotherPod) {
  directory_.Apply(MakePod("db-0", "10.0.0.5", At(0)), At(10));
  Pod again = MakePod("db-0", "10.0.0.6", At(110));
  again.uid = "another";
  directory_.Apply(again, At(115));  // its removal was missed
  EXPECT_EQ(Ask("10.0.0.5", At(50)).identity->pod_uid, "uid-of-db-0");
  EXPECT_FALSE(Ask("10.0.0.5", At(120)).identity);
  EXPECT_EQ(Ask("10.0.0.6", At(120)).identity->pod_uid, "another");
  EXPECT_EQ(directory_.statistics().pods, 1u);
}

TEST_F(DirectoryTest, Name_ManyHoldersOfOneAddress_OnlySomeAreRemembered) {
  for (std::uint64_t i = 0; i < 30; ++i) {
    const std::string name = "p" + std::to_string(i);
    directory_.Apply(MakePod(name, "10.0.0.5", At(10 * i)), At(10 * i + 1));
    Remove(ObjectKind::kPod, name, At(10 * i + 9));
  }
  EXPECT_EQ(PodAt("10.0.0.5", At(295)), "p29");
  EXPECT_EQ(PodAt("10.0.0.5", At(225)), "p22");
  EXPECT_EQ(PodAt("10.0.0.5", At(5)), "");
  directory_.Advance(At(2000));
  EXPECT_EQ(directory_.statistics().addresses, 0u);
  EXPECT_EQ(directory_.statistics().leaving, 0u);
}

TEST_F(DirectoryTest, Name_TooManyAreGone_OldestAreForgotten) {
  Directory::Options options;
  options.leaving = 20;
  Directory directory(options);
  for (int i = 0; i < 500; ++i) {
    const std::string name = "p" + std::to_string(i);
    directory.Apply(MakePod(name, "10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200), At(0)), At(1));
    directory.Apply(Removed{ObjectKind::kPod, "shop", name}, At(2));
  }
  EXPECT_LE(directory.statistics().leaving, 20u);
  EXPECT_LE(directory.statistics().addresses, 20u);
}

TEST_F(DirectoryTest, Snapshot_WithoutAPod_RemovesIt) {
  directory_.Apply(SnapshotBegun{ObjectKind::kPod}, At(1));
  directory_.Apply(MakePod("stays", "10.0.0.1", At(0)), At(1));
  directory_.Apply(MakePod("goes", "10.0.0.2", At(0)), At(1));
  directory_.Apply(SnapshotDone{ObjectKind::kPod}, At(1));
  directory_.Apply(SnapshotBegun{ObjectKind::kPod}, At(50));
  directory_.Apply(SnapshotBegun{ObjectKind::kPod}, At(51));  // the list was begun anew
  directory_.Apply(MakePod("stays", "10.0.0.1", At(0)), At(52));
  EXPECT_EQ(PodAt("10.0.0.2", At(52)), "goes");
  directory_.Apply(SnapshotDone{ObjectKind::kPod}, At(53));
  EXPECT_EQ(PodAt("10.0.0.1", At(60)), "stays");
  EXPECT_EQ(PodAt("10.0.0.2", At(60)), "");
  EXPECT_EQ(directory_.statistics().pods, 1u);
}

TEST_F(DirectoryTest, Name_HostNetwork_ProcessDecidesElseTheNode) {
  directory_.Apply(MakeNode("node-a", "192.168.0.1", "zone-1"), At(0));
  Pod proxy = MakePod("kube-proxy", "192.168.0.1", At(0));
  proxy.host_network = true;
  proxy.container_ids = {std::string(64, 'a')};
  directory_.Apply(proxy, At(1));
  Pod fixed = MakePod("etcd-node-a", "192.168.0.1", At(0));
  fixed.host_network = true;
  fixed.static_uid = std::string(32, 'b');
  directory_.Apply(fixed, At(1));

  const Endpoint node = Ask("192.168.0.1", At(5));
  ASSERT_TRUE(node.identity);
  EXPECT_EQ(node.identity->kind, IdentityKind::kNode);
  EXPECT_EQ(node.identity->node, "node-a");
  EXPECT_EQ(node.identity->zone, "zone-1");
  const auto by = [&](const std::string& uid, const std::string& container) {
    return Ask("192.168.0.1", At(5), 0, IPPROTO_TCP, ProcessOf(uid, container)).identity;
  };
  EXPECT_EQ(by("uid-of-kube-proxy", "")->pod, "kube-proxy");
  EXPECT_EQ(by("", std::string(64, 'a'))->pod, "kube-proxy");
  EXPECT_EQ(by(std::string(32, 'b'), "")->pod, "etcd-node-a");
  EXPECT_EQ(by("unknown", "")->kind, IdentityKind::kNode);
  EXPECT_EQ(Ask("127.0.0.1", At(5), 0, IPPROTO_TCP, ProcessOf("uid-of-kube-proxy")).identity->pod, "kube-proxy");
}

TEST_F(DirectoryTest, Name_AddressThatOnlyThisHostKnows_IsItsNode) {
  Directory::Options options;
  options.local_node = "node-a";
  options.local_addresses = {Ip("10.244.0.1")};
  Directory directory(options);
  directory.Apply(MakeNode("node-b", "192.168.0.2"), At(0));
  directory.Apply(MakeNode("node-a", "192.168.0.1"), At(0));
  Endpoint endpoint;
  endpoint.ip = Ip("10.244.0.1");
  directory.Name(IPPROTO_TCP, At(5), &endpoint);
  ASSERT_TRUE(endpoint.identity);
  EXPECT_EQ(endpoint.identity->node, "node-a");
}

TEST_F(DirectoryTest, Name_ProcessOfAnotherPod_ProxyDoesNotHideWhoseAddressItIs) {
  directory_.Apply(MakePod("app", "10.0.0.5", At(0)), At(1));
  directory_.Apply(MakePod("ztunnel", "10.0.0.9", At(0)), At(1));
  EXPECT_EQ(Ask("10.0.0.5", At(5), 0, IPPROTO_TCP, ProcessOf("uid-of-ztunnel")).identity->pod, "app");
  Pod envoy = MakePod("cilium-envoy", "192.168.0.1", At(0));
  envoy.host_network = true;
  directory_.Apply(envoy, At(1));
  EXPECT_EQ(Ask("10.0.0.5", At(5), 0, IPPROTO_TCP, ProcessOf("uid-of-cilium-envoy")).identity->pod, "app");
  // Its own address has just been another's: the process knows better.
  directory_.Apply(MakePod("young", "", At(50)), At(50));
  EXPECT_EQ(Ask("10.0.0.5", At(51), 0, IPPROTO_TCP, ProcessOf("uid-of-young")).identity->pod, "young");
}

TEST_F(DirectoryTest, Name_RemovedPod_IsKnownByItsUidForAWhile) {
  directory_.Apply(MakeNode("node-a", "192.168.0.1"), At(0));
  Pod pod = MakePod("agent", "192.168.0.1", At(0));
  pod.host_network = true;
  directory_.Apply(pod, At(1));
  Remove(ObjectKind::kPod, "agent", At(10));
  EXPECT_EQ(Ask("192.168.0.1", At(5), 0, IPPROTO_TCP, ProcessOf("uid-of-agent")).identity->pod, "agent");
  directory_.Advance(At(700));
  EXPECT_EQ(Ask("192.168.0.1", At(5), 0, IPPROTO_TCP, ProcessOf("uid-of-agent")).identity->kind, IdentityKind::kNode);
}

TEST_F(DirectoryTest, Name_VirtualAddress_IsTheService) {
  directory_.Apply(MakeService("web", "10.96.0.7", {{80, 30080, IPPROTO_TCP}, {53, 0, IPPROTO_UDP}}), At(1));
  directory_.Apply(MakeNode("node-a", "192.168.0.1"), At(1));
  const Endpoint endpoint = Ask("10.96.0.7", At(5), 80);
  ASSERT_TRUE(endpoint.identity);
  EXPECT_EQ(endpoint.identity->kind, IdentityKind::kService);
  EXPECT_EQ(endpoint.identity->namespace_name, "shop");
  EXPECT_EQ(endpoint.identity->service, "web");
  EXPECT_EQ(endpoint.service, "web");
  EXPECT_EQ(ServiceAt("10.96.0.7", At(5), 8080), "web");  // the address is nobody else's
  EXPECT_EQ(Ask("10.96.0.7", At(5), 53, IPPROTO_UDP).service, "web");
  EXPECT_EQ(Ask("10.96.0.7", At(5), 80, 0).service, "web");  // protocol not known
  // A node port.
  EXPECT_EQ(ServiceAt("192.168.0.1", At(5), 30080), "web");
  EXPECT_EQ(Ask("192.168.0.1", At(5), 30080).identity->kind, IdentityKind::kService);
  EXPECT_EQ(Ask("192.168.0.1", At(5), 30080, IPPROTO_UDP).identity->kind, IdentityKind::kNode);
  EXPECT_FALSE(Ask("8.8.8.8", At(5), 30080).identity);
  // A process that answers at the virtual address does not change whose it is.
  directory_.Apply(MakePod("web-0", "10.0.0.5", At(0)), At(1));
  EXPECT_EQ(Ask("10.96.0.7", At(5), 80, IPPROTO_TCP, ProcessOf("uid-of-web-0")).identity->kind, IdentityKind::kService);
  Remove(ObjectKind::kService, "web", At(100));
  EXPECT_EQ(ServiceAt("10.96.0.7", At(50), 80), "web");
  EXPECT_EQ(ServiceAt("10.96.0.7", At(200), 80), "");
}

TEST_F(DirectoryTest, Name_SharedLoadBalancerAddress_PortDecides) {
  directory_.Apply(MakeService("b", "203.0.113.1", {{80, 0, IPPROTO_TCP}}), At(1));
  directory_.Apply(MakeService("a", "203.0.113.1", {{443, 0, IPPROTO_TCP}}), At(1));
  EXPECT_EQ(ServiceAt("203.0.113.1", At(5), 80), "b");
  EXPECT_EQ(ServiceAt("203.0.113.1", At(5), 443), "a");
  EXPECT_FALSE(Ask("203.0.113.1", At(5), 22).identity);
}

TEST_F(DirectoryTest, Name_Backend_HasItsServiceFirstByName) {
  const Backend backend = {Ip("10.0.0.5"), "uid-of-web-0"};
  directory_.Apply(MakeSlice("web", "1", {backend}, 8080), At(1));  // before its service and its pod
  directory_.Apply(MakePod("web-0", "10.0.0.5", At(0)), At(2));
  directory_.Apply(MakeService("web", "10.96.0.7", {{80, 0, IPPROTO_TCP}}), At(3));
  const Endpoint endpoint = Ask("10.0.0.5", At(5), 8080);
  EXPECT_EQ(endpoint.identity->pod, "web-0");
  EXPECT_EQ(endpoint.identity->service, "");
  EXPECT_EQ(endpoint.service, "web");
  EXPECT_EQ(ServiceAt("10.0.0.5", At(5), 9090), "");
  EXPECT_EQ(Ask("10.0.0.5", At(5), 8080, IPPROTO_UDP).service, "");
  directory_.Apply(MakeSlice("api", "1", {backend}, 8080), At(6));
  EXPECT_EQ(ServiceAt("10.0.0.5", At(7), 8080), "api");
  Remove(ObjectKind::kEndpointSlice, "api-1", At(8));
  EXPECT_EQ(ServiceAt("10.0.0.5", At(9), 8080), "web");
}

TEST_F(DirectoryTest, Name_BackendInTwoSlices_StaysUntilBothHaveLeft) {
  const Backend backend = {Ip("10.0.0.5"), ""};
  directory_.Apply(MakePod("web-0", "10.0.0.5", At(0)), At(1));
  directory_.Apply(MakeSlice("web", "1", {backend}, 8080), At(1));
  directory_.Apply(MakeSlice("web", "2", {backend}, 8080), At(2));
  directory_.Apply(MakeSlice("web", "1", {}, 8080), At(3));
  EXPECT_EQ(ServiceAt("10.0.0.5", At(10), 8080), "web");
  Remove(ObjectKind::kEndpointSlice, "web-2", At(20));
  EXPECT_EQ(ServiceAt("10.0.0.5", At(10), 8080), "web");
  EXPECT_EQ(ServiceAt("10.0.0.5", At(30), 8080), "");
}

TEST_F(DirectoryTest, Name_BackendOutsideTheCluster_IsTheServices) {
  directory_.Apply(MakeSlice("database", "1", {{Ip("172.16.0.9"), ""}}, 5432), At(1));
  const Endpoint endpoint = Ask("172.16.0.9", At(5), 5432);
  ASSERT_TRUE(endpoint.identity);
  EXPECT_EQ(endpoint.identity->kind, IdentityKind::kService);
  EXPECT_EQ(endpoint.service, "database");
}

TEST_F(DirectoryTest, Name_BackendOnAHostNetwork_IsThePodThatAnswersThere) {
  directory_.Apply(MakeNode("node-b", "192.168.0.2"), At(0));
  Pod exporter = MakePod("exporter", "192.168.0.2", At(0));
  exporter.host_network = true;
  directory_.Apply(exporter, At(1));
  directory_.Apply(MakeSlice("metrics", "1", {{Ip("192.168.0.2"), "uid-of-exporter"}}, 9100), At(1));
  const Endpoint endpoint = Ask("192.168.0.2", At(5), 9100);  // of another host: its process is not known
  EXPECT_EQ(endpoint.identity->pod, "exporter");
  EXPECT_EQ(endpoint.service, "metrics");
  EXPECT_EQ(Ask("192.168.0.2", At(5), 9101).identity->kind, IdentityKind::kNode);
}

TEST_F(DirectoryTest, Owners_WhicheverComesFirst_PodHasTheTop) {
  const auto workload = [&](const std::string& address) { return Ask(address, At(50)).identity->workload; };
  Pod pod = MakePod("web-7d4b9c6f5d-x2x", "10.0.0.5", At(0));
  pod.controller = {"ReplicaSet", "web-7d4b9c6f5d"};
  directory_.Apply(pod, At(1));
  EXPECT_EQ(workload("10.0.0.5"), (Workload{"ReplicaSet", "web-7d4b9c6f5d"}));
  directory_.Apply(Controller{ObjectKind::kReplicaSet, "shop", "web-7d4b9c6f5d", {"Rollout", "web"}}, At(2));
  EXPECT_EQ(workload("10.0.0.5"), (Workload{"Rollout", "web"}));
  // Another namespace's ReplicaSet of that name is none of its business.
  directory_.Apply(Controller{ObjectKind::kReplicaSet, "other", "web-7d4b9c6f5d", {"Deployment", "no"}}, At(3));
  EXPECT_EQ(workload("10.0.0.5"), (Workload{"Rollout", "web"}));

  directory_.Apply(Controller{ObjectKind::kJob, "shop", "report-29385", {"CronJob", "report"}}, At(3));
  Pod job = MakePod("report-29385-abc", "10.0.0.6", At(0));
  job.controller = {"Job", "report-29385"};
  directory_.Apply(job, At(4));
  EXPECT_EQ(workload("10.0.0.6"), (Workload{"CronJob", "report"}));
  Remove(ObjectKind::kJob, "report-29385", At(5));
  EXPECT_EQ(workload("10.0.0.6"), (Workload{"CronJob", "report"}));

  Pod set = MakePod("db-0", "10.0.0.7", At(0));
  set.controller = {"StatefulSet", "db"};
  directory_.Apply(set, At(4));
  EXPECT_EQ(workload("10.0.0.7"), (Workload{"StatefulSet", "db"}));
  Pod fixed = MakePod("etcd", "10.0.0.8", At(0));
  fixed.controller = {"Node", "node-a"};
  directory_.Apply(fixed, At(4));
  EXPECT_EQ(workload("10.0.0.8"), Workload{});
}

TEST_F(DirectoryTest, Owners_ReplicaSetsCannotBeRead_DeploymentComesFromTheName) {
  Pod pod = MakePod("web-7d4b9c6f5d-x2x", "10.0.0.5", At(0));
  pod.controller = {"ReplicaSet", "web-7d4b9c6f5d"};
  pod.template_hash = "7d4b9c6f5d";
  directory_.Apply(pod, At(1));
  EXPECT_EQ(Ask("10.0.0.5", At(5)).identity->workload, (Workload{"Deployment", "web"}));
}

TEST_F(DirectoryTest, Zone_NodeComesAfterItsPods_PodsHaveIt) {
  directory_.Apply(MakePod("web-0", "10.0.0.5", At(0)), At(1));
  EXPECT_EQ(Ask("10.0.0.5", At(5)).identity->zone, "");
  directory_.Apply(MakeNode("node-a", "192.168.0.1", "zone-1"), At(2));
  EXPECT_EQ(Ask("10.0.0.5", At(5)).identity->zone, "zone-1");
  directory_.Apply(MakeNode("node-a", "192.168.0.1", "zone-2"), At(3));
  EXPECT_EQ(Ask("10.0.0.5", At(5)).identity->zone, "zone-2");
  EXPECT_EQ(Ask("192.168.0.1", At(5)).identity->zone, "zone-2");
}

TEST_F(DirectoryTest, Name_Ipv6AndFoldedEnds_WorkAndAreLeftAlone) {
  directory_.Apply(MakePod("web-0", "fd00::5", At(0)), At(1));
  EXPECT_EQ(PodAt("fd00::5", At(5)), "web-0");
  directory_.Apply(MakeService("web", "10.96.0.7", {{80, 30080, IPPROTO_TCP}}), At(1));
  Endpoint folded;
  folded.ip.version = 0;
  folded.port = 30080;
  directory_.Name(IPPROTO_TCP, At(5), &folded);
  EXPECT_FALSE(folded.identity);
}

TEST_F(DirectoryTest, Apply_ClockGoesBack_NothingIsLostOrKeptForEver) {
  directory_.Apply(MakePod("a", "10.0.0.5", At(0)), At(1000));
  Remove(ObjectKind::kPod, "a", At(500));
  directory_.Apply(MakePod("b", "10.0.0.5", At(500)), At(501));
  Remove(ObjectKind::kPod, "b", At(502));
  directory_.Advance(At(5000));
  EXPECT_EQ(directory_.statistics().leaving, 0u);
  EXPECT_EQ(directory_.statistics().addresses, 0u);
}

}  // namespace
}  // namespace knp::identity
