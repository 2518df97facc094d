// What is done without when features are switched off, and what of it users are told. The kernel's own answers differ from
// machine to machine; what follows from them does not.
#include "src/datapath/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace knp::datapath {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Features Without(const std::string& disabled) {
  Features features = Features::ProbeAll();
  EXPECT_TRUE(features.Disable(disabled).ok());
  return features;
}

FeatureReport ReportOf(const Features& features, const std::string& name) {
  for (const FeatureReport& report : features.Reports())
    if (report.name == name) return report;
  ADD_FAILURE() << "no feature " << name;
  return {};
}

TEST(Features, EachOfThem_SwitchedOff_IsNotThere) {
  for (const FeatureReport& report : Features::ProbeAll().Reports()) {
    const Features features = Without(report.name);
    EXPECT_TRUE(ReportOf(features, report.name).disabled) << report.name;
    EXPECT_FALSE(ReportOf(features, report.name).without_it.empty()) << report.name;
  }
  EXPECT_FALSE(Without("mmap").MayHave(Feature::kMmap));
}

TEST(Features, UnknownName_IsRefusedWithTheKnownOnes) {
  Features features = Features::ProbeAll();
  const absl::Status status = features.Disable("mmap,warp");
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("warp"), HasSubstr("batch"), HasSubstr("tp_btf")));
}

// Whether programs can be attached at all: not under qemu-user, which has no bpf().
bool CanAttachHere() { return Features::ProbeAll().CheckRequired().ok(); }

TEST(Features, ProgramsOf418_AreTakenForWantOfAnyOfThree) {
  for (const char* name : {"programs", "jiffies", "gso"}) {
    const Features features = Without(name);
    EXPECT_FALSE(features.TakesCurrentPrograms()) << name;
    // They count super-packets once and know no ring, whatever the reason why they are used.
    EXPECT_THAT(features.Degraded(), Contains(StartsWith("gso: "))) << name;
    EXPECT_THAT(features.Degraded(), Contains(StartsWith("ringbuf: "))) << name;
    EXPECT_TRUE(ReportOf(features, "gso").degraded) << name;
    EXPECT_EQ(features.CheckRequired().ok(), CanAttachHere()) << name;
  }
}

TEST(Features, Batch_IsMissedOnlyWithoutMapping) {
  EXPECT_TRUE(ReportOf(Without("mmap,batch"), "batch").degraded);
  Features mapped = Features::ProbeAll();
  if (!mapped.Has(Feature::kMmap)) GTEST_SKIP() << "this kernel cannot map arrays, or may not be asked";
  EXPECT_FALSE(ReportOf(Without("batch"), "batch").degraded);
}

TEST(Features, WithoutBtf_NothingOfTheDataPlaneIsMissed) {
  const Features features = Without("btf,tp_btf,raw_tp,tracepoint");
  EXPECT_FALSE(features.Has(Feature::kTpBtf));
  for (const char* name : {"btf", "tp_btf", "raw_tp", "tracepoint"})
    EXPECT_FALSE(ReportOf(features, name).degraded) << name;
  EXPECT_EQ(features.CheckRequired().ok(), CanAttachHere());
}

TEST(Features, NoPlaceToAttach_IsTheOneThingThatEndsIt) {
  EXPECT_TRUE(absl::IsUnimplemented(Without("tcx,clsact").CheckRequired()));
  const Features least = Without("programs,mmap,batch,jiffies,gso,ringbuf,btf,tp_btf,raw_tp,tracepoint,tcx");
  EXPECT_EQ(least.CheckRequired().ok(), Features::ProbeAll().MayHave(Feature::kClsact));
}

TEST(Features, LostInUse_IsToldWithTheReason) {
  Features features = Features::ProbeAll();
  features.Lose(Feature::kPrograms, "the verifier refused them");
  EXPECT_FALSE(features.TakesCurrentPrograms());
  const FeatureReport report = ReportOf(features, "programs");
  EXPECT_EQ(report.available, Answer::kNo);
  EXPECT_EQ(report.detail, "the verifier refused them");
  EXPECT_TRUE(report.degraded);
}

}  // namespace
}  // namespace knp::datapath
