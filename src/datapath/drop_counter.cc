// See drop_counter.h.
#include "src/datapath/drop_counter.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <utility>

#include "abi/knp_drops.h"
#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::datapath {
namespace {

constexpr std::uint32_t kBatch = 1024;

knp_drop_config ConfigOf(const DropVocabulary& vocabulary) {
  knp_drop_config config{};
  config.has_reason = vocabulary.has_reason;
  config.has_socket = vocabulary.has_socket;
  for (const auto& [number, name] : vocabulary.reasons) {
    if (number >= KNP_DROP_REASONS) continue;
    if (name == "SKB_NOT_DROPPED_YET" || name == "SKB_CONSUMED") config.classes[number] = KNP_DROP_NONE;
    // Where the skb may have waited in a tree: TCP's of what came too early, or that of fragments.
    for (const char* queue :
         {"TCP_OFO_QUEUE_PRUNE", "TCP_OFO_DROP", "SOCKET_CLOSE", "QUEUE_PURGE", "FRAG_REASM_TIMEOUT", "DUP_FRAG"})
      if (name == queue) config.classes[number] = KNP_DROP_QUEUED;
    if (name == "QUEUE_PURGE" || name == "NOT_SPECIFIED") config.classes[number] |= KNP_DROP_EMPTY;
  }
  if (!vocabulary.has_reason) config.classes[0] = KNP_DROP_EMPTY;
  return config;
}

IpAddress AddressOf(const __u8 (&bytes)[16], std::uint8_t version) {
  IpAddress address;
  address.version = version;
  std::memcpy(address.bytes.data(), bytes, version == 4 ? 4 : 16);
  return address;
}

DroppedFlow FlowOf(const knp_drop_flow_key& key, const knp_drop_flow& flow) {
  return {.source = AddressOf(key.source, key.version),
          .destination = AddressOf(key.target, key.version),
          .sport = ntohs(key.sport_be),
          .dport = ntohs(key.dport_be),
          .protocol = key.protocol,
          .site = {.location = key.location, .reason = key.reason},
          .count = {.packets = flow.count.packets, .bytes = flow.count.bytes},
          .first_mono_ns = flow.first_ns,
          .last_mono_ns = flow.last_ns};
}

std::size_t CpuSlots() { return static_cast<std::size_t>(std::max(1, libbpf_num_possible_cpus())); }

}  // namespace

absl::StatusOr<std::unique_ptr<DropCounter>> DropCounter::Create(std::uint32_t flows,
                                                                 const std::string& disabled_features) {
  const auto features = Features::Probe(disabled_features);
  if (!features.ok()) return features.status();
  if (!features->MayHave(Feature::kBtf) || !features->MayHave(Feature::kTpBtf))
    return absl::UnimplementedError(
        "cannot count what the kernel drops: it takes no typed tracepoint programs (tp_btf, Linux 5.5 with BTF), or "
        "they are switched off");
  auto vocabulary = ReadDropVocabulary();
  if (!vocabulary.ok()) return vocabulary.status();
  const knp_drop_config config = ConfigOf(*vocabulary);
  const SideObject::MapSize sizes[] = {{"knp_drop_flows", std::max(1u, flows)},
                                       {".rodata.knp_drops", 0, std::as_bytes(std::span(&config, 1))}};
  auto object = SideObject::Load({"the drop counter", EmbeddedDrops(), {}}, sizes, *features);
  if (!object.ok()) return object.status();
  auto netns = Netns::Current();
  if (!netns.ok()) return netns.status();
  std::unique_ptr<DropCounter> counter(new DropCounter(*std::move(object), *std::move(netns), *std::move(vocabulary)));
  const int attached = bpf_raw_tracepoint_open(nullptr, counter->object_.ProgramFd("knp_drop"));
  if (attached < 0) return ErrnoStatus(-attached, "cannot attach the drop counter to the tracepoint skb:kfree_skb");
  counter->attached_ = UniqueFd(attached);
  return counter;
}

absl::StatusOr<DropCounter::Rest> DropCounter::ReadRest() const {
  std::vector<knp_drop_rest> values(CpuSlots());
  const __u32 zero = 0;
  if (const int error = bpf_map_lookup_elem(object_.MapFd("knp_drop_rests"), &zero, values.data()); error != 0)
    return ErrnoStatus(-error, "cannot read the counts of drops");
  Rest rest;
  for (const knp_drop_rest& value : values) {
    rest.drops += value.drops;
    rest.other += {.packets = value.other.packets, .bytes = value.other.bytes};
    rest.unflowed += value.flows_lost;
  }
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(object_.ProgramFd("knp_drop"), &info, &size) == 0) rest.missed = info.recursion_misses;
  return rest;
}

absl::StatusOr<std::vector<DropRow>> DropCounter::ReadRows() const {
  const int map = object_.MapFd("knp_drop_totals");
  std::vector<DropRow> rows;
  std::vector<knp_drop_count> values(CpuSlots());
  knp_drop_total_key key{}, next{};
  // Nothing is ever deleted from it, so that each is met once.
  for (bool first = true; bpf_map_get_next_key(map, first ? nullptr : &key, &next) == 0; first = false) {
    key = next;
    if (const int error = bpf_map_lookup_elem(map, &key, values.data()); error != 0)
      return ErrnoStatus(-error, "cannot read the totals of drops");
    DropRow row{.site = {.location = key.location, .reason = key.reason},
                .ifindex = key.ifindex,
                .here = key.netns == netns_.inode(),
                .local = (key.hints & KNP_DROP_LOCAL) != 0,
                .received = (key.hints & KNP_DROP_RECEIVED) != 0,
                .count = {}};
    for (const knp_drop_count& value : values) row.count += {.packets = value.packets, .bytes = value.bytes};
    rows.push_back(row);
  }
  return rows;
}

// False: this kernel does not do that.
bool DropCounter::TakeBatches(const std::function<void(const DroppedFlow&)>& take, absl::Status* status) {
  const int map = object_.MapFd("knp_drop_flows");
  std::vector<knp_drop_flow_key> keys(kBatch);
  std::vector<knp_drop_flow> values(kBatch);
  std::uint64_t position = 0;
  for (bool first = true;; first = false) {
    __u32 count = kBatch;
    const int error = bpf_map_lookup_and_delete_batch(map, first ? nullptr : &position, &position, keys.data(),
                                                      values.data(), &count, nullptr);
    if (error != 0 && error != -ENOENT && error != -ENOSPC && first) return false;
    if (error == -ENOSPC && count == 0) {  // a bucket of more than a batch, which a hash does not make
      *status = absl::InternalError("cannot read the dropped conversations: a bucket is larger than a batch");
      return true;
    }
    for (__u32 i = 0; i < count; i++) take(FlowOf(keys[i], values[i]));
    if (error == -ENOENT) return true;
    if (error != 0 && error != -ENOSPC) {
      *status = ErrnoStatus(-error, "cannot read the dropped conversations");
      return true;
    }
  }
}

absl::Status DropCounter::TakeFlows(const std::function<void(const DroppedFlow&)>& take) {
  absl::Status status;
  if (batches_ && TakeBatches(take, &status)) return status;
  batches_ = false;
  const int map = object_.MapFd("knp_drop_flows");
  std::vector<knp_drop_flow_key> keys;  // first all of them: a key that is gone sends the walk back to the start
  knp_drop_flow_key key{};
  for (bool first = true; bpf_map_get_next_key(map, first ? nullptr : &key, &key) == 0; first = false)
    keys.push_back(key);
  for (const knp_drop_flow_key& each : keys) {
    knp_drop_flow flow{};
    if (bpf_map_lookup_elem(map, &each, &flow) != 0) continue;
    bpf_map_delete_elem(map, &each);
    take(FlowOf(each, flow));
  }
  return absl::OkStatus();
}

std::map<std::uint64_t, std::string> DropCounter::ReadFunctions(const std::set<std::uint64_t>& addresses) {
  std::ifstream symbols("/proc/kallsyms");
  return FunctionsAt(addresses, symbols);
}

std::string DropCounter::InterfaceName(std::uint32_t ifindex) const {
  const NetnsScope scope(netns_);
  std::array<char, IF_NAMESIZE> name{};
  return scope.ok() && if_indextoname(ifindex, name.data()) != nullptr ? name.data() : "";
}

}  // namespace knp::datapath
