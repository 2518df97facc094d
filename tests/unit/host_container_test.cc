// Whose a cgroup is by its path: the names that container runtimes, kubelets and systemd give, and those that mean nothing.
#include <gtest/gtest.h>

#include <string>

#include "src/host/names/container.h"

namespace knp::host {
namespace {

const std::string kA = "5f0c1e9a7b3d48e2a6c4f1908d7e6b5a4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f";
const std::string kB = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kUid = "8f1d3c2a-5b6e-4f70-9a81-b2c3d4e5f607";
const std::string kUidSlice = "8f1d3c2a_5b6e_4f70_9a81_b2c3d4e5f607";
const std::string kStatic = "d4f1a7c0e2b95386d4f1a7c0e2b95386";  // a static pod's: the hash of its manifest

std::string Show(const CgroupOwner& o) { return o.runtime + " " + o.container_id + " " + o.pod_uid + " " + o.unit; }

struct Case {
  std::string path;
  CgroupOwner owner;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Show(OwnerOfCgroup(c.path)), Show(c.owner)) << c.path;
}

TEST(CgroupOwner, KubeletPaths_OfBothDrivers_NameContainerAndPod) {
  const std::string slices = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + kUidSlice + ".slice";
  const std::string node = "/docker/" + kB;
  Check({
      {slices + "/cri-containerd-" + kA + ".scope", {kA, "containerd", kUid, ""}},
      {slices + "/crio-" + kA + ".scope", {kA, "cri-o", kUid, ""}},
      {slices + "/crio-" + kA + ".scope/container", {kA, "cri-o", kUid, ""}},
      {slices + "/docker-" + kA + ".scope", {kA, "docker", kUid, ""}},
      {slices + "/crio-conmon-" + kA + ".scope", {"", "", kUid, ""}},
      {slices, {"", "", kUid, ""}},
      {"/kubepods.slice/kubepods-pod" + kUidSlice + ".slice/cri-containerd-" + kA + ".scope",
       {kA, "containerd", kUid, ""}},
      {"/kubepods/burstable/pod" + kUid + "/" + kA, {kA, "containerd", kUid, ""}},
      {"/kubepods/pod" + kUid + "/crio-" + kA, {kA, "cri-o", kUid, ""}},
      {"/kubepods/burstable/pod" + kStatic + "/" + kA, {kA, "containerd", kStatic, ""}},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kStatic + ".slice", {"", "", kStatic, ""}},
      {"/system.slice/containerd.service/kubepods-burstable-pod" + kUidSlice + ".slice:cri-containerd:" + kA,
       {kA, "containerd", kUid, ""}},
      {"/kubepods-besteffort-pod" + kUidSlice + ".slice:crio:" + kA, {kA, "cri-o", kUid, ""}},
      {"/:cri-containerd:" + kA, {kA, "containerd", "", ""}},
      {"/../../kubepods/burstable/pod" + kUid + "/" + kA, {kA, "containerd", kUid, ""}},  // seen from another namespace
      // kind: a kubelet within a docker container.
      {node + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" +
           kUidSlice + ".slice/cri-containerd-" + kA + ".scope",
       {kA, "containerd", kUid, ""}},
      {node + "/kubelet/kubepods/besteffort/pod" + kUid + "/" + kA, {kA, "containerd", kUid, ""}},
      {"/system.slice/docker-" + kB + ".scope/system.slice/kubelet.service", {kB, "docker", "", "kubelet.service"}},
      // Docker within a pod: the pod is still the one around it.
      {"/kubepods/pod" + kUid + "/" + kA + "/docker/" + kB, {kB, "docker", kUid, ""}},
  });
}

TEST(CgroupOwner, ContainersWithoutKubernetes_AreNamedWithTheirRuntime) {
  Check({
      {"/system.slice/docker-" + kA + ".scope", {kA, "docker", "", ""}},
      {"/docker/" + kA, {kA, "docker", "", ""}},
      {"/docker/" + kA + "/init", {kA, "docker", "", ""}},
      {"/docker/" + kA + "/docker/" + kB, {kB, "docker", "", ""}},
      {"/system.slice/docker-" + kA + ".scope/docker-" + kB + ".scope", {kB, "docker", "", ""}},
      {"/actions_job/" + kA, {kA, "", "", ""}},  // docker's --cgroup-parent
      {"/machine.slice/libpod-" + kA + ".scope/container", {kA, "podman", "", ""}},
      {"/machine.slice/machine-libpod_pod_" + kB + ".slice/libpod-" + kA + ".scope", {kA, "podman", "", ""}},
      {"/machine.slice/libpod-conmon-" + kA + ".scope", {}},
      {"/libpod_parent/libpod-" + kA, {kA, "podman", "", ""}},
      {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kA + ".scope", {kA, "podman", "", ""}},
      {"/system.slice/web.service/libpod-payload-" + kA, {kA, "podman", "", "web.service"}},
      {"/system.slice/nerdctl-" + kA + ".scope", {kA, "containerd", "", ""}},
      {"/default/" + kA, {kA, "containerd", "", ""}},
  });
}

TEST(CgroupOwner, Units_AreTheInnermostWithEscapesDecoded) {
  Check({
      {"/system.slice/nginx.service", {"", "", "", "nginx.service"}},
      {"/system.slice/system-getty.slice/getty@tty1.service", {"", "", "", "getty@tty1.service"}},
      {"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", {"", "", "", "foo.service"}},
      {"/user.slice/user-1000.slice/session-3.scope", {"", "", "", "session-3.scope"}},
      {"/init.scope", {"", "", "", "init.scope"}},
      {"/system.slice/postgresql@15-main.service/worker", {"", "", "", "postgresql@15-main.service"}},
      {"/system.slice/system-my\\x2dapp.slice/my\\x2dapp@1.service", {"", "", "", "my-app@1.service"}},
      {"/system.slice/odd\\x00name\\xzz.service", {"", "", "", "odd\\x00name\\xzz.service"}},
      {"/system.slice/_cpu.service", {"", "", "", "cpu.service"}},
      {"/system.slice/docker.service", {"", "", "", "docker.service"}},
      {"/system.slice/var-lib-data.mount", {"", "", "", "var-lib-data.mount"}},
  });
}

TEST(CgroupOwner, PathsThatNameNobody_GiveNothing) {
  for (const std::string& path : std::vector<std::string>{"",
                                                          "/",
                                                          "//",
                                                          "/..",
                                                          "/system.slice",
                                                          "/user.slice/user-1000.slice",
                                                          "/kubepods",
                                                          "/kubepods.slice",
                                                          "/kubepods/burstable",
                                                          "/docker",
                                                          "/docker/buildkit/x0v1qv7kq0c2h5n8k9m3p6r7t",
                                                          "/jobs/4e8e764a9d1c01ff84ec37a5c1e02ac7",
                                                          "/docker/" + kA.substr(1),
                                                          "/docker/" + kA + "0",
                                                          "/docker/" + kA.substr(1) + "g",
                                                          "/my-" + kA,
                                                          "/podcast",
                                                          "/pod",
                                                          "/podman",
                                                          "/kubepods/podcasts",
                                                          "/kubepods/pod8f1d3c2a-5b6e-4f70-9a81",
                                                          "/foo-pod" + kUidSlice + ".slice",
                                                          "/.scope",
                                                          "/.service",
                                                          "/kubepods-pod8f1d3c2a_5b6e_4f70_9a81_b2c3d4e5f60z.slice",
                                                          "/a:b:c",
                                                          "/::",
                                                          "/\\",
                                                          "/\\x",
                                                          "/\\x2",
                                                          "/_"}) {
    EXPECT_EQ(OwnerOfCgroup(path), CgroupOwner{}) << path << ": " << Show(OwnerOfCgroup(path));
    EXPECT_EQ(Says(OwnerOfCgroup(path)), 0) << path;
  }
}

TEST(CgroupOwner, Says_AContainer_MoreThanAUnit) {
  EXPECT_EQ(Says(OwnerOfCgroup("/docker/" + kA)), 2);
  EXPECT_EQ(Says(OwnerOfCgroup("/system.slice/nginx.service")), 1);
  EXPECT_EQ(Says(OwnerOfCgroup("/kubepods/pod" + kUid)), 1);
}

}  // namespace
}  // namespace knp::host
