// See clsact.h. The messages are those of tc(8): linux/pkt_sched.h, linux/pkt_cls.h, rtnetlink(7).
#include "src/datapath/clsact.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace knp::datapath {
namespace {

constexpr int kAttempts = 10;
constexpr std::uint32_t kIngressParent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t kEgressParent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

tcmsg QdiscHeader(std::uint32_t ifindex) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  header.tcm_parent = TC_H_CLSACT;
  return header;
}

tcmsg FilterHeader(const FilterPlace& place) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(place.ifindex);
  header.tcm_parent = place.parent;
  header.tcm_handle = place.handle;
  header.tcm_info = TC_H_MAKE(place.preference << 16, htons(ETH_P_ALL));
  return header;
}

// Hands every filter row of the hook to `visit`; may begin again with `restart`.
int DumpFilters(NetlinkSocket& socket, std::uint32_t ifindex, std::uint32_t parent, absl::FunctionRef<void()> restart,
                absl::FunctionRef<void(const tcmsg&, Bytes attributes)> visit) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = parent;
  int error = -EINTR;
  for (int attempt = 0; attempt < kAttempts && error == -EINTR; ++attempt) {
    restart();
    NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP, header);
    error = socket.Transact(request, [&](std::uint16_t type, Bytes body) {
      if (type != RTM_NEWTFILTER || body.size() < sizeof(tcmsg)) return;
      const auto row = ReadAs<tcmsg>(body);
      if (static_cast<std::uint32_t>(row.tcm_ifindex) == ifindex) visit(row, AttributesAfter<tcmsg>(body));
    });
  }
  return error;
}

// 0 if the row is no BPF filter of chain 0: PutBpfFilter makes no other.
std::uint32_t ProgramOf(Bytes attributes) {
  bool bpf = false;
  std::uint32_t chain = 0, id = 0;
  for (Attribute attribute; NextAttribute(&attributes, &attribute);) {
    if (attribute.type == TCA_CHAIN) chain = attribute.As<std::uint32_t>();
    if (attribute.type == TCA_KIND) {
      bpf = attribute.payload.size() >= 4 && std::memcmp(attribute.payload.data(), "bpf", 4) == 0;
    }
    if (attribute.type != TCA_OPTIONS) continue;
    Bytes options = attribute.payload;
    for (Attribute option; NextAttribute(&options, &option);) {
      if (option.type == TCA_BPF_ID) id = option.As<std::uint32_t>();
    }
  }
  return bpf && chain == 0 ? id : 0;
}

bool IsGone(int error) { return error == -ENODEV || error == -ENOENT || error == -EINVAL; }

}  // namespace

int AddClsact(NetlinkSocket& socket, std::uint32_t ifindex) {
  NetlinkRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, QdiscHeader(ifindex));
  request.PutString(TCA_KIND, "clsact");
  return socket.Transact(request);
}

int DeleteClsactIfEmpty(NetlinkSocket& socket, std::uint32_t ifindex) {
  int rows = 0;
  for (std::uint32_t parent : {kIngressParent, kEgressParent}) {
    const int error = DumpFilters(
        socket, ifindex, parent, [] {}, [&rows](const tcmsg&, Bytes) { ++rows; });
    if (error != 0) return error;
  }
  if (rows > 0) return 0;
  NetlinkRequest request(RTM_DELQDISC, 0, QdiscHeader(ifindex));
  request.PutString(TCA_KIND, "clsact");  // refuses to delete anything else
  const int error = socket.Transact(request);
  return IsGone(error) ? 0 : error;
}

int PutBpfFilter(NetlinkSocket& socket, FilterPlace* place, int program_fd, const char* name, bool replace) {
  const int flags = replace ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
  NetlinkRequest request(RTM_NEWTFILTER, flags, FilterHeader(*place));
  request.PutString(TCA_KIND, "bpf");
  const std::size_t options = request.BeginNest(TCA_OPTIONS);
  request.PutU32(TCA_BPF_FD, static_cast<std::uint32_t>(program_fd));
  request.PutString(TCA_BPF_NAME, name);
  request.PutU32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  request.EndNest(options);
  std::uint32_t handle = place->handle;
  const int error = socket.Transact(request, [&handle](std::uint16_t type, Bytes body) {
    if (type == RTM_NEWTFILTER) handle = ReadAs<tcmsg>(body).tcm_handle;
  });
  if (error == 0) place->handle = handle;
  return error;
}

int DeleteFiltersOf(NetlinkSocket& socket, std::uint32_t ifindex, std::uint32_t parent, std::uint32_t program_id) {
  if (program_id == 0) return -EINVAL;
  std::array<FilterPlace, 16> found;
  std::size_t count = 0;
  int deleted = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int error = DumpFilters(
        socket, ifindex, parent, [&count] { count = 0; },
        [&](const tcmsg& row, Bytes attributes) {
          // Handle 0 would name the whole preference, others' filters included.
          const bool deletable = row.tcm_handle != 0 && (row.tcm_info & 0xffff) == htons(ETH_P_ALL);
          if (!deletable || count == found.size() || ProgramOf(attributes) != program_id) return;
          found[count++] = {ifindex, parent, row.tcm_info >> 16, row.tcm_handle};
        });
    if (error != 0) return error;
    if (count == 0) return deleted;
    for (std::size_t i = 0; i < count; ++i) {
      NetlinkRequest request(RTM_DELTFILTER, 0, FilterHeader(found[i]));
      request.PutString(TCA_KIND, "bpf");
      const int failure = socket.Transact(request);
      if (failure != 0 && !IsGone(failure)) return failure;
      if (failure == 0) ++deleted;
    }
  }
  return -EBUSY;  // somebody puts them back as fast as we delete
}

}  // namespace knp::datapath
