// libFuzzer over the application classifier, nDPI in it included. An input is a list of samples of a few flows: six bytes
// (flow, direction and protocol; port; offset of the sequence number; size, two) and the payload. Each payload is copied
// to a buffer of its own size, so that ASAN sees any read beyond. nDPI itself is not instrumented, but checked here is
// what it makes of its packets' lengths: the packet that it sees lies in a buffer with room behind it.
//
// KNP_WRITE_SEEDS=DIR writes a few real beginnings there as a corpus to start from, and ends.
#include <netinet/in.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "src/app/classifier.h"
#include "src/app/text.h"
#include "tests/support/payloads.h"

namespace {

using knp::testing::Number;

#define KNP_CHECK(condition)                                             \
  do {                                                                   \
    if (!(condition)) {                                                  \
      std::fprintf(stderr, "app_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                      \
    }                                                                    \
  } while (0)

constexpr std::array<std::uint16_t, 16> kPorts = {22,   25,   53,   80,   123,  161,  389,  443,
                                                  1883, 3306, 3478, 5060, 5353, 5432, 6881, 40001};
constexpr std::size_t kFlows = 8, kMaxDetections = 4;

void WriteSeeds(const std::string& folder) {
  const auto sample = [](char kind, char port, const std::string& data) {
    return std::string{kind, port, 0, 0} + Number(data.size(), 2) + data;
  };
  const std::string hello = knp::testing::TlsClientHello({.server_name = "www.youtube.com", .alpn = {"h2", "h3"}});
  const std::array<std::string, 5> seeds = {
      sample(0, 7, hello),
      sample(0, 3, "GET /index.html HTTP/1.1\r\nHost: a.example\r\n\r\n") + sample(1, 3, "HTTP/1.1 200 OK\r\n\r\n"),
      sample(2, 2, knp::testing::DnsQuery({"www", "example", "org"})),
      sample(0, 0, "SSH-2.0-OpenSSH_9.2\r\n") + sample(1, 0, "SSH-2.0-x\r\n"),
      sample(2, 11, "REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b\r\n\r\n"),
  };
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream file(folder + "/" + std::to_string(i), std::ios::binary);
    file << seeds[i];
    if (!file.flush()) std::exit(1);
  }
  std::exit(0);
}

void CheckText(const std::string& text, std::size_t limit) {
  KNP_CHECK(text.size() <= limit);
  KNP_CHECK(knp::app::PrintableText(text, limit) == text);
}

void CheckDetail(const knp::AppDetail& detail) {
  KNP_CHECK(!detail.protocol.empty());
  for (const std::string* text : {&detail.protocol, &detail.application, &detail.server_name, &detail.alpn,
                                  &detail.http_method, &detail.http_host})
    CheckText(*text, 255);
  CheckText(detail.http_url, 256);
  KNP_CHECK(!detail.http_status || (*detail.http_status >= 100 && *detail.http_status <= 599));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<knp::app::Classifier> classifier =
      *knp::app::Classifier::Create({.max_detections = kMaxDetections, .max_flows = kFlows});
  while (size >= 6) {
    const std::uint8_t kind = data[0], port = data[1];
    const std::uint32_t offset = std::uint32_t{data[2]} << 4 | data[3] >> 4;
    const std::size_t length = std::min<std::size_t>(std::size_t{data[4]} << 8 | data[5], size - 6);
    const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[length]);
    std::copy_n(data + 6, length, exact.get());
    data += 6 + length;
    size -= 6 + length;
    const bool from_opener = (kind & 1) == 0;
    knp::PayloadSample sample;
    sample.tuple.protocol = kind & 2 ? IPPROTO_UDP : IPPROTO_TCP;
    sample.tuple.ip_version = kind & 0x20 ? 6 : 4;
    if (kind & 0x40) sample.tuple.destination = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb};
    sample.tuple.source_port = from_opener ? 40000 : kPorts[port % kPorts.size()];
    sample.tuple.destination_port = from_opener ? kPorts[port % kPorts.size()] : 40000;
    sample.sequence = offset;
    sample.length = static_cast<std::uint32_t>(length);
    sample.data = {exact.get(), length};
    const std::uint64_t flow = kind >> 2 & 7;
    classifier->OnPayload(sample, flow, from_opener);
    if (const knp::AppDetail* detail = classifier->Find(flow)) CheckDetail(*detail);
    KNP_CHECK(classifier->stats().detections <= kMaxDetections);
    KNP_CHECK(classifier->stats().flows <= kFlows);
  }
  for (std::uint64_t flow = 0; flow < kFlows; ++flow) classifier->Forget(flow);
  KNP_CHECK(classifier->stats().flows == 0 && classifier->stats().detections == 0);
  return 0;
}
