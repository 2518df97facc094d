// Flow records as a monitor would tell them, for the tests of the Hubble server.
#ifndef KNP_TESTS_AGENT_HUBBLE_RECORDS_H_
#define KNP_TESTS_AGENT_HUBBLE_RECORDS_H_

#include <knp/flow_record.h>
#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace knp::hubble {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline std::uint64_t NowNs() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

inline IpAddress Ip(const std::string& text) { return ParseIpAddress(text).value(); }

inline std::shared_ptr<const Identity> Pod(const std::string& name_space, const std::string& pod,
                                           const std::string& workload, const std::string& node = "node-a") {
  Identity identity;
  identity.namespace_name = name_space;
  identity.pod = pod;
  if (!workload.empty()) identity.workload = {"Deployment", workload};
  identity.node = node;
  identity.labels = {{"app", workload.empty() ? pod : workload}};
  return std::make_shared<const Identity>(std::move(identity));
}

// shop/web on node-a asks shop/db on node-b; half open, one SYN.
inline FlowRecord WebToDb(std::uint64_t id) {
  FlowRecord record;
  record.id = id;
  record.start_unix_ns = NowNs() - kSecond;
  record.end_unix_ns = record.start_unix_ns + kSecond / 2;
  record.state = FlowState::kHalfOpen;
  record.protocol = IPPROTO_TCP;
  record.opener = Opener::kSyn;
  record.source.ip = Ip("10.1.0.5");
  record.source.port = 40000;
  record.source.identity = Pod("shop", "web-7d9f-abcde", "web");
  record.destination.ip = Ip("10.1.1.9");
  record.destination.port = 5432;
  record.destination.identity = Pod("shop", "db-0", "db", "node-b");
  record.sent = {1, 74};
  record.tcp.flags_sent = 2;
  record.observations = {{"eth0", Direction::kEgress, {1, 74}}};
  return record;
}

inline FlowRecord DnsQuestion(std::uint64_t id, const std::string& name) {
  FlowRecord record = WebToDb(id);
  record.protocol = IPPROTO_UDP;
  record.state = FlowState::kActive;
  record.tcp = TcpDetail();
  record.destination.port = 53;
  record.destination.identity = Pod("kube-system", "coredns-1", "coredns", "node-b");
  record.dns.emplace();
  record.dns->queries = record.dns->responses = 1;
  record.dns->last.name = name;
  record.dns->last.type = 1;
  record.dns->last.rcode = 0;
  record.dns->last.answers = {"alias.example.com", "192.0.2.7"};
  record.dns->last.latency_ns = 3'000'000;
  return record;
}

inline FlowRecord HttpExchange(std::uint64_t id, const std::string& url, std::uint16_t status) {
  FlowRecord record = WebToDb(id);
  record.state = FlowState::kEstablished;
  record.tcp.flags_sent = 2 | 16 | 8;
  record.destination.port = 80;
  record.app.emplace();
  record.app->protocol = "HTTP";
  record.app->http_method = "GET";
  record.app->http_host = "db.shop";
  record.app->http_url = url;
  record.app->http_status = status;
  record.first_answer_ns = 12'000'000;
  return record;
}

}  // namespace knp::hubble

#endif  // KNP_TESTS_AGENT_HUBBLE_RECORDS_H_
