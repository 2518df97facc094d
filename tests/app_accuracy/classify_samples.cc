// Payload samples on standard input, what the classifier made of each flow on standard output. For app_accuracy.py
// beside it, which takes the samples out of captures as the kernel would.
//
// A sample, all little-endian: u64 flow, u64 time in ns, u8 protocol, u8 from opener, u8 IP version, u8 0, 16 B source,
// 16 B destination, u16 source port, u16 destination port, u32 sequence, u32 length, u32 bytes that follow. Flow ~0 asks
// for the outcomes and begins anew: a line of tab-separated texts for each flow, then an empty one.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "src/app/classifier.h"

namespace {

#pragma pack(push, 1)
struct Header {
  std::uint64_t flow, mono_ns;
  std::uint8_t protocol, from_opener, ip_version, pad;
  std::array<std::uint8_t, 16> source, destination;
  std::uint16_t source_port, destination_port;
  std::uint32_t sequence, length, size;
};
#pragma pack(pop)
static_assert(sizeof(Header) == 68);

std::uint64_t CpuNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

long RssKb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  return 0;
}

}  // namespace

int main() {
  const long before = RssKb();
  auto classifier = knp::app::Classifier::Create({.max_detections = 1 << 16, .max_flows = 1 << 20});
  if (!classifier.ok()) {
    std::fprintf(stderr, "classify_samples: %s\n", std::string(classifier.status().message()).c_str());
    return 1;
  }
  std::fprintf(stderr, "RSS: %ld KB before, %ld KB with the classifier\n", before, RssKb());
  std::vector<std::uint64_t> flows;
  std::vector<std::uint8_t> data;
  std::uint64_t ns = 0, samples = 0, all_flows = 0;
  Header h;
  while (std::fread(&h, sizeof h, 1, stdin) == 1) {
    if (h.flow == ~std::uint64_t{0}) {
      for (const std::uint64_t id : flows) {
        const knp::AppDetail* detail = (*classifier)->Find(id);
        const knp::AppDetail none;
        const knp::AppDetail& d = detail ? *detail : none;
        std::printf("%llu\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", static_cast<unsigned long long>(id), d.protocol.c_str(),
                    d.application.c_str(), d.server_name.c_str(), d.alpn.c_str(), d.http_method.c_str(),
                    d.http_host.c_str(), d.http_url.c_str(), d.http_status.value_or(0));
        (*classifier)->Forget(id);
      }
      std::printf("\n");
      std::fflush(stdout);
      all_flows += flows.size();
      flows.clear();
      continue;
    }
    data.resize(h.size);
    if (h.size && std::fread(data.data(), h.size, 1, stdin) != 1) break;
    if (std::find(flows.begin(), flows.end(), h.flow) == flows.end()) flows.push_back(h.flow);
    knp::PayloadSample sample;
    sample.tuple.source = h.source;
    sample.tuple.destination = h.destination;
    sample.tuple.source_port = h.source_port;
    sample.tuple.destination_port = h.destination_port;
    sample.tuple.protocol = h.protocol;
    sample.tuple.ip_version = h.ip_version;
    sample.mono_ns = h.mono_ns;
    sample.sequence = h.sequence;
    sample.length = h.length;
    sample.data = data;
    const std::uint64_t start = CpuNs();
    (*classifier)->OnPayload(sample, h.flow, h.from_opener != 0);
    ns += CpuNs() - start;
    ++samples;
  }
  const auto& s = (*classifier)->stats();
  std::fprintf(stderr,
               "RSS: %ld KB at the end; %llu samples given, %llu looked at, %llu flows: %llu ns a sample given, %llu "
               "ns a flow (CPU, with the "
               "clock's own price); identified %llu, unknown %llu, given up %llu, evicted %llu\n",
               RssKb(), static_cast<unsigned long long>(samples), static_cast<unsigned long long>(s.samples),
               static_cast<unsigned long long>(all_flows), static_cast<unsigned long long>(samples ? ns / samples : 0),
               static_cast<unsigned long long>(all_flows ? ns / all_flows : 0),
               static_cast<unsigned long long>(s.identified), static_cast<unsigned long long>(s.unknown),
               static_cast<unsigned long long>(s.given_up), static_cast<unsigned long long>(s.evicted));
  return 0;
}
