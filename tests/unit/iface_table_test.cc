// The interface table as the kernel's programs search it, with collisions, removals and the array's end.
#include "src/datapath/iface_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace knp::datapath {
namespace {

// First place of an interface, as knp_find_iface in bpf/lib/hook.h computes it.
std::uint32_t StartOf(std::uint32_t ifindex) { return ifindex * 2654435761u >> 19; }

class IfaceTableTest : public testing::Test {
 protected:
  // As the kernel does it; nullptr: not found.
  const knp_iface_entry* Find(std::uint32_t ifindex) const {
    for (std::uint32_t i = 0; i < KNP_IFACE_PROBES; i++) {
      const knp_iface_entry& entry = memory_[(StartOf(ifindex) + i) & (KNP_IFACE_TABLE - 1)];
      if (entry.ifindex == ifindex) return &entry;
    }
    return nullptr;
  }

  void ExpectFound(std::uint32_t ifindex, std::uint16_t slot) const {
    const knp_iface_entry* entry = Find(ifindex);
    ASSERT_NE(entry, nullptr) << "interface index " << ifindex;
    EXPECT_EQ(entry->slot, slot);
  }

  // `count` indexes that share their first place, which is at least `from`.
  static std::vector<std::uint32_t> Colliding(std::size_t count, std::uint32_t from = 0) {
    std::map<std::uint32_t, std::vector<std::uint32_t>> by_start;
    for (std::uint32_t ifindex = 1;; ifindex++) {
      auto& all = by_start[StartOf(ifindex)];
      all.push_back(ifindex);
      if (all.size() == count && StartOf(ifindex) >= from) return all;
    }
  }

  std::size_t used() const {
    std::size_t n = 0;
    for (const knp_iface_entry& entry : memory_) n += entry.ifindex != 0;
    return n;
  }

  IfaceTable Empty() {
    memory_.assign(KNP_IFACE_TABLE, {});
    return IfaceTable([this](std::size_t index, const knp_iface_entry& entry) {
      memory_.at(index) = entry;
      return absl::OkStatus();
    });
  }

  std::vector<knp_iface_entry> memory_ = std::vector<knp_iface_entry>(KNP_IFACE_TABLE);
  IfaceTable table_ = Empty();
};

TEST_F(IfaceTableTest, Inserted_IsFoundWithItsSlotAndHeader) {
  ASSERT_TRUE(table_.Insert(2, 1, 14).ok());
  ASSERT_TRUE(table_.Insert(3, 2, 0).ok());
  ExpectFound(2, 1);
  ExpectFound(3, 2);
  EXPECT_EQ(Find(2)->l2_len, 14);
  EXPECT_EQ(Find(3)->l2_len, 0);
  EXPECT_EQ(Find(4), nullptr);
}

TEST_F(IfaceTableTest, Colliding_AsManyAsProbesAreFound) {
  const auto colliding = Colliding(KNP_IFACE_PROBES + 1);
  for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++) ASSERT_TRUE(table_.Insert(colliding[i], i + 1, 14).ok());
  const absl::Status status = table_.Insert(colliding[KNP_IFACE_PROBES], 99, 14);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(std::string(status.message()).find(std::to_string(colliding[KNP_IFACE_PROBES])), std::string::npos)
      << "says which";
  EXPECT_EQ(Find(colliding[KNP_IFACE_PROBES]), nullptr);
  for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++) ExpectFound(colliding[i], i + 1);
  EXPECT_EQ(used(), std::size_t{KNP_IFACE_PROBES});
}

TEST_F(IfaceTableTest, OneOfTheCollidingRemoved_TheOthersAreStillFoundAndThereIsRoom) {
  const auto colliding = Colliding(KNP_IFACE_PROBES + 1);
  for (std::size_t removed = 0; removed < KNP_IFACE_PROBES; removed++) {
    table_ = Empty();
    for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++) ASSERT_TRUE(table_.Insert(colliding[i], i + 1, 14).ok());
    EXPECT_TRUE(table_.Remove(colliding[removed]).ok());
    EXPECT_EQ(Find(colliding[removed]), nullptr);
    for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++)
      if (i != removed) ExpectFound(colliding[i], i + 1);
    ASSERT_TRUE(table_.Insert(colliding[KNP_IFACE_PROBES], 50, 0).ok());
    ExpectFound(colliding[KNP_IFACE_PROBES], 50);
  }
}

TEST_F(IfaceTableTest, CollidingAtTheArraysEnd_GoOnAtItsBeginning) {
  const auto colliding = Colliding(KNP_IFACE_PROBES, KNP_IFACE_TABLE - 2);
  for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++) ASSERT_TRUE(table_.Insert(colliding[i], i + 1, 14).ok());
  EXPECT_NE(memory_[0].ifindex, 0u);
  for (std::uint16_t i = 0; i < KNP_IFACE_PROBES; i++) ExpectFound(colliding[i], i + 1);
  for (std::uint32_t ifindex : colliding) EXPECT_TRUE(table_.Remove(ifindex).ok());
  EXPECT_EQ(used(), 0u);
}

TEST_F(IfaceTableTest, RemoveUnknown_ChangesNothing) {
  const auto colliding = Colliding(2);
  ASSERT_TRUE(table_.Insert(colliding[0], 1, 14).ok());
  EXPECT_TRUE(table_.Remove(colliding[1]).ok());
  EXPECT_TRUE(table_.Remove(12345).ok());
  ExpectFound(colliding[0], 1);
  EXPECT_EQ(used(), 1u);
}

TEST_F(IfaceTableTest, AsManyAsCanBeAttached_ConsecutiveIndexesAllFit) {
  for (std::uint32_t first : {1u, 1000u, 4'000'000u}) {
    table_ = Empty();
    for (std::uint32_t i = 0; i < KNP_MAX_IFACES; i++)
      ASSERT_TRUE(table_.Insert(first + i, static_cast<std::uint16_t>(i + 1), 14).ok()) << first + i;
    for (std::uint32_t i = 0; i < KNP_MAX_IFACES; i++) ExpectFound(first + i, static_cast<std::uint16_t>(i + 1));
  }
}

TEST_F(IfaceTableTest, DefaultNumberOfRandomIndexes_AllFit) {
  for (unsigned seed = 1; seed <= 100; seed++) {
    table_ = Empty();
    std::mt19937 random(seed);
    for (std::uint16_t slot = 1; slot <= 64; slot++)
      ASSERT_TRUE(table_.Insert(1 + random() % 0x7ffffffe, slot, 14).ok()) << "seed " << seed;
  }
}

TEST_F(IfaceTableTest, RandomInsertsAndRemovals_AgreeWithAModel) {
  std::mt19937 random(5);
  std::map<std::uint32_t, std::uint16_t> model;
  for (int i = 0; i < 20'000; i++) {
    const std::uint32_t ifindex = 1 + random() % 3000;
    const auto slot = static_cast<std::uint16_t>(1 + random() % KNP_MAX_IFACES);
    if (model.erase(ifindex)) {
      EXPECT_TRUE(table_.Remove(ifindex).ok());
    } else if (model.size() < 500 && table_.Insert(ifindex, slot, 14).ok()) {
      model[ifindex] = slot;
    }
    ASSERT_EQ(Find(ifindex) != nullptr, model.contains(ifindex));
  }
  for (const auto& [ifindex, slot] : model) ExpectFound(ifindex, slot);
  EXPECT_EQ(used(), model.size());
}

}  // namespace
}  // namespace knp::datapath
