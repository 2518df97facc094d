// The checkpoint against death at any instant: a child process works on it, instruction by instruction; after each one the
// memory is copied, as a killed process would leave it, put right, and held against what must be.
#include "src/datapath/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <memory>

namespace knp::datapath {
namespace {

constexpr std::uint32_t kSlots = 4;
constexpr std::size_t kShadows = 8;

// As it would be pinned.
struct Image {
  CheckpointHead head;
  InterfaceBook books[kSlots + 1];
  Shadow shadows[Checkpoint::kTables][kShadows];
};

std::unique_ptr<Checkpoint> Over(Image* image) {
  Checkpoint::Memory memory{.head = &image->head, .books = image->books, .shadows = {}};
  for (std::size_t table = 0; table < Checkpoint::kTables; table++) memory.shadows[table] = image->shadows[table];
  return std::make_unique<Checkpoint>(memory);
}

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    void* memory = mmap(nullptr, sizeof(Image), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    image_ = static_cast<Image*>(memory);
  }
  void TearDown() override { munmap(image_, sizeof(Image)); }

  // Calls `check` with each state that a death within `work` could leave, once it has been recovered.
  void DieAtEachInstruction(const std::function<void()>& work, const std::function<void(Image*, Checkpoint*)>& check) {
    const pid_t child = fork();
    if (child == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      work();
      _exit(0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    auto last = std::make_unique<Image>(*image_), copy = std::make_unique<Image>();
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
      if (std::memcmp(last.get(), image_, sizeof(Image)) != 0) {
        *last = *copy = *image_;
        const auto checkpoint = Over(copy.get());
        checkpoint->Recover();
        check(copy.get(), checkpoint.get());
        states_++;
        checkpoint->Recover();  // who recovers may die, too
        check(copy.get(), checkpoint.get());
        if (HasFailure()) break;
      }
      ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr), 0);
    }
    if (WIFSTOPPED(status)) kill(child, SIGKILL);
    EXPECT_TRUE(HasFailure() || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }

  Image* image_ = nullptr;
  int states_ = 0;
};

constexpr std::uint32_t kMeta = KNP_META(17, 0, 0, 2);
// Slot 3's owner of generation 2 had so many in the end; the next one counts from there on.
constexpr Count kFirstOwner{9, 900};

Count ReadFrom(const Shadow& shadow) {
  Count count{shadow.packets, shadow.bytes_settled >> 16};
  if (shadow.settled() == 2) count += kFirstOwner;
  return count;
}

TEST_F(CheckpointTest, Take_DeathAtAnyInstruction_ShadowAndSumAgree) {
  Over(image_)->Open(2, 0, "eth0", 7, 14, {});
  const auto take = [this](Shadow next, Count news) { Over(image_)->Take(Checkpoint::kFlows4, 3, next, kMeta, news); };
  DieAtEachInstruction(
      [&] {
        Shadow shadow{};
        shadow.Read(5, 500);
        take(shadow, {5, 500});
        shadow.Settle(2);
        take(shadow, {4, 400});
        shadow.Read(6, 66);
        take(shadow, {6, 66});
      },
      [&](Image* image, Checkpoint*) {
        const Count sum = image->books[2].Taken(), read = ReadFrom(image->shadows[0][3]);
        EXPECT_EQ(sum.packets, read.packets);
        EXPECT_EQ(sum.bytes, read.bytes);
      });
  EXPECT_GT(states_, 15);
  EXPECT_EQ(image_->books[2].taken[17].packets, 15u);
}

TEST_F(CheckpointTest, TakeOfInnerFlow_CountsInNoBook) {
  Over(image_)->Open(2, 0, "eth0", 7, 14, {});
  Shadow shadow{};
  shadow.Read(5, 500);
  Over(image_)->Take(Checkpoint::kFlowsInner, 1, shadow, kMeta, {5, 500});
  EXPECT_EQ(image_->books[2].Taken(), Count{});
  EXPECT_EQ(image_->shadows[2][1].packets, 5u);
}

KernelCounters Counters(std::uint64_t packets, std::uint64_t arp) {
  KernelCounters counters;
  static_cast<Count&>(counters.rx) = {packets, packets * 100};
  counters.remainder[KNP_R_ARP] = {arp, arp * 60};
  return counters;
}

struct Totals {
  Count flows, taken, delivered;
  friend bool operator==(const Totals&, const Totals&) = default;
};

Totals Sum(Checkpoint* checkpoint) {
  Totals totals;
  const auto add = [&totals](const InterfaceBook& book) {
    totals.flows += book.closed.InFlows();
    totals.taken += book.Taken();
    totals.delivered += book.delivered;
  };
  add(checkpoint->earlier());
  for (std::uint32_t slot = 1; slot < checkpoint->slots(); slot++)
    if (checkpoint->book(slot).state != BookState::kFree) add(checkpoint->book(slot));
  return totals;
}

TEST_F(CheckpointTest, OpenInUsedSlot_DeathAtAnyInstruction_NothingIsLostOrTwice) {
  const auto prepare = Over(image_);
  for (InterfaceId id = 0; id < 3; id++) {  // slot 1 was folded once already, slot 2 is closed
    const std::uint32_t slot = id == 2 ? 2 : 1;
    prepare->Open(slot, id, "veth", 10 + id, 14, {});
    Shadow shadow{};
    shadow.Read(20 + id, 2000);
    prepare->Take(Checkpoint::kFlows4, id, shadow, KNP_META(6, 0, 0, slot), {20 + id, 2000});
    prepare->Deliver(id, {15 + id, 1500});
    prepare->Close(slot, "veth", id == 2, Counters(30 + id, 3));
  }
  const Totals before = Sum(prepare.get());
  EXPECT_EQ(before.delivered.packets, 48u);
  DieAtEachInstruction(
      [&] {
        const auto checkpoint = Over(image_);
        checkpoint->Open(1, 7, "new", 20, 14, {});
        checkpoint->Open(2, 8, "newer", 21, 14, {});
      },
      [&](Image*, Checkpoint* checkpoint) { EXPECT_TRUE(Sum(checkpoint) == before); });
  EXPECT_GT(states_, 40);
  EXPECT_EQ(image_->books[1].ifindex, 20u);
  EXPECT_EQ(image_->books[2].ifindex, 21u);
}

TEST_F(CheckpointTest, Deliver_AfterTheSlotIsAnothers_CountsWithTheEarlierOnes) {
  const auto checkpoint = Over(image_);
  checkpoint->Open(1, 0, "a", 1, 14, {});
  checkpoint->Close(1, "a", false, Counters(5, 0));
  checkpoint->Open(1, 1, "b", 2, 14, {});
  checkpoint->Deliver(0, {3, 300});
  checkpoint->Deliver(1, {4, 400});
  EXPECT_EQ(checkpoint->earlier().delivered, (Count{3, 300}));
  EXPECT_EQ(checkpoint->book(1).delivered, (Count{4, 400}));
}

TEST_F(CheckpointTest, Continue_WhatWasTakenAndNotDelivered_IsLost) {
  const auto first = Over(image_);
  first->Open(1, 0, "a", 1, 14, {});
  Shadow shadow{};
  shadow.Read(10, 1000);
  first->Take(Checkpoint::kFlows4, 0, shadow, KNP_META(6, 0, 0, 1), {10, 1000});
  first->Deliver(0, {7, 700});
  const auto second = Over(image_);
  second->Recover();
  second->Continue(1, 5);
  EXPECT_EQ(second->carried(5).lost, (Count{3, 300}));
  EXPECT_EQ(second->carried(5).delivered, (Count{7, 700}));
  EXPECT_EQ(second->carried(5).protocols[6], (Count{10, 1000}));
  EXPECT_EQ(second->carried(4).lost, Count{});
}

// Not a test of speed: a figure for who runs it by name.
TEST_F(CheckpointTest, DISABLED_Take_Cost) {
  const auto checkpoint = Over(image_);
  checkpoint->Open(2, 0, "eth0", 7, 14, {});
  constexpr int kTimes = 20'000'000;
  Shadow shadow{};
  timespec from{}, to{};
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int i = 0; i < kTimes; i++) {
    shadow.Read(shadow.packets + 1, shadow.packets * 64);
    checkpoint->Take(Checkpoint::kFlows4, i % kShadows, shadow, kMeta, {1, 64});
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  const double ns = static_cast<double>(to.tv_sec - from.tv_sec) * 1e9 + static_cast<double>(to.tv_nsec - from.tv_nsec);
  std::printf("%.1f ns a slot\n", ns / kTimes);
}

}  // namespace
}  // namespace knp::datapath
