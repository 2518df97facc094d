// `knp doctor` (src/cli/doctor_view.h): what it says of a kernel and of rights, and how it ends.
#include "src/cli/doctor_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace knp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Diagnosis Healthy() {
  Diagnosis diagnosis;
  diagnosis.kernel = "6.18.0";
  diagnosis.machine = "x86_64";
  diagnosis.possible_cpus = 2;
  diagnosis.capabilities = {{"CAP_BPF", true, "loading programs"}, {"CAP_NET_ADMIN", true, "attaching them"}};
  diagnosis.features.resize(2);
  FeatureReport& mmap = diagnosis.features[0];
  mmap.name = "mmap";
  mmap.available = Answer::kYes;
  mmap.required = true;
  mmap.since = "5.5";
  mmap.without_it = "nothing works";
  FeatureReport& tcx = diagnosis.features[1];
  tcx.name = "tcx";
  tcx.available = Answer::kYes;
  tcx.since = "6.6";
  tcx.without_it = "clsact instead";
  diagnosis.can_run = true;
  return diagnosis;
}

std::string Page(const Diagnosis& diagnosis, int width = 80) {
  std::string text;
  for (const TextLine& line : RenderDiagnosis(diagnosis, {.width = width, .height = 0})) {
    EXPECT_LE(line.width(), width) << line.Text(false);
    text += line.Text(false) + "\n";
  }
  return text;
}

TEST(Doctor, HealthyHost_SaysSo) {
  const std::string page = Page(Healthy());
  EXPECT_THAT(page, HasSubstr("Linux 6.18.0, x86_64, 2 possible CPUs"));
  EXPECT_THAT(page, HasSubstr("✓ knp monitor can run here"));
  EXPECT_THAT(page, Not(HasSubstr("without it"))) << "only what is missing needs the consequence";
  EXPECT_EQ(ExitStatusOf(Healthy()), kExitDone);
}

TEST(Doctor, MissingOptionalFeature_TellsWhatDegrades) {
  Diagnosis diagnosis = Healthy();
  diagnosis.features[1].available = Answer::kNo;
  const std::string page = Page(diagnosis);
  EXPECT_THAT(page, HasSubstr("without it: clsact instead"));
  EXPECT_THAT(page, HasSubstr("can run here"));
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitDone);
}

TEST(Doctor, DisabledFeature_IsOff) {
  Diagnosis diagnosis = Healthy();
  diagnosis.features[1].disabled = true;
  EXPECT_THAT(Page(diagnosis, 120), HasSubstr("off      since Linux 6.6, switched off by --disable-features"));
}

TEST(Doctor, MissingRequiredFeature_EndsWith4) {
  Diagnosis diagnosis = Healthy();
  diagnosis.can_run = false;
  diagnosis.features[0].available = Answer::kNo;
  diagnosis.capabilities[0].held = false;
  diagnosis.problem = "this kernel lacks 'mmap'";
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitKernel) << "no right would help";
  EXPECT_THAT(Page(diagnosis), HasSubstr("✗ knp monitor cannot run here: this kernel lacks 'mmap'"));
}

TEST(Doctor, MissingRights_EndWith3AndAreNamed) {
  Diagnosis diagnosis = Healthy();
  diagnosis.can_run = false;
  diagnosis.capabilities[0].held = false;
  diagnosis.features[0].available = Answer::kUnknown;
  diagnosis.features[1].available = Answer::kUnknown;
  diagnosis.features[0].detail = diagnosis.features[1].detail = "cannot be tried without CAP_BPF";
  diagnosis.problem = "missing CAP_BPF";
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitPermission);
  const std::string page = Page(diagnosis);
  EXPECT_THAT(page, HasSubstr("cannot run here: missing CAP_BPF (run it as root, or grant these)"));
  EXPECT_THAT(page, HasSubstr("unknown"));
  const std::size_t reason = page.find("unknown: cannot be tried without CAP_BPF");
  ASSERT_NE(reason, std::string::npos);
  EXPECT_EQ(page.find("cannot be tried", reason + 20), std::string::npos) << "told once, though it holds for two";
}

TEST(Doctor, MissingExtraRight_IsNoObstacle) {
  Diagnosis diagnosis = Healthy();
  diagnosis.capabilities.push_back({"CAP_SYS_ADMIN", false, "only: measuring", false});
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitDone);
  diagnosis.can_run = false;
  diagnosis.problem = "cannot disable feature 'x'";
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitUsage) << "neither rights nor the kernel are in the way";
  diagnosis.features[1].disabled = true;
  EXPECT_EQ(ExitStatusOf(diagnosis), kExitKernel) << "nothing is left to attach with";
}

TEST(Doctor, LongTexts_AreWrappedIntoTheCanvas) {
  Diagnosis diagnosis = Healthy();
  diagnosis.features[1].available = Answer::kNo;
  diagnosis.features[1].without_it.clear();
  for (int i = 0; i < 60; ++i) diagnosis.features[1].without_it += "word ";
  const std::string page = Page(diagnosis, 60);
  std::size_t words = 0;
  for (std::size_t at = 0; (at = page.find("word", at)) != std::string::npos; ++at) ++words;
  EXPECT_EQ(words, 60u) << "wrapped, not cut";
}

TEST(Doctor, HostsPieces_TellWhatIsOnAndWhyNot) {
  HostPiece on, off;
  on.name = "sockets";
  on.on = true;
  on.how = "sock_ops at /sys/fs/cgroup";
  on.why = "no INET_DIAG here";
  off.name = "nat";
  off.why = "cannot read nf_conntrack: this kernel has none";
  std::string page;
  for (const TextLine& line : RenderDiagnosis(Healthy(), {.width = 60, .height = 0}, {on, off})) {
    EXPECT_LE(line.width(), 60);
    page += line.Text(false) + "\n";
  }
  EXPECT_THAT(page, HasSubstr("sockets        partly   sock_ops at /sys/fs/cgroup\n"));
  EXPECT_THAT(page, HasSubstr("lacks: no INET_DIAG here"));
  EXPECT_THAT(page, HasSubstr("nat            no       cannot read nf_conntrack"));
  EXPECT_THAT(Page(Healthy()), Not(HasSubstr("HOST")));
  const auto json = nlohmann::json::parse(DiagnosisJson(Healthy(), {on, off}));
  EXPECT_EQ(json["host"][0], (nlohmann::json{{"name", "sockets"}, {"on", true}, {"how", on.how}, {"why", on.why}}));
  EXPECT_EQ(json["host"][1], (nlohmann::json{{"name", "nat"}, {"on", false}, {"why", off.why}}));
}

TEST(Doctor, HostsPiecesThatAreAlike_AreToldOnce) {
  HostPiece processes, sockets, drops;
  processes.name = "processes";
  processes.on = true;
  processes.how = "cgroup hooks";
  sockets = drops = processes;
  sockets.name = "sockets";
  drops.name = "drops";
  drops.how = "tracing";
  std::string page;
  for (const TextLine& line : RenderDiagnosis(Healthy(), {.width = 60, .height = 0}, {processes, sockets, drops}))
    page += line.Text(false) + "\n";
  EXPECT_THAT(page, HasSubstr("processes      yes      cgroup hooks\n"));
  EXPECT_THAT(page, HasSubstr("sockets        yes      as processes\n"));
  EXPECT_THAT(page, HasSubstr("drops          yes      tracing\n"));
  drops.how = sockets.how = "";
  EXPECT_THAT(RenderDiagnosis(Healthy(), {.width = 60, .height = 0}, {sockets, drops}),
              testing::Each(testing::Property(&TextLine::width, testing::Le(60))));
}

TEST(DoctorJson, Diagnosis_IsOneObject) {
  Diagnosis diagnosis = Healthy();
  diagnosis.features[1].available = Answer::kUnknown;
  diagnosis.features[1].detail = "why\n\xff";
  const std::string text = DiagnosisJson(diagnosis);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_EQ(json["kind"], "diagnosis");
  EXPECT_EQ(json["can_run"], true);
  EXPECT_EQ(json["capabilities"][0],
            (nlohmann::json{{"name", "CAP_BPF"}, {"held", true}, {"needed_for", "loading programs"}}));
  EXPECT_EQ(json["features"][1]["available"], "unknown");
  EXPECT_FALSE(json["features"][0].contains("detail"));
}

TEST(DoctorCosts, Programs_AreListedWithTheirPrice) {
  const std::vector<ProgramCost> costs = {{"knp_ingress", 7, 1'234'567, 61.25, "eth0 ingress (tcx)"},
                                          {"knp_egress", 8, 0, 0, ""}};
  std::string text;
  for (const TextLine& line : RenderCosts(costs, std::chrono::seconds(2), {.width = 80})) {
    EXPECT_LE(line.width(), 80);
    text += line.Text(false) + "\n";
  }
  EXPECT_THAT(text, HasSubstr("measured for 2s"));
  EXPECT_THAT(text, HasSubstr("1,234,567      61.2  eth0 ingress (tcx)"));
  const std::string json = CostsJson(costs);
  EXPECT_THAT(json, HasSubstr("\"ns_per_run\":61.25"));
  EXPECT_FALSE(nlohmann::json::parse(json.substr(json.find('\n') + 1)).contains("ns_per_run"));
  EXPECT_THAT(RenderCosts({}, std::chrono::seconds(2), {.width = 80})[1].Text(false), HasSubstr("none is loaded"));
}

}  // namespace
}  // namespace knp::cli
