// See mitigation.h.
#include "src/datapath/mitigation.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "abi/knp_mitigation.h"
#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::datapath {
namespace {

constexpr unsigned kWidest4 = 16, kWidest6 = 32;
constexpr std::uint32_t kMostRules = 4096, kMostAllowed = 8192;
constexpr std::size_t kMostEnded = 256;
constexpr std::chrono::hours kLongest{1};
constexpr std::uint64_t kNodeAddressesFor = 10'000'000'000;  // a routing table may be long

// Sources without which no network works, or that nobody sends from over a wire.
constexpr const char* kNeverDropped[] = {"0.0.0.0", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255",
                                         "::",      "::1",         "fe80::/10",   "ff00::/8"};

struct Key {
  knp_prefix4 v4{};
  knp_prefix6 v6{};
  bool is_v6;
  explicit Key(const Prefix& prefix) : is_v6(prefix.address.version == 6) {
    v4.length = v6.length = prefix.length;
    std::memcpy(v4.address, prefix.address.bytes.data(), sizeof v4.address);
    std::memcpy(v6.address, prefix.address.bytes.data(), sizeof v6.address);
  }
  const void* data() const { return is_v6 ? static_cast<const void*>(&v6) : &v4; }
};

void Add(Mitigation::Counts* to, const Mitigation::Counts& counts) {
  to->dropped += counts.dropped;
  to->would_drop += counts.would_drop;
  to->over_cap += counts.over_cap;
  to->allowed += counts.allowed;
}

SideHooks::Programs ProgramsOf(const SideObject& object) {
  return {.direction = Direction::kIngress,
          .ethernet_fd = object.ProgramFd("knp_mitigate"),
          .ip_fd = object.ProgramFd("knp_mitigate_ip"),
          .behind_captures = true};
}

}  // namespace

absl::Status CheckMitigationOptions(const MitigationOptions& options) {
  using std::chrono::milliseconds;
  const auto wrong = [](const char* option, const std::string& range) {
    return absl::InvalidArgumentError(fmt::format("mitigation.{} must be {}", option, range));
  };
  if (options.max_rules < 1 || options.max_rules > kMostRules) return wrong("max_rules", "1 to 4096");
  if (options.max_duration < milliseconds(1000) || options.max_duration > kLongest)
    return wrong("max_duration", "1s to 1h");
  if (options.duration < milliseconds(1000) || options.duration > options.max_duration)
    return wrong("duration", "1s to mitigation.max_duration");
  if (options.packets_per_second == 0) return wrong("packets_per_second", "1 or more");
  if (options.allow.size() > kMostAllowed - std::size(kNeverDropped))
    return wrong("allow", fmt::format("at most {} prefixes", kMostAllowed - std::size(kNeverDropped)));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Mitigation>> Mitigation::Create(const MitigationOptions& options,
                                                               const std::string& disabled_features) {
  if (absl::Status status = CheckMitigationOptions(options); !status.ok()) return status;
  if (options.mode == MitigationMode::kOff)
    return absl::InvalidArgumentError("mitigation is off: there is nothing to load");
  const auto features = Features::Probe(disabled_features);
  if (!features.ok()) return features.status();
  // One entry more than rules: before Linux 6.12 a full trie refuses even to replace what it has.
  const std::uint32_t entries = options.max_rules + 1;
  const SideObject::MapSize sizes[] = {{"knp_drop4", entries},
                                       {"knp_drop6", entries},
                                       {"knp_allow4", kMostAllowed},
                                       {"knp_allow6", kMostAllowed},
                                       {"knp_drop_counts", options.max_rules}};
  auto object =
      SideObject::Load({"the mitigation's programs", EmbeddedMitigation(), EmbeddedMitigation418()}, sizes, *features);
  if (!object.ok()) return object.status();
  auto netns = Netns::Current();
  if (!netns.ok()) return netns.status();
  std::unique_ptr<Mitigation> mitigation(new Mitigation(options, *std::move(object), *std::move(netns)));
  if (absl::Status status = mitigation->Fill(); !status.ok()) return status;
  return mitigation;
}

Mitigation::Mitigation(MitigationOptions options, SideObject object, Netns netns)
    : options_(std::move(options)),
      object_(std::move(object)),
      netns_(std::move(netns)),
      hooks_({ProgramsOf(object_)}) {
  for (std::uint32_t slot = 0; slot < options_.max_rules; slot++) free_slots_.push_back(slot);
}

Mitigation::~Mitigation() = default;

absl::Status Mitigation::Fill() {
  const std::uint32_t zero = 0;
  const knp_drop_budget budget{.second = 0, .used = 0, .packets_per_second = options_.packets_per_second, .pad = 0};
  if (const int error = bpf_map_update_elem(object_.MapFd("knp_drop_budget"), &zero, &budget, BPF_ANY); error != 0)
    return ErrnoStatus(-error, "cannot set the mitigation's budget");
  for (const char* text : kNeverDropped) {
    const auto prefix = Prefix::Parse(text);
    if (!prefix.ok()) return prefix.status();
    if (absl::Status status = Allow(*prefix); !status.ok()) return status;
  }
  for (const Prefix& prefix : options_.allow)
    if (absl::Status status = Allow(prefix); !status.ok()) return status;
  return absl::OkStatus();
}

absl::Status Mitigation::Allow(const Prefix& prefix) {
  const Key key(prefix);
  const std::uint32_t value = 1;
  const int error =
      bpf_map_update_elem(object_.MapFd(key.is_v6 ? "knp_allow6" : "knp_allow4"), key.data(), &value, BPF_ANY);
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(-error, fmt::format("cannot put {} on the mitigation's allow list", prefix.ToString()));
}

absl::Status Mitigation::Store(const Active& active) {
  const Key key(active.rule.prefix);
  const knp_drop_rule value{.expires_ns = active.rule.until_ns, .slot = active.slot, .dry_run = dry_run() ? 1u : 0u};
  const int error =
      bpf_map_update_elem(object_.MapFd(key.is_v6 ? "knp_drop6" : "knp_drop4"), key.data(), &value, BPF_ANY);
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(-error, fmt::format("cannot set the rule that drops {}", active.rule.prefix.ToString()));
}

absl::Status Mitigation::CheckWidth(const Prefix& prefix) const {
  const unsigned widest = prefix.address.version == 6 ? kWidest6 : kWidest4;
  if (prefix.length >= widest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} is not dropped: wider than /{}, the widest that may be", prefix.ToString(), widest));
}

// What lies within a protected block is refused; a block around a protected address is dropped without it, for the
// address goes onto the kernel's allow list first.
absl::Status Mitigation::CheckProtected(const Prefix& prefix, std::uint64_t now_ns) {
  const auto refuse = [&](const std::string& why) {
    return absl::FailedPreconditionError(fmt::format("{} is not dropped: {}", prefix.ToString(), why));
  };
  for (const char* text : kNeverDropped)
    if (const auto block = Prefix::Parse(text); block.ok() && block->Contains(prefix))
      return refuse("sources of " + block->ToString() + " never are");
  for (const Prefix& block : options_.allow)
    if (block.Contains(prefix)) return refuse(fmt::format("{} is on the allow list", block.ToString()));
  if (node_read_ns_ == 0 || now_ns - node_read_ns_ >= kNodeAddressesFor) {
    const NetnsScope scope(netns_);
    if (!scope.ok()) return refuse("this thread may not look up the node's addresses (missing CAP_SYS_ADMIN)");
    auto node = ReadNodeAddresses();
    if (!node.ok()) return node.status();  // who does not know what he must not drop, drops nothing
    node_ = *std::move(node);
    node_read_ns_ = now_ns;
  }
  for (const auto& [list, what] :
       {std::pair{&node_.own, "an address of this node"}, {&node_.gateways, "a gateway of this node"}})
    for (const IpAddress& address : *list) {
      if (!prefix.Contains(address)) continue;
      if (prefix.IsHost()) return refuse(fmt::format("it is {}", what));
      if (absl::Status status = Allow(Prefix::Host(address)); !status.ok()) return status;
    }
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> Mitigation::Drop(const Prefix& prefix, std::chrono::nanoseconds duration,
                                               const std::string& alert_id, const std::string& reason,
                                               std::uint64_t now_ns) {
  if (duration <= std::chrono::nanoseconds(0) || duration > options_.max_duration)
    return absl::InvalidArgumentError(fmt::format("{} is not dropped for {} s: at most for {} s", prefix.ToString(),
                                                  std::chrono::duration<double>(duration).count(),
                                                  std::chrono::duration<double>(options_.max_duration).count()));
  if (absl::Status status = CheckWidth(prefix); !status.ok()) return status;
  if (absl::Status status = CheckProtected(prefix, now_ns); !status.ok()) return status;
  const std::uint64_t until_ns = now_ns + static_cast<std::uint64_t>(duration.count());
  if (const auto known = by_prefix_.find(prefix); known != by_prefix_.end()) {
    Active& active = active_.at(known->second);
    if (until_ns <= active.rule.until_ns) return known->second;
    active.rule.until_ns = until_ns;
    if (absl::Status status = Store(active); !status.ok()) return status;
    return known->second;
  }
  if (free_slots_.empty())
    return absl::ResourceExhaustedError(
        fmt::format("{} is not dropped: {} rules stand, as many as mitigation.max_rules allows", prefix.ToString(),
                    active_.size()));
  Active active;
  active.slot = free_slots_.front();
  active.rule.id = next_id_;
  active.rule.prefix = prefix;
  active.rule.alert_id = alert_id;
  active.rule.reason = reason;
  active.rule.since_ns = now_ns;
  active.rule.until_ns = until_ns;
  if (absl::Status status = ResetCounts(active.slot); !status.ok()) return status;
  if (absl::Status status = Store(active); !status.ok()) return status;
  free_slots_.pop_front();
  by_prefix_[prefix] = next_id_;
  active_[next_id_] = std::move(active);
  return next_id_++;
}

Mitigation::Rule Mitigation::End(std::map<std::uint64_t, Active>::iterator at, MitigationRuleState state,
                                 std::uint64_t now_ns) {
  const Key key(at->second.rule.prefix);
  bpf_map_delete_elem(object_.MapFd(key.is_v6 ? "knp_drop6" : "knp_drop4"), key.data());
  Rule rule = std::move(at->second.rule);
  // A packet that another CPU is judging at this moment may be missing.
  if (const auto counts = ReadCounts(at->second.slot); counts.ok()) rule.counts = *counts;
  rule.state = state;
  rule.until_ns = std::min(rule.until_ns, now_ns);
  Add(&ended_counts_, rule.counts);
  by_prefix_.erase(rule.prefix);
  free_slots_.push_back(at->second.slot);
  active_.erase(at);
  ended_.push_front(rule);
  if (ended_.size() > kMostEnded) ended_.pop_back();
  return rule;
}

absl::Status Mitigation::Lift(std::uint64_t id, std::uint64_t now_ns) {
  const auto at = active_.find(id);
  if (at == active_.end()) return absl::NotFoundError(fmt::format("there is no active mitigation rule {}", id));
  End(at, MitigationRuleState::kLifted, now_ns);
  return absl::OkStatus();
}

std::vector<Mitigation::Rule> Mitigation::Expire(std::uint64_t now_ns) {
  std::vector<Rule> expired;
  for (auto at = active_.begin(); at != active_.end();) {
    const auto next = std::next(at);
    if (now_ns >= at->second.rule.until_ns) expired.push_back(End(at, MitigationRuleState::kExpired, now_ns));
    at = next;
  }
  return expired;
}

absl::Status Mitigation::Sync(std::span<const HookPlace> places, std::uint64_t now_ns) {
  if (active_.empty() || places.empty()) {
    hooks_.Clear();
    return absl::OkStatus();
  }
  const NetnsScope scope(netns_);
  if (!scope.ok())
    return absl::PermissionDeniedError("cannot enter the monitor's network namespace: missing CAP_SYS_ADMIN");
  return hooks_.Sync(places, now_ns);
}

absl::StatusOr<Mitigation::Counts> Mitigation::ReadCounts(std::uint32_t slot) const {
  std::vector<knp_drop_counts> cpus(static_cast<std::size_t>(std::max(libbpf_num_possible_cpus(), 1)));
  if (const int error = bpf_map_lookup_elem(object_.MapFd("knp_drop_counts"), &slot, cpus.data()); error != 0)
    return ErrnoStatus(-error, "cannot read the counts of a mitigation rule");
  Counts sum;
  for (const knp_drop_counts& cpu : cpus) {
    sum.dropped += Count{cpu.dropped.packets, cpu.dropped.bytes};
    sum.would_drop += Count{cpu.would_drop.packets, cpu.would_drop.bytes};
    sum.over_cap += Count{cpu.over_cap.packets, cpu.over_cap.bytes};
    sum.allowed += Count{cpu.allowed.packets, cpu.allowed.bytes};
  }
  return sum;
}

absl::Status Mitigation::ResetCounts(std::uint32_t slot) {
  const std::vector<knp_drop_counts> zeroes(static_cast<std::size_t>(std::max(libbpf_num_possible_cpus(), 1)));
  const int error = bpf_map_update_elem(object_.MapFd("knp_drop_counts"), &slot, zeroes.data(), BPF_ANY);
  return error == 0 ? absl::OkStatus() : ErrnoStatus(-error, "cannot reset the counts of a mitigation rule");
}

std::vector<Mitigation::Rule> Mitigation::Rules() {
  std::vector<Rule> rules;
  for (auto& [id, active] : active_) {
    if (const auto counts = ReadCounts(active.slot); counts.ok()) active.rule.counts = *counts;
    rules.push_back(active.rule);
  }
  for (std::size_t i = 0; i < ended_.size() && rules.size() < kMostEnded; i++) rules.push_back(ended_[i]);
  return rules;
}

Mitigation::Counts Mitigation::Totals() {
  Counts totals = ended_counts_;
  for (auto& [id, active] : active_) {
    if (const auto counts = ReadCounts(active.slot); counts.ok()) active.rule.counts = *counts;
    Add(&totals, active.rule.counts);
  }
  return totals;
}

}  // namespace knp::datapath
