// libFuzzer over what ICMP errors quote, and over the stages that conversations reach by it: the input is told to a flow table
// as ICMP errors, flags, counts and SCTP chunks of few tuples. Buffers have exactly their data's size, so that ASAN sees any
// read beyond.
//
// KNP_WRITE_SEEDS=DIR writes a corpus to start from there, and ends.
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/flow/flow_table.h"
#include "src/flow/icmp_quote.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

#define KNP_CHECK(condition)                                                    \
  do {                                                                          \
    if (!(condition)) {                                                         \
      std::fprintf(stderr, "icmp_quote_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                             \
    }                                                                           \
  } while (0)

// An error of `version` whose type and code are the next two bytes, and what it quotes.
std::optional<knp::FlowTuple> Quote(std::span<const std::uint8_t> data, std::uint8_t version) {
  if (data.size() < 2) return std::nullopt;
  const std::size_t size = data.size() - 2;
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[size]);
  std::copy(data.begin() + 2, data.end(), exact.get());
  knp::PayloadSample sample;
  sample.tuple.ip_version = version;
  sample.tuple.protocol = static_cast<std::uint8_t>(version == 4 ? IPPROTO_ICMP : +IPPROTO_ICMPV6);
  sample.tuple.destination_port = static_cast<std::uint16_t>(data[0] << 8 | data[1]);
  sample.data = {exact.get(), size};
  const std::optional<knp::FlowTuple> tuple = knp::flow::QuotedTuple(sample);
  if (tuple) {
    KNP_CHECK(size >= (version == 4 ? 24U : 44U));
    KNP_CHECK(tuple->ip_version == version);
    KNP_CHECK(version == 6 || std::all_of(tuple->source.begin() + 4, tuple->source.end(), [](auto b) { return !b; }));
  }
  return tuple;
}

class Told {
 public:
  void OnStage(const knp::Contact& contact, knp::Stage before) {
    KNP_CHECK(contact.stage != before && contact.stage != knp::Stage::kNone);
    KNP_CHECK(before != knp::Stage::kNone || !contact.swapped);
    KNP_CHECK(++stages_ <= 3 * news_ + 3);
  }
  void News() { news_++; }

 private:
  std::uint64_t stages_ = 0, news_ = 0;
};

// Pieces of four bytes: what is told, the tuple, flags, size.
void Walk(std::span<const std::uint8_t> data) {
  Told told;
  const std::string name = "eth0";
  knp::flow::FlowTable table(
      {.capacity = 4},
      {.places = {.name = [&](knp::InterfaceId) -> const std::string& { return name; },
                  .vantage = [](knp::InterfaceId) { return knp::Vantage::kNode; }},
       .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; },
       .emit = nullptr,
       .complete = nullptr,
       .on_traffic = nullptr,
       .on_carried = [](const knp::Contact&, const knp::Carried&) {},
       .on_stage = [&](const knp::Contact& contact, knp::Stage before) { told.OnStage(contact, before); },
       .on_end = nullptr});
  static constexpr std::uint8_t kProtocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP};
  for (std::uint64_t now = 1'000'000'000; data.size() >= 4; data = data.subspan(4), now += 300'000) {
    const std::uint8_t what = data[0], which = data[1], flags = data[2], size = data[3];
    knp::FlowTuple tuple;
    tuple.protocol = kProtocols[which & 3];
    tuple.source = {10, 0, 0, 1};
    tuple.destination = {10, 0, 0, static_cast<std::uint8_t>(2 + (which >> 2 & 3))};
    tuple.source_port = 40000;
    tuple.destination_port = tuple.protocol == IPPROTO_ICMP ? std::uint16_t{0x0800} : std::uint16_t{80};
    if (which & 0x10) std::swap(tuple.source, tuple.destination), std::swap(tuple.source_port, tuple.destination_port);
    if (tuple.protocol == IPPROTO_ICMP && which & 0x10) tuple.source_port = 40000, tuple.destination_port = 0;
    told.News();
    switch (what & 3) {
      case 0: {
        knp::PacketNotice notice;
        notice.tuple = tuple;
        notice.tcp_flags = flags;
        notice.mono_ns = now;
        table.Notice(notice);
        break;
      }
      case 1: {
        knp::FlowDelta delta;
        delta.tuple = tuple;
        delta.tcp_flags = flags;
        delta.count = {1, size};
        delta.first_mono_ns = now - (what >> 2) * std::uint64_t{1000};
        delta.last_mono_ns = now;
        table.Add(delta);
        break;
      }
      case 2: {
        knp::PayloadSample sample;
        sample.tuple = tuple;
        sample.tcp_flags = flags;
        sample.mono_ns = now;
        sample.data = data.subspan(3, size & 1);
        sample.length = size;
        table.Payload(sample);
        break;
      }
      default: table.Refused(tuple, 0, now);
    }
    if (what & 0x40) table.Advance(now, 4);
    KNP_CHECK(table.size() <= 4);
  }
  while (!table.EndSome(4)) {
  }
}

void WriteSeed(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (file.flush()) return;
  std::fprintf(stderr, "icmp_quote_fuzz: cannot write the seed %s\n", path.c_str());
  std::exit(1);
}

void WriteSeeds(const std::string& folder) {
  Bytes v4(3 + 28), v6(3 + 48);
  v4[0] = 0, v4[1] = 3, v4[2] = 3, v4[3] = 0x45, v4[3 + 9] = IPPROTO_UDP, v4[3 + 12] = 10, v4[3 + 20] = 0xc3;
  v6[0] = 1, v6[1] = 1, v6[2] = 4, v6[3] = 0x60, v6[3 + 6] = IPPROTO_TCP, v6[3 + 8] = 0x20, v6[3 + 40] = 0xc3;
  WriteSeed(folder + "/quote4", v4);
  WriteSeed(folder + "/quote6", v6);
  WriteSeed(folder + "/handshake", {2, 0, 0, 2, 0, 0, 16, 18, 0, 1, 0, 26, 200, 1, 16, 26, 250});
  WriteSeed(folder + "/refused", {2, 1, 1, 0, 60, 3, 1, 0, 0, 1, 17, 0, 60});
  WriteSeed(folder + "/sctp", {2, 2, 2, 0, 1, 2, 18, 0, 3, 2, 2, 0, 11});
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0: Quote(rest, 4); break;
    case 1: Quote(rest, 6); break;
    default: Walk(rest);
  }
  return 0;
}
