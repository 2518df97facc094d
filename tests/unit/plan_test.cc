// Plan: how the memory budget becomes tables, on any number of CPUs, and which options are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "src/datapath/object.h"

namespace knp::datapath {
namespace {

constexpr std::size_t kPage = 4096;

MonitorOptions Budget(std::size_t bytes) {
  MonitorOptions options;
  options.table_budget_bytes = bytes;
  return options;
}

std::size_t TableBytes(const Sizes& sizes) {
  return std::size_t{sizes.cpus} * (sizes.buckets4 * sizeof(knp_bucket4) + sizes.buckets6 * sizeof(knp_bucket6));
}

std::size_t InnerBytes(const Sizes& sizes) {
  return std::size_t{sizes.cpus} * sizes.buckets_inner * sizeof(knp_bucket_inner);
}

TEST(Plan, AnyNumberOfCpus_UsesTheBudgetAndNoMore) {
  for (const std::size_t budget : {std::size_t{2} << 20, std::size_t{20} << 20, std::size_t{1} << 30})
    for (std::uint32_t cpus = 1; cpus <= 1024; cpus++) {
      const auto sizes = Plan(Budget(budget), cpus, kPage);
      ASSERT_TRUE(sizes.ok()) << cpus << " CPUs: " << sizes.status();
      EXPECT_EQ(sizes->cpus, cpus);
      EXPECT_LE(TableBytes(*sizes), budget);
      // What is left over is less than a bucket of each family on each CPU.
      EXPECT_GT(TableBytes(*sizes) + cpus * (sizeof(knp_bucket4) + sizeof(knp_bucket6)), budget) << cpus << " CPUs";
      EXPECT_GE(sizes->buckets4, sizes->buckets6) << "IPv4 gets the larger part";
      EXPECT_GE(sizes->buckets6, 1u);
      // Tunnels have an eighth on top, and a bucket in any case.
      EXPECT_GE(sizes->buckets_inner, 1u);
      if (sizes->buckets_inner > 1) {
        EXPECT_LE(InnerBytes(*sizes), budget / 8) << cpus << " CPUs";
        EXPECT_GT(InnerBytes(*sizes) + cpus * sizeof(knp_bucket_inner) + 2ull * cpus, budget / 8) << cpus << " CPUs";
      }
    }
}

TEST(Plan, TwiceTheCpus_HalfTheTableEach) {
  const auto one = Plan(Budget(std::size_t{20} << 20), 8, kPage), two = Plan(Budget(std::size_t{20} << 20), 16, kPage);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NEAR(one->buckets4, 2.0 * two->buckets4, 2);
  EXPECT_NEAR(one->buckets6, 2.0 * two->buckets6, 2);
}

TEST(Plan, BudgetTooSmall_SaysHowMuchIsNeededAndThatWorks) {
  for (const std::uint32_t cpus : {1u, 2u, 64u, 1024u}) {
    const std::size_t least = std::size_t{cpus} * 4 * sizeof(knp_bucket6);
    for (const std::size_t budget : {std::size_t{0}, std::size_t{1}, least - 1}) {
      const auto sizes = Plan(Budget(budget), cpus, kPage);
      ASSERT_TRUE(absl::IsInvalidArgument(sizes.status())) << budget << " bytes, " << cpus << " CPUs";
      EXPECT_THAT(std::string(sizes.status().message()), testing::HasSubstr(std::to_string(least)));
      EXPECT_THAT(std::string(sizes.status().message()), testing::HasSubstr(std::to_string(budget)));
    }
    const auto sizes = Plan(Budget(least), cpus, kPage);
    ASSERT_TRUE(sizes.ok()) << sizes.status();
    EXPECT_EQ(sizes->buckets6, 1u);
    EXPECT_LE(TableBytes(*sizes), least);
  }
}

TEST(Plan, LargestBudget_FitsTheKernelsCounters) {
  const auto most = Plan(Budget(std::size_t{64} << 30), 1024, kPage);
  ASSERT_TRUE(most.ok()) << most.status();
  EXPECT_LE(std::uint64_t{most->buckets4} * most->cpus, std::uint64_t{UINT32_MAX});
  EXPECT_GE(TableBytes(*most), (std::size_t{63} << 30));
  EXPECT_TRUE(absl::IsInvalidArgument(Plan(Budget((std::size_t{64} << 30) + 1), 1024, kPage).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Plan(Budget(SIZE_MAX), 1, kPage).status()));
}

TEST(Plan, Ring_IsAPowerOfTwoOfAtLeastAPage) {
  const std::pair<std::size_t, std::uint32_t> cases[] = {
      {0, 4096}, {1, 4096}, {4096, 4096}, {4097, 8192}, {5u << 20, 8u << 20}, {1u << 30, 1u << 30}};
  for (const auto& [wanted, expected] : cases) {
    MonitorOptions options;
    options.ring_bytes = wanted;
    const auto sizes = Plan(options, 2, kPage);
    ASSERT_TRUE(sizes.ok()) << sizes.status();
    EXPECT_EQ(sizes->ring_bytes, expected) << wanted;
  }
  MonitorOptions options;
  options.ring_bytes = 1;
  EXPECT_EQ(Plan(options, 2, 65536)->ring_bytes, 65536u) << "a page of this machine";
  options.ring_bytes = (std::size_t{1} << 30) + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(Plan(options, 2, kPage).status()));
}

TEST(Plan, Interfaces_OneSlotMoreForWhatIsNotOurs) {
  MonitorOptions options;
  options.max_interfaces = 1;
  EXPECT_EQ(Plan(options, 2, kPage)->max_ifaces, 2u);
  options.max_interfaces = KNP_MAX_IFACES;
  const auto sizes = Plan(options, 2, kPage);
  ASSERT_TRUE(sizes.ok());
  EXPECT_EQ(KNP_META_SLOT(KNP_META(6, 0, 1, sizes->max_ifaces - 1)), sizes->max_ifaces - 1)
      << "the last slot fits a key";
  for (const std::uint32_t wrong : {0u, KNP_MAX_IFACES + 1u, UINT32_MAX}) {
    options.max_interfaces = wrong;
    EXPECT_TRUE(absl::IsInvalidArgument(Plan(options, 2, kPage).status())) << wrong;
  }
}

TEST(Plan, Defaults_KeepTheirPromise) {
  // Tables and ring together at most 32 MiB, whatever the machine.
  for (const std::uint32_t cpus : {1u, 2u, 128u, 1024u}) {
    const auto sizes = Plan(MonitorOptions(), cpus, kPage);
    ASSERT_TRUE(sizes.ok()) << sizes.status();
    EXPECT_LE(TableBytes(*sizes) + InnerBytes(*sizes) + sizes->ring_bytes, std::size_t{32} << 20);
  }
}

}  // namespace
}  // namespace knp::datapath
