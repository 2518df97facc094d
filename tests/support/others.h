// What others do to an interface that we watch: attach tcx programs, tc filters and XDP programs, take ours away, rename
// the interface, move it, change it. Done without the code under test, by bpf(2) and rtnetlink. All functions act in the
// calling thread's network namespace (NetnsRig::RunIn) and return 0 or -errno unless said otherwise.
#ifndef KNP_TESTS_SUPPORT_OTHERS_H_
#define KNP_TESTS_SUPPORT_OTHERS_H_

#include <knp/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"

namespace knp::test {

// ---- programs and filters ------------------------------------------------------------------------------------------

// A tcx link at the head or at the tail of the chain; invalid where the kernel has no tcx.
UniqueFd AttachTcx(std::uint32_t ifindex, Direction direction, int program_fd, bool at_head);
bool KernelHasTcx();  // makes a namespace of its own to try

int AddClsactQdisc(std::uint32_t ifindex);
int DeleteClsactQdisc(std::uint32_t ifindex);
// A direct-action BPF filter; with `handle`, in place of the one there.
int PutBpfFilter(std::uint32_t ifindex, Direction direction, int program_fd, std::uint32_t preference,
                 std::uint32_t handle = 0);
// One for every packet: "u32" with a key that matches all, or "matchall". It goes on to the next filter, or `ends` the chain
// with TC_ACT_OK. -ENOENT where the kernel has no such classifier (matchall that goes on needs gact, too).
int AddFilter(std::uint32_t ifindex, Direction direction, const std::string& kind, std::uint32_t preference, bool ends);
int DeletePreference(std::uint32_t ifindex, Direction direction, std::uint32_t preference);
int AttachXdp(std::uint32_t ifindex, int program_fd, bool native);  // -1: takes it away; replaces what is there

// The chain at a hook in run order, ours left out: "tcx NAME", "1 bpf NAME", "5 matchall".
std::vector<std::string> OthersChain(std::uint32_t ifindex, Direction direction);
// How many programs of ours stand at the interface's two hooks.
int OursLeft(std::uint32_t ifindex);
// Takes a program of ours away, as an administrator might: a tcx link by its id, a filter by its program. How many.
int TakeAway(std::uint32_t ifindex, const ProgramInfo& ours);

// ---- the interface -------------------------------------------------------------------------------------------------

int Rename(std::uint32_t ifindex, const std::string& name);
int SetMtu(std::uint32_t ifindex, std::uint32_t mtu);
int SetLinkUp(std::uint32_t ifindex, bool up);
int MoveTo(std::uint32_t ifindex, int netns_fd);
int AddVethPair(const std::string& name, const std::string& peer);
int DeleteLink(std::uint32_t ifindex);
int AddAddress(std::uint32_t ifindex, const std::string& ipv4, std::uint8_t prefix_length);
int SetOffload(const std::string& interface, std::uint32_t command, bool on);  // ETHTOOL_STSO, …
std::uint32_t IndexOf(const std::string& interface);                           // 0: there is none

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_OTHERS_H_
