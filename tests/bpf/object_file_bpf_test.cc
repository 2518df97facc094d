// What is refused before anything is loaded: options out of range, and BPF objects on disk that are not ours, cut short or
// of another version. Each error names what is wrong.
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_features.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(MonitorOptionsTest, WrongOptions_AreRefusedByName) {
  const auto refused = [](const std::function<void(MonitorOptions*)>& change) {
    MonitorOptions options;
    change(&options);
    const auto monitor = NetworkMonitor::Create(options);
    EXPECT_TRUE(absl::IsInvalidArgument(monitor.status())) << monitor.status();
    return std::string(monitor.status().message());
  };
  EXPECT_THAT(refused([](auto* o) { o->table_budget_bytes = 100; }), HasSubstr("flow table of 100 bytes"));
  EXPECT_THAT(refused([](auto* o) { o->table_budget_bytes = std::size_t{1} << 40; }), HasSubstr("flow table"));
  EXPECT_THAT(refused([](auto* o) { o->ring_bytes = std::size_t{2} << 30; }), HasSubstr("ring"));
  EXPECT_THAT(refused([](auto* o) { o->max_interfaces = 0; }), HasSubstr("max_interfaces"));
  EXPECT_THAT(refused([](auto* o) { o->max_interfaces = 2048; }), HasSubstr("max_interfaces"));
  EXPECT_THAT(refused([](auto* o) { o->drain_interval = milliseconds(0); }), HasSubstr("drain_interval"));
  EXPECT_THAT(refused([](auto* o) { o->scan_interval = milliseconds(-5); }), HasSubstr("scan_interval"));
  EXPECT_THAT(refused([](auto* o) { o->flow_capacity = 0; }), HasSubstr("flow_capacity"));
  EXPECT_THAT(refused([](auto* o) { o->disable_features = "tcx,warp"; }),
              AllOf(HasSubstr("warp"), HasSubstr("ringbuf")));
  MonitorOptions options;
  options.disable_features = "tcx,clsact";
  const auto monitor = NetworkMonitor::Create(options);
  EXPECT_ERROR(monitor.status(), IsUnimplemented, HasSubstr("no place to attach"));
}

class ObjectFileTest : public ::testing::Test {
 protected:
  static std::string Bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string Write(const std::string& name, const std::string& content) {
    std::string path = ::testing::TempDir() + "knp_" + std::to_string(getpid()) + "_" + name;
    std::ofstream(path, std::ios::binary) << content;
    written_.push_back(path);
    return path;
  }
  ~ObjectFileTest() override {
    for (const std::string& path : written_) unlink(path.c_str());
  }
  static absl::Status Load(const std::string& path) { return NetworkMonitor::CreateFromObjectFile(path).status(); }
  static void SetUpTestSuite() { libbpf_set_print(nullptr); }
  std::vector<std::string> written_;
};

TEST_F(ObjectFileTest, OurObject_FromDisk_Works) { EXPECT_TRUE(Load(KNP_OBJECT_FILE).ok()) << Load(KNP_OBJECT_FILE); }

TEST_F(ObjectFileTest, WrongFiles_AreRefusedWithWhatIsWrong) {
  const std::string tests = std::string(KNP_BUILD_DIR) + "/lib/tests/bpf/";
  EXPECT_ERROR(Load("/nonexistent/monitor.o"), IsNotFound, HasSubstr("/nonexistent/monitor.o"));
  EXPECT_ERROR(Load("/tmp"), IsInvalidArgument, HasSubstr("/tmp"));
  const std::string text = Write("text.o", "int main() { return 0; }\n");
  EXPECT_ERROR(Load(text), IsInvalidArgument, AllOf(HasSubstr(text), HasSubstr("BPF object")));
  const std::string empty = Write("empty.o", "");
  EXPECT_ERROR(Load(empty), IsInvalidArgument, HasSubstr(empty));
  EXPECT_ERROR(Load("/proc/self/exe"), IsInvalidArgument, HasSubstr("/proc/self/exe"));
  EXPECT_ERROR(Load(tests + "other_program.o"), IsInvalidArgument, HasSubstr("lacks the map knp_flows4"));
  EXPECT_ERROR(Load(tests + "no_programs.o"), IsInvalidArgument, HasSubstr("lacks the program knp_ingress"));
  EXPECT_ERROR(Load(tests + "other_version.o"), IsInvalidArgument,
               AllOf(HasSubstr("version 999"), HasSubstr("rebuild")));
}

TEST_F(ObjectFileTest, CurrentVariantRefused_TheOtherOneBesideItIsTakenAndThatIsTold) {
  if (!CountsSegments()) GTEST_SKIP() << "the current variant is not tried here: no programs, jiffies or gso";
  const std::string path = std::string(KNP_BUILD_DIR) + "/lib/tests/bpf/refused.o";
  auto monitor = NetworkMonitor::CreateFromObjectFile(path);
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  EXPECT_THAT((*monitor)->GetPacketStats()->degraded, Contains(StartsWith("programs: ")));
  // Without the other one it is the verifier's answer that the user needs.
  const std::string alone = Write("alone.o", Bytes(path));
  EXPECT_ERROR(Load(alone), IsInvalidArgument, AllOf(HasSubstr(alone), HasSubstr("verifier")));
}

TEST_F(ObjectFileTest, OlderKernelAndNoVariantForIt_IsRefusedWithWhatIsMissing) {
  MonitorOptions options;
  options.disable_features = "jiffies";
  const std::string alone = Write("current.o", Bytes(KNP_OBJECT_FILE));
  const std::string missing = alone.substr(0, alone.size() - 2) + "-4.18.o";
  EXPECT_ERROR(NetworkMonitor::CreateFromObjectFile(alone, options).status(), IsUnimplemented,
               AllOf(HasSubstr(alone), HasSubstr(missing), HasSubstr("knp_add_bpf_object")));
  EXPECT_TRUE(NetworkMonitor::CreateFromObjectFile(KNP_OBJECT_FILE, options).ok());
}

TEST_F(ObjectFileTest, VariantFor418_GivenByName_IsTakenOnAnyKernel) {
  std::string path = KNP_OBJECT_FILE;
  path.replace(path.size() - 2, 2, "-4.18.o");
  EXPECT_TRUE(Load(path).ok()) << Load(path);
  EXPECT_ERROR(Load(std::string(KNP_BUILD_DIR) + "/lib/tests/bpf/other_version-4.18.o"), IsInvalidArgument,
               AllOf(HasSubstr("version 999"), HasSubstr("rebuild")));
}

TEST_F(ObjectFileTest, OurObject_CutAnywhere_IsRefusedAndNeverCrashes) {
  const std::string whole = Bytes(KNP_OBJECT_FILE);
  ASSERT_GT(whole.size(), 10000u);
  for (std::size_t size = 1; size < whole.size(); size += whole.size() / 23) {
    const std::string cut = Write("cut.o", whole.substr(0, size));
    EXPECT_ERROR(Load(cut), IsInvalidArgument, HasSubstr(cut));
  }
}

}  // namespace
}  // namespace knp::test
