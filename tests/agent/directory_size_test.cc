// What the directory costs: memory a pod, time a name, and readers beside a writer.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/identity/directory.h"

namespace knp::identity {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kNow = 1'800'000'000 * kSecond;
constexpr int kPods = 5000, kNodes = 100, kServices = 400, kOldReplicaSets = 4;

std::string Uid(int i) { return fmt::format("{:08x}-5d1c-4c1f-9a6b-{:012x}", i * 2654435761u, i * 40503u); }

IpAddress Ip(int second, int i) { return *ParseIpAddress(fmt::format("10.{}.{}.{}", second, i / 250, i % 250 + 1)); }

Pod MakePod(int i) {
  const int deployment = i % kServices;
  Pod pod;
  pod.namespace_name = fmt::format("team-{}", deployment % 20);
  pod.template_hash = fmt::format("{:010x}", deployment * 7919);
  pod.controller = {"ReplicaSet", fmt::format("checkout-service-{}-{}", deployment, pod.template_hash)};
  pod.name = fmt::format("{}-{:05d}", pod.controller.name, i);
  pod.uid = Uid(i);
  pod.node = fmt::format("ip-10-1-{}.eu-west-1", i % kNodes);
  pod.addresses = {Ip(2, i)};
  pod.container_ids = {fmt::format("{:064x}", i * 2654435761u)};
  pod.started_unix_ns = kNow - 1000 * kSecond;
  return pod;
}

// A cluster whose every pod answers for a service.
void Fill(Directory* directory) {
  for (int i = 0; i < kNodes; ++i) {
    Node node;
    node.name = fmt::format("ip-10-1-{}.eu-west-1", i);
    node.zone = fmt::format("eu-west-1{}", "abc"[i % 3]);
    node.addresses = {Ip(1, i)};
    directory->Apply(std::move(node), kNow);
  }
  for (int i = 0; i < kServices; ++i) {
    const std::string space = fmt::format("team-{}", i % 20), name = fmt::format("checkout-service-{}", i);
    Service service;
    service.namespace_name = space;
    service.name = name;
    service.addresses = {Ip(96, i)};
    service.ports = {{80, 0, IPPROTO_TCP}};
    directory->Apply(std::move(service), kNow);
    EndpointSlice slice;
    slice.namespace_name = space;
    slice.name = name + "-abcde";
    slice.service = name;
    slice.ports = {{IPPROTO_TCP, 8080}};
    for (int pod = i; pod < kPods; pod += kServices) slice.backends.push_back({Ip(2, pod), ""});
    directory->Apply(std::move(slice), kNow);
    for (int old = 0; old <= kOldReplicaSets; ++old) {
      Controller set = {
          ObjectKind::kReplicaSet, space, fmt::format("{}-{:010x}", name, i * 7919 + old), {"Deployment", name}};
      directory->Apply(std::move(set), kNow);
    }
  }
  for (int i = 0; i < kPods; ++i) directory->Apply(MakePod(i), kNow);
}

std::size_t InUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

bool Instrumented() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

TEST(DirectorySize, FiveThousandPods_TakeAtMostAKibibyteEach) {
  const std::size_t before = InUse();
  const auto directory = std::make_unique<Directory>();
  Fill(directory.get());
  const std::size_t after = InUse();
  ASSERT_EQ(directory->statistics().pods, static_cast<std::size_t>(kPods));
  if (Instrumented()) GTEST_SKIP() << "a sanitizer's allocator counts otherwise";
  const double each = static_cast<double>(after - before) / kPods;
  RecordProperty("bytes_a_pod", static_cast<int>(each));
  fmt::print("{:.0f} bytes a pod, with its share of {} nodes, {} services and {} ReplicaSets\n", each, kNodes,
             kServices, kServices * (kOldReplicaSets + 1));
  EXPECT_LE(each, 1024);
}

TEST(DirectorySize, Name_IsCheap) {
  Directory directory;
  Fill(&directory);
  std::vector<Endpoint> endpoints(1000);
  for (int i = 0; i < 1000; ++i) {
    endpoints[static_cast<std::size_t>(i)].ip = Ip(i % 4 == 3 ? 96 : 2, i % 4 == 3 ? i % kServices : i * 5 % kPods);
    endpoints[static_cast<std::size_t>(i)].port = i % 4 == 3 ? 80 : 8080;
  }
  constexpr int kRounds = 200;
  std::size_t named = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < kRounds; ++round) {
    for (const Endpoint& asked : endpoints) {
      Endpoint endpoint;
      endpoint.ip = asked.ip;
      endpoint.port = asked.port;
      directory.Name(IPPROTO_TCP, kNow, &endpoint);
      named += endpoint.identity != nullptr && !endpoint.service.empty();
    }
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(named, kRounds * endpoints.size());
  const double each = took.count() / static_cast<double>(named);
  fmt::print("{:.0f} ns a name\n", each);
  if (!Instrumented()) {
    EXPECT_LT(each, 5000);  // 100,000 records a second ask twice each; the rest is room for slow machines
  }
}

TEST(DirectorySize, Name_WhilePodsChange_IsAlwaysWhole) {
  Directory directory;
  for (int i = 0; i < 200; ++i) directory.Apply(MakePod(i), kNow);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> torn{0};
  std::vector<std::jthread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      for (int i = 0; !done; i = (i + 1) % 200) {
        Endpoint endpoint;
        endpoint.ip = Ip(2, i);
        directory.Name(IPPROTO_TCP, kNow, &endpoint);
        if (endpoint.identity && endpoint.identity->pod_uid != Uid(i)) ++torn;
      }
    });
  }
  for (int round = 1; round <= 50; ++round) {
    const std::uint64_t now = kNow + static_cast<std::uint64_t>(round) * 60 * kSecond;
    for (int i = 0; i < 200; i += 3) {
      const Pod pod = MakePod(i);
      directory.Apply(Removed{ObjectKind::kPod, pod.namespace_name, pod.name}, now);
      directory.Apply(pod, now + kSecond);
      directory.Apply(Controller{ObjectKind::kReplicaSet,
                                 pod.namespace_name,
                                 pod.controller.name,
                                 {"Deployment", "d" + std::to_string(round)}},
                      now + kSecond);
    }
  }
  done = true;
  readers.clear();
  EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace knp::identity
