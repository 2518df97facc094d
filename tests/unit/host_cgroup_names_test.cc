// Cgroups by id and by process: the kernel's text files as they are in each layout, and a directory of our own, found by its
// id both ways.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

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
  EXPECT_TRUE(mounts.hybrid());
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

// A directory of our own in the v2 hierarchy.
class OwnCgroup {
 public:
  OwnCgroup() {
    const std::string mount = CgroupNames().mounts().v2.path;
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
  proc.Write("/self/mountinfo", "31 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup none rw,cpu\n");
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

}  // namespace
}  // namespace knp::host
