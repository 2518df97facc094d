// Whose a cgroup is, by its path alone: the container, the pod, the systemd unit. The paths come from CgroupNames
// (cgroup_names.h); what they say ends in knp::Process.
#ifndef KNP_HOST_NAMES_CONTAINER_H_
#define KNP_HOST_NAMES_CONTAINER_H_

#include <string>
#include <string_view>

namespace knp::host {

struct CgroupOwner {
  std::string container_id;  // 64 hexadecimal digits; empty: in no container
  std::string runtime;       // "containerd", "cri-o", "docker", "podman"; empty: not known
  std::string pod_uid;       // with dashes, as the Kubernetes API has it; of a static pod, 32 hexadecimal digits
  std::string unit;          // systemd's, its \x2d decoded; in a container, only what systemd runs within it
  friend bool operator==(const CgroupOwner&, const CgroupOwner&) = default;
};

// The innermost container, pod and unit that `path` ("/system.slice/nginx.service") names. The monitors that run beside a
// container (conmon) are not in it. A container that podman runs in its service's own cgroup (Quadlet) keeps that unit.
CgroupOwner OwnerOfCgroup(std::string_view path);

// How much an owner says: 0 nothing, 1 a pod or a unit, 2 a container.
int Says(const CgroupOwner& owner);

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_CONTAINER_H_
