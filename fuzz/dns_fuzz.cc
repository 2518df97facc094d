// libFuzzer over all that reads the name service's payloads: the first byte says how the rest is shown to a tracker
// with small bounds: as one message, as messages one after another, or as segments of a TCP connection. Buffers have
// exactly their data's size, so that ASAN sees any read beyond.
//
// KNP_WRITE_SEEDS=DIR writes the unit tests' messages there as a corpus to start from, and ends.
#include <netinet/in.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "src/dns/message.h"
#include "src/dns/reader.h"
#include "src/dns/tracker.h"
#include "tests/support/dns_bytes.h"

namespace {

using knp::testing::Be16;
using knp::testing::Bytes;
using knp::testing::Join;

#define KNP_CHECK(condition)                                             \
  do {                                                                   \
    if (!(condition)) {                                                  \
      std::fprintf(stderr, "dns_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                      \
    }                                                                    \
  } while (0)

void CheckText(const std::string& text) {
  KNP_CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  KNP_CHECK(text.size() <= 2200);
}

void CheckTransaction(const knp::DnsTransaction& transaction) {
  CheckText(transaction.name);
  KNP_CHECK(transaction.answers.size() <= knp::dns::kMaxAnswers);
  for (const std::string& answer : transaction.answers) CheckText(answer);
  KNP_CHECK(!transaction.timed_out || !transaction.latency_ns);
}

void CheckMessage(std::span<const std::uint8_t> data, std::size_t length) {
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[data.size()]);
  std::copy(data.begin(), data.end(), exact.get());
  knp::dns::Message message;
  const knp::dns::Verdict verdict = knp::dns::Parse({exact.get(), data.size()}, length, &message);
  if (verdict != knp::dns::Verdict::kMessage) return;
  KNP_CHECK(data.size() >= knp::dns::kHeaderSize);
  KNP_CHECK(message.cut || data.size() == length);
  KNP_CHECK(message.answers.size() <= knp::dns::kMaxAnswers);
  if (message.question) CheckText(message.question->name);
  for (const knp::dns::Answer& answer : message.answers) {
    CheckText(answer.owner);
    CheckText(answer.text);
  }
}

// Pieces of the input, each with a control byte before it: its size and what happens to it.
class Pieces {
 public:
  Pieces(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool Next(std::uint8_t* control, std::span<const std::uint8_t>* piece) {
    if (size_ < 2) return false;
    *control = data_[0];
    const std::size_t length = std::min<std::size_t>(data_[1], size_ - 2);
    *piece = {data_ + 2, length};
    data_ += 2 + length;
    size_ -= 2 + length;
    return true;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// Control byte of a piece: direction (1), interface (2), time passes (4), a gap before it (8), sent again (16), cut
// (32), the other conversation (64), forgotten before (128).
void Track(const std::uint8_t* input, std::size_t size, std::uint8_t protocol, std::uint16_t port) {
  knp::dns::Tracker::Options options;
  options.queries = 4;
  options.flows = 2;
  options.flow_text_bytes = 2000;
  options.stream_bytes = 600;
  options.names.capacity = 4;
  options.names.shared = size & 1;
  std::uint64_t completed = 0, now = 1'000'000'000;
  knp::dns::Tracker tracker(options, [&](const knp::dns::Completion& completion) {
    ++completed;
    CheckTransaction(completion.transaction);
  });
  std::uint32_t sequence[2] = {0xffffffc0, 100};
  std::uint8_t control = 0;
  std::span<const std::uint8_t> piece;
  for (Pieces pieces(input, size); pieces.Next(&control, &piece);) {
    const unsigned back = control & 1;
    const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[piece.size()]);
    std::copy(piece.begin(), piece.end(), exact.get());
    knp::PayloadSample sample;
    sample.tuple.protocol = protocol;
    sample.tuple.source = {10, 0, 0, 1};
    sample.tuple.destination = {10, 0, 0, 53};
    sample.tuple.source_port = static_cast<std::uint16_t>(40000 + (control >> 6 & 1));
    sample.tuple.destination_port = port;
    if (back) {
      std::swap(sample.tuple.source, sample.tuple.destination);
      std::swap(sample.tuple.source_port, sample.tuple.destination_port);
    }
    sample.interface = control >> 1 & 1;
    if (control & 4) now += 3'000'000'000;
    if (control & 8) sequence[back] += 5;
    if (control & 16) sequence[back] -= 9;
    if (control & 128) tracker.Forget(1);
    sample.mono_ns = now;
    sample.sequence = sequence[back];
    sample.data = {exact.get(), piece.size()};
    sample.length = static_cast<std::uint32_t>(piece.size() + (control & 32 ? 20 : 0));
    sequence[back] += sample.length;
    tracker.OnPayload(sample, 1 + (control >> 6 & 1));
    tracker.Advance(now, 1);
    KNP_CHECK(tracker.names().size() <= 4);
    for (const std::uint64_t flow_id : {1, 2})
      if (const knp::DnsDetail* detail = tracker.Find(flow_id)) CheckTransaction(detail->last);
  }
  tracker.Finish(now + 10'000'000'000);
  KNP_CHECK(completed <= tracker.statistics().messages);
}

Bytes Piece(std::uint8_t control, const Bytes& bytes) {
  return Join({{control, static_cast<std::uint8_t>(bytes.size())}, bytes});
}

void WriteSeed(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (file.flush()) return;
  std::fprintf(stderr, "dns_fuzz: cannot write the seed %s\n", path.c_str());
  std::exit(1);
}

void WriteSeeds(const std::string& folder) {
  const Bytes query = knp::testing::DnsQuery(3, "www.example.com");
  for (const auto& [name, bytes] : knp::testing::DnsExamples()) {
    const Bytes framed = Join({Be16(static_cast<unsigned>(bytes.size())), bytes});
    const Bytes half(framed.begin(), framed.begin() + static_cast<std::ptrdiff_t>(framed.size() / 2));
    const Bytes rest(framed.begin() + static_cast<std::ptrdiff_t>(framed.size() / 2), framed.end());
    WriteSeed(folder + "/message_" + name, Join({{0}, bytes}));
    WriteSeed(folder + "/udp_" + name, Join({{1}, Piece(0, query), Piece(1, bytes)}));
    WriteSeed(folder + "/mdns_" + name, Join({{2}, Piece(0, query), Piece(1, bytes)}));
    WriteSeed(
        folder + "/tcp_" + name,
        Join(
            {{3}, Piece(0, Join({Be16(static_cast<unsigned>(query.size())), query})), Piece(1, half), Piece(1, rest)}));
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::uint8_t mode = data[0] & 3;
  ++data;
  --size;
  switch (mode) {
    case 0:
      CheckMessage({data, size}, size);
      CheckMessage({data, size - size / 4}, size);
      break;
    case 1: Track(data, size, IPPROTO_UDP, 53); break;
    case 2: Track(data, size, IPPROTO_UDP, 5353); break;
    default: Track(data, size, IPPROTO_TCP, 53);
  }
  return 0;
}
