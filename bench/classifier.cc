// What it costs to tell applications by payloads: a mix of beginnings as a node sees them, and the worst case, flows in
// which nDPI finds nothing however long it looks.
#include "src/app/classifier.h"

#include <netinet/in.h>

#include <array>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/user_space.h"
#include "tests/support/payloads.h"

namespace knp::bench {
namespace {

constexpr std::uint64_t kFlows = 20'000;

double RssMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

struct Payload {
  std::string data{};
  bool from_opener = true;
  std::uint32_t sequence = 1;
};
struct Conversation {
  std::uint16_t port = 0;
  std::uint8_t protocol = IPPROTO_TCP;
  std::vector<Payload> payloads{};
};

Conversation Noise(std::uint16_t port) {
  std::mt19937 random(port);
  Conversation noise;
  noise.port = port;
  for (std::uint32_t i = 0; i < 8; ++i) {
    std::string bytes(i < 4 ? 600 : 256, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
    noise.payloads.push_back({bytes, i % 2 == 0, 1 + i / 2 * 600});
  }
  return noise;
}

double NsASample(app::Classifier& classifier, const std::vector<Conversation>& conversations) {
  const std::uint64_t samples_before = classifier.stats().samples;
  const double before = ThreadCpuNs();
  for (std::uint64_t id = 0; id < kFlows; ++id) {
    const Conversation& conversation = conversations[id % conversations.size()];
    for (const Payload& payload : conversation.payloads) {
      PayloadSample sample;
      sample.tuple.protocol = conversation.protocol;
      sample.tuple.source_port = payload.from_opener ? 40000 : conversation.port;
      sample.tuple.destination_port = payload.from_opener ? conversation.port : 40000;
      sample.sequence = payload.sequence;
      sample.length = static_cast<std::uint32_t>(payload.data.size());
      sample.data = testing::AsBytes(payload.data);
      classifier.OnPayload(sample, id, payload.from_opener);
    }
    classifier.Forget(id);
  }
  return (ThreadCpuNs() - before) / static_cast<double>(classifier.stats().samples - samples_before);
}

}  // namespace

void MeasureClassifier(const std::string&, UserSpaceResult* result) {
  const double before = RssMib();
  const auto classifier = app::Classifier::Create();
  if (!classifier.ok()) Die(std::string(classifier.status().message()));
  result->classifier_mib = RssMib() - before;
  const std::string hello = testing::TlsClientHello({.server_name = "www.youtube.com", .alpn = {"h2", "http/1.1"}});
  const std::string split = testing::TlsClientHello({.server_name = "api.example", .key_share_size = 1700});
  const std::vector<Conversation> mix = {
      {.port = 443, .payloads = {{hello}}},
      {.port = 443, .payloads = {{split.substr(0, 1400)}, {split.substr(1400), true, 1401}}},
      {.port = 8080,
       .payloads = {{"GET /a?b=c HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl\r\nAccept: */*\r\n\r\n"},
                    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false}}},
      {.port = 53, .protocol = IPPROTO_UDP, .payloads = {{testing::DnsQuery({"www", "example", "org"})}}},
      {.port = 22, .payloads = {{"SSH-2.0-OpenSSH_9.2\r\n", false}}},
      Noise(31337),
  };
  result->ns_a_sample = NsASample(**classifier, mix);
  result->ns_a_hard_sample = NsASample(**classifier, {Noise(31337), Noise(443), Noise(80)});
}

}  // namespace knp::bench
