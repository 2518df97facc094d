// What this kernel says of its drops: the names of the reasons and the tracepoint's parameters, from its type information
// (BTF), and the functions at addresses, from /proc/kallsyms. Used by DropCounter.
#ifndef KNP_DATAPATH_KERNEL_DROPS_H_
#define KNP_DATAPATH_KERNEL_DROPS_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <istream>
#include <map>
#include <set>
#include <string>

struct btf;

namespace knp::datapath {

struct DropVocabulary {
  bool has_reason = false;                       // Linux 5.17
  bool has_socket = false;                       // the receiving one: Linux 6.11
  std::map<std::uint32_t, std::string> reasons;  // as in enum skb_drop_reason, without SKB_DROP_REASON_

  // "SUBSYS_<n>_<m>": one of a module's whose name is not known; its number, if it has no name; empty: no reasons here.
  std::string NameOf(std::uint32_t reason) const;
  // A module's, by number, and nothing says its name.
  bool LacksNameOf(std::uint32_t reason) const;
};

// Unimplemented: it has no such tracepoint, or not as we know it.
absl::StatusOr<DropVocabulary> ReadDropVocabulary(const btf& types);
// Of the running kernel. Unimplemented: it does not describe its types (/sys/kernel/btf/vmlinux).
absl::StatusOr<DropVocabulary> ReadDropVocabulary();

// The reasons of the kernel's modules (wireless, openvswitch), by number, with the names that the modules give them:
// "OVS_DROP_EXPLICIT". From all enumerations "<…>_drop_reason" whose values have a subsystem; `first`: the first type to
// look at, which is behind the base's of a module.
void AddModuleReasons(const btf& types, std::uint32_t first, std::map<std::uint32_t, std::string>* reasons);
// Of the running kernel and the modules that it has at present. Parses all that `directory` holds: about a millisecond a
// module.
std::map<std::uint32_t, std::string> ReadModuleReasons(const std::string& directory = "/sys/kernel/btf");

// The function of each address, without what the compiler appended (".isra.0"); empty: not known, or hidden by
// kptr_restrict. Reads all of `symbols`, which is what /proc/kallsyms holds: some 50 ms, and no memory to speak of.
std::map<std::uint64_t, std::string> FunctionsAt(const std::set<std::uint64_t>& addresses, std::istream& symbols);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_KERNEL_DROPS_H_
