// Whether every packet that the kernel counts in a slot is handed on exactly once: a model of the kernel's writer, with
// its single stores interleaved with the reader's scans, its look at one slot, and the reading of records.
#include "src/datapath/table_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <ostream>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace knp::datapath {
namespace {

struct Sum {
  std::uint64_t packets = 0, bytes = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
  friend void PrintTo(const Sum& sum, std::ostream* out) {
    *out << sum.packets << " packets " << sum.bytes << " bytes";
  }
};

// A key that lets the writer go on while the reader copies it: after the first look at the generation, before the rest.
struct TornKey : knp_key4 {
  TornKey() : knp_key4{} {}
  TornKey(const TornKey& other) : knp_key4(other) {
    if (on_copy) on_copy();
  }
  TornKey& operator=(const TornKey&) = default;
  static inline std::function<void()> on_copy;
};
struct TornBucket {
  TornKey key[KNP_WAYS];
  knp_flow flow[KNP_WAYS];
};

template <typename T>
void Store(T& where, T value) {
  __atomic_store_n(&where, value, __ATOMIC_RELEASE);
}

// The kernel's side, as bpf/lib/flow_set.h has it, one store at a time. Each owner has a key of its own, so that counts
// given to a wrong owner show.
template <typename Bucket, typename Key>
class Writer {
 public:
  struct Record {
    std::uint64_t index;
    Key key;
    knp_flow flow;
  };

  explicit Writer(std::size_t buckets) : buckets_(buckets) {}

  std::span<const Bucket> buckets() const { return buckets_; }
  std::size_t slots() const { return buckets_.size() * KNP_WAYS; }
  bool idle() const { return steps_.empty(); }
  void Step() {
    steps_.front()();
    steps_.pop_front();
  }
  void Settle() {
    while (!idle()) Step();
  }

  // A packet of the slot's owner.
  void Count(std::size_t slot, std::uint64_t bytes) {
    knp_flow* flow = &Flow(slot);
    Sum* truth = &truth_[owner_[slot]];
    steps_.push_back([=] { Store<__u64>(flow->packets, flow->packets + 1), truth->packets++; });
    steps_.push_back([=] { Store<__u64>(flow->bytes, flow->bytes + bytes), truth->bytes += bytes; });
  }

  // A packet of a new flow, which takes the slot; the owner before it is told first.
  void Take(std::size_t slot, std::uint64_t bytes) {
    knp_flow* flow = &Flow(slot);
    Key* key = &buckets_[slot / KNP_WAYS].key[slot % KNP_WAYS];
    if (owner_.contains(slot))
      steps_.push_back([=, this] {
        const std::lock_guard lock(mutex_);
        records_.push_back({slot, *key, *flow});
      });
    const std::uint32_t owner = ++owners_;
    owner_[slot] = owner;
    Sum* truth = &truth_[owner];
    const auto bump = [=] { Store<__u16>(flow->generation, static_cast<__u16>(flow->generation + 1)); };
    steps_.push_back(bump);
    steps_.push_back([=] {
      key->meta = owner;
      std::memset(static_cast<void*>(key), static_cast<int>(owner), offsetof(Key, meta));
    });
    steps_.push_back([=] { Store<__u64>(flow->packets, 1); });
    steps_.push_back([=] { Store<__u64>(flow->bytes, bytes); });
    steps_.push_back([=] { Store<__u8>(flow->tcp_flags, static_cast<__u8>(owner)); });
    steps_.push_back([=] { bump(), truth->packets = 1, truth->bytes = bytes; });
  }

  bool Pop(Record* record) {
    const std::lock_guard lock(mutex_);
    if (records_.empty()) return false;
    *record = records_.front();
    records_.pop_front();
    return true;
  }

  knp_flow& Flow(std::size_t slot) { return buckets_[slot / KNP_WAYS].flow[slot % KNP_WAYS]; }
  const std::map<std::uint32_t, Sum>& truth() const { return truth_; }

 private:
  std::vector<Bucket> buckets_;
  std::map<std::size_t, std::uint32_t> owner_;  // by slot
  std::map<std::uint32_t, Sum> truth_;          // by owner
  std::uint32_t owners_ = 0;
  std::deque<std::function<void()>> steps_;
  std::mutex mutex_;
  std::deque<Record> records_;
};

// The user's side: everything that was emitted, by owner.
template <typename Bucket, typename Key>
class Reader {
 public:
  explicit Reader(Writer<Bucket, Key>* writer) : writer_(writer), table_(writer->buckets()) {}
  // Of a table that cannot be mapped: `copy` is the system call.
  Reader(Writer<Bucket, Key>* writer, std::size_t step, typename TableReader<Bucket, Key>::Copier copy)
      : writer_(writer), table_(writer->buckets().size(), step, std::move(copy)) {}

  void Scan(std::size_t first = 0, std::size_t count = SIZE_MAX / 2) { table_.Scan(first, count, Emit()); }
  bool Consume() {
    typename Writer<Bucket, Key>::Record record;
    if (!writer_->Pop(&record)) return false;
    EXPECT_TRUE(table_.Evicted(record.index, record.key, record.flow, Emit()));
    return true;
  }
  void ConsumeAll() {
    while (Consume()) {
    }
  }
  const std::map<std::uint32_t, Sum>& sums() const { return sums_; }
  std::size_t emitted() const { return emitted_; }
  TableReader<Bucket, Key>& table() { return table_; }

  auto Emit() {
    return [this](const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes) {
      const auto* bytes_of_key = reinterpret_cast<const std::uint8_t*>(&key);
      for (std::size_t i = 0; i < offsetof(Key, meta); i++)
        EXPECT_EQ(bytes_of_key[i], static_cast<std::uint8_t>(key.meta)) << "a key of two owners";
      EXPECT_EQ(flow.generation & 1, 0);
      EXPECT_EQ(flow.tcp_flags, static_cast<__u8>(key.meta)) << "counts of another owner";
      EXPECT_TRUE(packets != 0 || bytes != 0);
      EXPECT_LE(packets, flow.packets);
      sums_[key.meta].packets += packets;
      sums_[key.meta].bytes += bytes;
      emitted_++;
    };
  }

 private:
  Writer<Bucket, Key>* writer_;
  TableReader<Bucket, Key> table_;
  std::map<std::uint32_t, Sum> sums_;
  std::size_t emitted_ = 0;
};

using Writer4 = Writer<knp_bucket4, knp_key4>;
using Reader4 = Reader<knp_bucket4, knp_key4>;

template <typename Bucket, typename Key>
void RunRandomly(std::size_t buckets, unsigned seed, int operations) {
  std::mt19937 random(seed);
  Writer<Bucket, Key> writer(buckets);
  Reader<Bucket, Key> reader(&writer);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto write = [&] {
    if (writer.idle()) {
      const std::size_t slot = below(writer.slots());
      below(3) == 0 ? writer.Take(slot, 60 + below(1500)) : writer.Count(slot, 60 + below(1500));
    }
    writer.Step();
  };
  const auto scan = [&](std::size_t first, std::size_t count) {
    bool writing = false;  // the writer copies keys, too
    TornKey::on_copy = [&] {
      if (std::exchange(writing, true)) return;
      for (std::size_t steps = below(12); steps > 0; steps--) write();
      writing = false;
    };
    reader.Scan(first, count);
    TornKey::on_copy = nullptr;
  };
  for (std::size_t slot = 0; slot < writer.slots(); slot++) writer.Take(slot, 60);
  for (int i = 0; i < operations; i++) {
    write();
    switch (below(4)) {
      case 0: scan(below(buckets), 1 + below(buckets)); break;
      case 1: reader.Consume(); break;
      default: break;
    }
    if (i % 64 == 0) {
      for (const auto& [owner, sum] : reader.sums()) {
        const Sum& truth = writer.truth().at(owner);
        ASSERT_LE(sum.packets, truth.packets) << "owner " << owner;
        ASSERT_LE(sum.bytes, truth.bytes) << "owner " << owner;
      }
    }
  }
  writer.Settle();
  reader.ConsumeAll();
  reader.Scan();
  ASSERT_EQ(reader.sums(), writer.truth()) << "seed " << seed;
}

TEST(TableReader, RandomInterleavings_SumsAreExact) {
  for (unsigned seed = 1; seed <= 30; seed++) RunRandomly<knp_bucket4, knp_key4>(1 + seed % 3, seed, 3000);
}

TEST(TableReader, RandomInterleavingsOfIpv6_SumsAreExact) {
  for (unsigned seed = 1; seed <= 15; seed++) RunRandomly<knp_bucket6, knp_key6>(1 + seed % 3, seed, 3000);
}

TEST(TableReader, SlotRewrittenWhileItIsRead_SumsAreExact) {
  for (unsigned seed = 1; seed <= 30; seed++) RunRandomly<TornBucket, TornKey>(1 + seed % 2, seed, 3000);
}

// The table is copied by a kernel that promises no order of its words, while the writer goes on.
template <typename Bucket, typename Key>
void CopyRandomly(std::size_t buckets, std::size_t step, unsigned seed, int operations) {
  std::mt19937 random(seed);
  Writer<Bucket, Key> writer(buckets);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto write = [&] {
    if (writer.idle()) {
      const std::size_t slot = below(writer.slots());
      below(3) == 0 ? writer.Take(slot, 60 + below(1500)) : writer.Count(slot, 60 + below(1500));
    }
    writer.Step();
  };
  std::size_t copies = 0;
  bool quiet = false;
  Reader<Bucket, Key> reader(&writer, step, [&](std::size_t first, std::size_t count, Bucket* to) {
    if (!quiet && below(50) == 0) return false;  // no memory for it this time
    EXPECT_EQ(first % step, 0u);
    EXPECT_LE(first + count, buckets);
    copies++;
    std::vector<std::size_t> words(count * sizeof(Bucket) / sizeof(std::uint64_t));
    std::iota(words.begin(), words.end(), std::size_t{0});
    std::shuffle(words.begin(), words.end(), random);
    const std::size_t busy = quiet ? 0 : below(4);
    for (const std::size_t word : words) {
      std::memcpy(reinterpret_cast<std::uint64_t*>(to) + word,
                  reinterpret_cast<const std::uint64_t*>(writer.buckets().data() + first) + word,
                  sizeof(std::uint64_t));
      if (below(16) < busy) write();
    }
    return true;
  });
  for (std::size_t slot = 0; slot < writer.slots(); slot++) writer.Take(slot, 60);
  for (int i = 0; i < operations; i++) {
    write();
    if (below(4) == 0) reader.Scan(below(buckets), 1 + below(buckets));
    if (below(3) == 0) reader.Consume();
    for (const auto& [owner, sum] : reader.sums()) {
      ASSERT_LE(sum.packets, writer.truth().at(owner).packets) << "owner " << owner;
      ASSERT_LE(sum.bytes, writer.truth().at(owner).bytes) << "owner " << owner;
    }
  }
  EXPECT_GT(reader.emitted(), 0u) << "live slots were never read";
  quiet = true;
  writer.Settle();
  reader.ConsumeAll();
  reader.Scan();
  ASSERT_EQ(reader.sums(), writer.truth()) << "seed " << seed;
  const std::size_t before = copies;
  reader.Scan();
  EXPECT_EQ(copies - before, (buckets + step - 1) / step) << "nothing new needs one copy";
}

TEST(TableReader, CopiedInAnyOrderWhileItIsWritten_SumsAreExact) {
  for (unsigned seed = 1; seed <= 30; seed++)
    CopyRandomly<knp_bucket4, knp_key4>(1 + seed % 5, 1 + seed % 3, seed, 3000);
  for (unsigned seed = 1; seed <= 15; seed++)
    CopyRandomly<knp_bucket6, knp_key6>(1 + seed % 5, 1 + seed % 2, seed, 3000);
}

TEST(TableReader, GenerationWrapsAround_SumsAreExact) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  std::mt19937 random(7);
  for (int owner = 0; owner < 50'000; owner++) {      // 32,768 owners use the generations up
    const std::size_t slot = owner % 5 == 4 ? 1 : 0;  // slot 0 wraps, slot 1 does not
    writer.Take(slot, 100);
    writer.Count(slot, 50);
    while (!writer.idle()) {
      writer.Step();
      if (random() % 4 == 0) reader.Scan();
    }
    if (random() % 2) reader.ConsumeAll();
  }
  reader.ConsumeAll();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
  EXPECT_EQ(writer.Flow(0).generation, 2 * 40'000 - 65'536);
}

TEST(TableReader, GenerationZeroIsAnOwnerAfterTheWrap_NotAnEmptySlot) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  for (int owner = 0; owner < 32768; owner++) {
    writer.Take(0, 100);
    writer.Settle();
    reader.ConsumeAll();
  }
  ASSERT_EQ(writer.Flow(0).generation, 0);
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
  writer.Take(0, 70);  // and its eviction record, of generation 0, is in step
  writer.Settle();
  reader.ConsumeAll();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}

TEST(TableReader, SlotBeingRewritten_IsSkipped) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  writer.Take(0, 100);
  writer.Settle();
  reader.Scan();
  writer.Take(0, 200);
  while (!writer.idle()) {
    const std::size_t before = reader.emitted();
    writer.Step();
    reader.Scan();
    EXPECT_EQ(reader.emitted(), before);  // odd generation, then one whose record was not read
  }
  EXPECT_TRUE(reader.Consume());
  EXPECT_EQ(reader.emitted(), 1u);  // the first owner had been told whole
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}

TEST(TableReader, RecordReadBeforeTheRewriteBegan_OldCountsAreNotToldAgain) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  writer.Take(0, 100);
  writer.Settle();
  writer.Take(0, 200);
  writer.Step();  // the record stands in the ring, the slot is untouched
  ASSERT_TRUE(reader.Consume());
  reader.Scan();
  EXPECT_EQ(reader.sums(), (std::map<std::uint32_t, Sum>{{1, {1, 100}}}));
  writer.Settle();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}

TEST(TableReader, ReadBetweenPacketsAndBytes_BytesComeWithTheNextScan) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  writer.Take(0, 100);
  writer.Settle();
  reader.Scan();
  writer.Count(0, 1400);
  writer.Step();
  reader.Scan();  // the packet without its bytes
  EXPECT_EQ(reader.sums().at(1), (Sum{2, 100}));
  writer.Settle();
  reader.Scan();
  EXPECT_EQ(reader.sums().at(1), (Sum{2, 1500}));
}

TEST(TableReader, ReadBetweenPacketsAndBytes_BytesComeWithTheEviction) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  writer.Take(0, 100);
  writer.Count(0, 1400);
  while (writer.Flow(0).packets != 2) writer.Step();
  reader.Scan();
  EXPECT_EQ(reader.sums().at(1), (Sum{2, 100}));
  writer.Take(0, 60);
  writer.Settle();
  reader.ConsumeAll();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}

TEST(TableReader, NothingNew_NothingEmitted) {
  Writer4 writer(2);
  Reader4 reader(&writer);
  reader.Scan();
  EXPECT_EQ(reader.emitted(), 0u);
  writer.Take(3, 100);
  writer.Settle();
  reader.Scan();
  reader.Scan();
  EXPECT_EQ(reader.emitted(), 1u);
}

TEST(TableReader, BytesBeyond48Bits_DeltaIsExact) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  writer.Take(0, (std::uint64_t{1} << 48) - 100);
  writer.Settle();
  reader.Scan();
  writer.Count(0, 1500);
  writer.Settle();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
  writer.Count(0, 9000);
  writer.Take(0, 60);
  writer.Settle();
  reader.ConsumeAll();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}

TEST(TableReader, RangeBeyondTheEnd_IsCut) {
  Writer4 writer(3);
  Reader4 reader(&writer);
  for (std::size_t slot = 0; slot < writer.slots(); slot++) writer.Take(slot, 60);
  writer.Settle();
  reader.Scan(1, 1);
  EXPECT_EQ(reader.emitted(), 4u);
  reader.Scan(2, 100);
  EXPECT_EQ(reader.emitted(), 8u);
  reader.Scan(3, 1);
  EXPECT_EQ(reader.emitted(), 8u);
}

TEST(TableReader, RecordOfNoSlot_IsRefused) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  const knp_flow flow{
      .packets = 1, .bytes = 60, .first_ns = 0, .last_tick = 0, .tcp_flags = 0, .bits = 0, .generation = 2};
  EXPECT_FALSE(reader.table().Evicted(4, {}, flow, reader.Emit()));
  EXPECT_EQ(reader.emitted(), 0u);
}

TEST(TableReader, RecordOutOfStep_IsToldAndTakenWhole) {
  Writer4 writer(1);
  Reader4 reader(&writer);
  knp_flow flow{.packets = 5, .bytes = 600, .first_ns = 0, .last_tick = 0, .tcp_flags = 0, .bits = 0, .generation = 6};
  EXPECT_FALSE(reader.table().Evicted(0, {}, flow, reader.Emit()));  // generations 2 and 4 went missing
  EXPECT_EQ(reader.sums().at(0), (Sum{5, 600}));
  flow.generation = 8;
  EXPECT_TRUE(reader.table().Evicted(0, {}, flow, reader.Emit()));  // and in step again
}

// Under TSAN the reader's copy of a key is a race by design: the generation tells afterwards that it is void.
#if !defined(__SANITIZE_THREAD__)
TEST(TableReader, WriterOnAnotherThread_SumsAreExact) {
  Writer4 writer(2);
  Reader4 reader(&writer);
  std::atomic<bool> done = false;
  std::thread kernel([&] {
    std::mt19937 random(11);
    for (std::size_t slot = 0; slot < writer.slots(); slot++) writer.Take(slot, 60);
    for (int i = 0; i < 200'000; i++) {
      const std::size_t slot = random() % writer.slots();
      random() % 4 == 0 ? writer.Take(slot, 60 + random() % 1500) : writer.Count(slot, 60 + random() % 1500);
      writer.Settle();
    }
    done = true;
  });
  while (!done) {
    reader.Scan();
    reader.Scan();
    for (int i = 0; i < 16 && reader.Consume(); i++) {
    }
  }
  kernel.join();
  reader.ConsumeAll();
  reader.Scan();
  EXPECT_EQ(reader.sums(), writer.truth());
}
#endif

}  // namespace
}  // namespace knp::datapath
