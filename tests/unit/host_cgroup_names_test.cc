// Cgroups by id and by process: the kernel's text files as they are in each layout, and a directory of our own, found by its
// id both ways.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "src/host/names/cgroup_hierarchy.h"
#include "src/host/names/cgroup_names.h"
#include "src/host/names/cgroup_text.h"

namespace knp::host {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(CgroupMounts, Parse_V2Only_IsFound) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "24 30 0:22 / /proc rw,nosuid - proc proc rw\n"
      "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  EXPECT_EQ(mounts.v2.path, "/sys/fs/cgroup");
  EXPECT_EQ(mounts.v2.root, "/");
  EXPECT_EQ(mounts.v1.path, "");
  EXPECT_EQ(mounts.v1_controller, "");
  EXPECT_FALSE(mounts.hybrid());
}

TEST(CgroupMounts, Parse_Hybrid_HasUnifiedAndSystemds) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
      "39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
      "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
      "41 30 0:38 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n");
  EXPECT_EQ(mounts.v2.path, "/sys/fs/cgroup/unified");
  EXPECT_EQ(mounts.v1.path, "/sys/fs/cgroup/systemd");
  EXPECT_EQ(mounts.v1_controlled.path, "/sys/fs/cgroup/pids");
  EXPECT_EQ(mounts.v1_controller, "pids");
  EXPECT_TRUE(mounts.hybrid());
}

TEST(CgroupMounts, Parse_SystemdsHierarchyAlone_HasNoController) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
      "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(mounts.v1.path, "/sys/fs/cgroup/systemd");
  EXPECT_EQ(mounts.v1_controlled.path, "");
  EXPECT_EQ(mounts.v1_controller, "");
}

TEST(CgroupMounts, Parse_SeveralControllers_TakesTheSurestAndWholeHierarchy) {
  const std::string part = "30 22 0:28 /docker/a /mnt/memory rw - cgroup cgroup rw,memory\n";
  const std::string whole = "31 22 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  const std::string cpu = "32 22 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
  const std::string blkio = "33 22 0:30 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n";
  for (const std::string& text : {part + whole + cpu + blkio, blkio + cpu + whole + part}) {
    EXPECT_EQ(ParseCgroupMounts(text).v1_controlled.path, "/sys/fs/cgroup/memory") << text;
    EXPECT_EQ(ParseCgroupMounts(text).v1_controller, "memory");
  }
  EXPECT_EQ(ParseCgroupMounts(blkio + cpu).v1_controller, "cpu");
  EXPECT_EQ(ParseCgroupMounts(blkio).v1_controller, "");
}

TEST(CgroupMounts, Parse_V1WithoutSystemd_TakesAController) {
  const CgroupMounts mounts = ParseCgroupMounts("31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup none rw,cpu\n");
  EXPECT_EQ(mounts.v2.path, "");
  EXPECT_EQ(mounts.v1.path, "/sys/fs/cgroup/cpu");
}

TEST(CgroupMounts, Parse_OctalEscapesAndSeveralMounts_TakesTheWholeHierarchy) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "50 30 0:37 /docker/a\\040b /mnt/part\\134ial rw shared:1 - cgroup2 cgroup2 rw\n"
      "51 30 0:37 / /mnt/my\\040cgroups\\011x rw - cgroup2 cgroup2 rw\n"
      "52 30 0:37 / /mnt/later rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(mounts.v2.path, "/mnt/my cgroups\tx");
  EXPECT_EQ(mounts.v2.root, "/");
  EXPECT_EQ(ParseCgroupMounts("50 30 0:37 /a\\040b /m\\134n\\04 rw - cgroup2 cgroup2 rw").v2.root, "/a b");
  EXPECT_EQ(ParseCgroupMounts("50 30 0:37 /a\\040b /m\\134n\\04 rw - cgroup2 cgroup2 rw").v2.path, "/m\\n\\04");
}

TEST(CgroupMounts, Parse_WhatIsNoMountinfo_GivesNothing) {
  for (const std::string text : {"", "\n\n", "-", "1 2 3 4 5 6 -", "1 2 3 4 5 6 - cgroup2", "1 2 3 4 5 6 - cgroup2 x",
                                 "1 2 3 4 - cgroup2 cgroup2 rw", "50 30 0:37 / /mnt rw - cgroup2000 cgroup2 rw"}) {
    EXPECT_EQ(ParseCgroupMounts(text).v2.path, "") << text;
  }
}

TEST(BestCgroupPath, TheLineThatTellsMost_IsTaken) {
  const std::string unit = "/system.slice/nginx.service";
  const std::pair<std::string, std::string> cases[] = {
      {"0::" + unit + "\n", unit},
      {"0::/\n", "/"},
      {"12:pids:/\n1:name=systemd:" + unit + "\n0::/\n", unit},
      {"12:pids:/system.slice/a.service\n1:name=systemd:" + unit + "\n0::/\n", unit},
      {"12:pids:/system.slice/a.service\n1:name=systemd:/\n0::" + unit + "\n", unit},
      {"12:pids:/docker/" + kId + "\n1:name=systemd:" + unit + "\n0::/system.slice/docker.service\n", "/docker/" + kId},
      {"9:name=systemd:/\n4:memory:/jobs/1\n0::/\n", "/jobs/1"},
      {"9:name=systemd:/\n8:pids:/\n", "/"},
      {"8:pids:/x\n9:name=systemd:/y\n0::/z\n", "/z"},
      {"0::" + unit + " (deleted)\n", unit},
      {"0::/a:b.service\n", "/a:b.service"},
      {"", ""},
      {"0:\n0::\n::\nx\n0::relative\n", ""},
  };
  for (const auto& [text, path] : cases) EXPECT_EQ(BestCgroupPath(text), path) << text;
}

// A directory of our own in a hierarchy, that of v2 if no other is named.
class OwnCgroup {
 public:
  OwnCgroup() : OwnCgroup(ReadCgroupMounts().v2.path) {}
  explicit OwnCgroup(const std::string& mount) {
    if (mount.empty()) return;
    name_ = "/knp-test-" + std::to_string(getpid()) + ".slice";
    top_ = mount + name_;
    if (mkdir(top_.c_str(), 0755) != 0) return;
    made_ = true;
    deep_ = top_ + "/docker-" + kId + ".scope";
    mkdir(deep_.c_str(), 0755);
  }
  ~OwnCgroup() { Remove(); }
  void Remove() {
    if (!made_) return;
    rmdir(deep_.c_str());
    rmdir(top_.c_str());
    made_ = false;
  }
  bool made() const { return made_; }
  std::string path() const { return name_ + "/docker-" + kId + ".scope"; }
  std::string top() const { return name_; }
  std::uint64_t id() const { return CgroupIdOf(deep_).value_or(0); }
  std::uint64_t top_id() const { return CgroupIdOf(top_).value_or(0); }

 private:
  bool made_ = false;
  std::string name_, top_, deep_;
};

class CgroupNamesWith : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!own_.made()) GTEST_SKIP() << "no cgroup v2 hierarchy that a directory may be made in";
    ASSERT_NE(own_.id(), 0u);
  }
  CgroupNamesOptions options() const {
    CgroupNamesOptions options;
    options.by_handle = GetParam();
    return options;
  }
  OwnCgroup own_;
};

TEST_P(CgroupNamesWith, PathOf_DirectoryOfOurs_IsFoundByItsId) {
  CgroupNames names(options());
  EXPECT_EQ(names.PathOf(own_.id()), own_.path()) << names.How();
  EXPECT_EQ(names.PathOf(own_.top_id()), own_.top());
  EXPECT_EQ(names.PathOf(CgroupIdOf(names.mounts().v2.path).value()), "/");
  EXPECT_EQ(names.PathOf(0), "");
  EXPECT_EQ(names.PathOf(0x7fffffffffff), "");
}

TEST_P(CgroupNamesWith, PathOf_DirectoryThatIsGone_IsStillKnown) {
  CgroupNames asked(options()), late(options());
  const std::uint64_t id = own_.id();
  EXPECT_EQ(asked.PathOf(id), own_.path());
  own_.Remove();
  EXPECT_EQ(asked.PathOf(id), own_.path());
  EXPECT_EQ(late.PathOf(id), "");
}

TEST_P(CgroupNamesWith, PathOf_MoreThanThereIsRoomFor_IsLookedUpAnew) {
  CgroupNamesOptions small = options();
  small.capacity = 1;
  if (!GetParam()) return;  // a walk of one directory finds the root only
  CgroupNames names(small);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(names.PathOf(own_.id()), own_.path());
    EXPECT_EQ(names.PathOf(own_.top_id()), own_.top());
  }
}

TEST_P(CgroupNamesWith, FillNames_ContainersCgroup_NamesTheContainer) {
  CgroupNames names(options());
  Process process;
  process.pid = static_cast<std::uint32_t>(getpid());
  names.FillNames(&process, own_.id());
  EXPECT_EQ(process.cgroup, own_.path());
  EXPECT_EQ(process.container_id, kId);
  EXPECT_EQ(process.container_runtime, "docker");
  EXPECT_EQ(process.unit, "");
}

// A process of a container that is in v1's hierarchies alone; none of these has a living process.
class CgroupNamesOfV1 : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    options_.by_handle = GetParam();
    if (!own_.made()) GTEST_SKIP() << "no cgroup v1 hierarchy of a controller that a directory may be made in";
    ASSERT_NE(own_.id(), 0u);
  }
  Process Fill(std::uint64_t v2_id, std::uint64_t v1_id, std::uint32_t pid = 0) {
    Process process;
    process.pid = pid;
    CgroupNames names(options_);
    names.FillNames(&process, v2_id, v1_id);
    return process;
  }
  std::uint64_t v2_root() const { return CgroupIdOf(ReadCgroupMounts().v2.path).value_or(0); }
  CgroupNamesOptions options_;
  OwnCgroup own_{ReadCgroupMounts().v1_controlled.path};
};

TEST_P(CgroupNamesOfV1, FillNames_ContainerOfV1Alone_IsNamedWithoutItsProcess) {
  for (const std::uint64_t v2_id : {v2_root(), std::uint64_t{0}}) {
    const Process process = Fill(v2_id, own_.id());
    EXPECT_EQ(process.cgroup, own_.path());
    EXPECT_EQ(process.container_id, kId);
    EXPECT_EQ(process.container_runtime, "docker");
  }
}

TEST_P(CgroupNamesOfV1, FillNames_NobodysDirectory_IsTheSameWhileTheProcessLivesAndAfter) {
  EXPECT_EQ(Fill(v2_root(), own_.top_id()).cgroup, own_.top());
  EXPECT_EQ(Fill(v2_root(), own_.top_id(), static_cast<std::uint32_t>(getpid())).cgroup, own_.top());
}

TEST_P(CgroupNamesOfV1, FillNames_ContainerOfV2_StaysV2s) {
  const OwnCgroup v2;
  if (!v2.made()) GTEST_SKIP() << "no cgroup v2 hierarchy that a directory may be made in";
  EXPECT_EQ(Fill(v2.id(), own_.top_id()).container_id, kId);
  EXPECT_EQ(Fill(v2.top_id(), own_.id()).container_id, kId) << "v1's says more";
}

TEST_P(CgroupNamesOfV1, FillNames_IdThatNobodyHas_LeavesWhatV2Says) {
  if (v2_root() == 0) GTEST_SKIP() << "no cgroup v2 hierarchy";
  EXPECT_EQ(Fill(v2_root(), 0x7fffffffffff).cgroup, "/");
}

TEST_P(CgroupNamesOfV1, How_TellsOfBothHierarchies) {
  const CgroupNames names(options_);
  EXPECT_NE(names.How().find("v1 at " + names.mounts().v1_controlled.path), std::string::npos) << names.How();
}

INSTANTIATE_TEST_SUITE_P(Ways, CgroupNamesOfV1, testing::Bool(),
                         [](const auto& way) { return std::string(way.param ? "Handles" : "Walk"); });

INSTANTIATE_TEST_SUITE_P(Ways, CgroupNamesWith, testing::Bool(),
                         [](const auto& way) { return std::string(way.param ? "Handles" : "Walk"); });

// A /proc made up of files.
class FakeProc {
 public:
  FakeProc() {
    std::string pattern = testing::TempDir() + "knp_proc_XXXXXX";
    path_ = mkdtemp(pattern.data());
    mkdir((path_ + "/self").c_str(), 0755);
    mkdir((path_ + "/77").c_str(), 0755);
  }
  ~FakeProc() {
    for (const char* file : {"/self/mountinfo", "/77/cgroup"}) unlink((path_ + file).c_str());
    for (const char* directory : {"/self", "/77", ""}) rmdir((path_ + directory).c_str());
  }
  void Write(const std::string& file, const std::string& text) const { std::ofstream(path_ + file) << text; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CgroupNames, FillNames_WithoutV2_AsksTheProcess) {
  FakeProc proc;
  proc.Write("/self/mountinfo", "31 30 0:28 / " + proc.path() + " rw - cgroup none rw,cpu\n");  // covered
  proc.Write("/77/cgroup", "3:cpu:/kubepods/burstable/pod8f1d3c2a-5b6e-4f70-9a81-b2c3d4e5f607/" + kId + "\n0::/\n");
  CgroupNamesOptions options;
  options.proc = proc.path();
  CgroupNames names(options);
  Process process;
  process.pid = 77;
  names.FillNames(&process, 4711);
  EXPECT_EQ(process.container_id, kId);
  EXPECT_EQ(process.container_runtime, "containerd");
  EXPECT_EQ(process.pod_uid, "8f1d3c2a-5b6e-4f70-9a81-b2c3d4e5f607");
  EXPECT_EQ(names.How(), "/proc/PID/cgroup, of cgroup v1");
  process.pid = 78;  // gone
  names.FillNames(&process, 4711);
  EXPECT_EQ(process.cgroup, "");
  EXPECT_EQ(process.container_id, "");
}

// As systemd's old versions have it: services are in its own hierarchy, which has no controller.
TEST(CgroupNames, FillNames_UnitOfSystemdsHierarchyAlone_IsToldByTheProcess) {
  const CgroupMounts here = ReadCgroupMounts();
  const std::optional<std::uint64_t> root = CgroupIdOf(here.v1_controlled.path);
  if (here.v1_controller.empty() || !root) GTEST_SKIP() << "no cgroup v1 hierarchy of a controller";
  FakeProc proc;
  proc.Write("/self/mountinfo", "31 30 0:28 / " + here.v1_controlled.path + " rw - cgroup none rw,pids\n");
  CgroupNamesOptions options;
  options.proc = proc.path();
  options.by_handle = false;  // there is no /proc/self/fd here
  CgroupNames names(options);
  Process process;
  process.pid = 77;
  proc.Write("/77/cgroup", "3:pids:/\n1:name=systemd:/system.slice/nginx.service\n0::/\n");
  names.FillNames(&process, 0, *root);
  EXPECT_EQ(process.unit, "nginx.service");
  proc.Write("/77/cgroup", "3:pids:/\n4:memory:/jobs/1\n0::/\n");
  names.FillNames(&process, 0, *root);
  EXPECT_EQ(process.cgroup, "/") << "nobody's name: the path that it has when it is gone, too";
}

TEST(CgroupNames, MountCoveredBySomethingElse_IsNotTaken) {
  FakeProc proc;
  proc.Write("/self/mountinfo", "31 30 0:28 / " + proc.path() + " rw - cgroup2 cgroup2 rw\n");
  CgroupNamesOptions options;
  options.proc = proc.path();
  EXPECT_EQ(CgroupNames(options).PathOf(1), "");
  EXPECT_EQ(CgroupNames(options).How(), "/proc/PID/cgroup");
}

TEST(CgroupNames, PathOfPid_Ourselves_IsAPath) {
  const std::string path = CgroupNames().PathOfPid(static_cast<std::uint32_t>(getpid()));
  if (access("/proc/self/cgroup", R_OK) != 0) GTEST_SKIP() << "no cgroups here";
  EXPECT_EQ(path.substr(0, 1), "/");
  EXPECT_EQ(CgroupNames().PathOfPid(0), "");
}

TEST(CgroupText, HostsMountInsideAContainer_IsTheBest) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "37 30 0:34 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n38 30 0:34 /../.. /host/cgroup ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(mounts.v2.path, "/host/cgroup");
}

TEST(CgroupText, PathBesideOurNamespace_LosesItsWayUp) {
  EXPECT_EQ(BestCgroupPath("0::/../../system.slice/nginx.service\n"), "/system.slice/nginx.service");
}

}  // namespace
}  // namespace knp::host
