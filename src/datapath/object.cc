// See object.h.
#include "src/datapath/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>

#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr char kConfigMap[] = ".rodata.knp";     // of the current variant
constexpr char kSettingsMap[] = "knp_settings";  // of the 4.18 variant
constexpr std::uint32_t kCurrent = 1, k418 = 2, kReplay = 4, kLive = kCurrent | k418, kAll = kLive | kReplay;

struct RequiredMap {
  const char* name;
  bpf_map_type type;
  std::uint32_t key_size;
  std::uint32_t value_size;
  std::uint32_t variants = kAll;
};

constexpr RequiredMap kMaps[] = {
    {"knp_flows4", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_buckets4)},
    {"knp_flows6", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_buckets6)},
    {"knp_flows_inner", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_buckets_inner), kCurrent | kReplay},
    {"knp_scratch", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_scratch)},
    {"knp_counters", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_iface_counters)},
    {"knp_cpu", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_cpu_state)},
    {"knp_meters", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_meters), kCurrent | kReplay},
    {"knp_ifaces", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_iface_entry)},
    {"knp_clock_now", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_clock_pair), kCurrent},
    {kSettingsMap, BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_config), k418},
    {"knp_tick", BPF_MAP_TYPE_ARRAY, 4, sizeof(__u64), k418},
    {"knp_ring", BPF_MAP_TYPE_RINGBUF, 0, 0, kCurrent | kReplay},
    {"knp_perf", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4},
    {"knp_perf_credit", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_perf_credit)},
};

struct RequiredProgram {
  const char* name;
  std::uint32_t variants = kLive;
};
constexpr RequiredProgram kPrograms[] = {
    {"knp_ingress"}, {"knp_egress"}, {"knp_clock", kCurrent}, {"knp_replay", kReplay}};

bool IsOf(std::uint32_t variants, Object::Variant variant) {
  switch (variant) {
    case Object::Variant::kCurrent: return (variants & kCurrent) != 0;
    case Object::Variant::k418: return (variants & k418) != 0;
    case Object::Variant::kReplay: return (variants & kReplay) != 0;
  }
  return false;
}

// What the kernel says to a program that is wrong, or newer than itself: of its verifier, and of its JIT compiler.
bool IsVerifiersNo(int error) {
  constexpr int kNotSupp = 524;  // ENOTSUPP, which user space has no name for
  return error == EACCES || error == EINVAL || error == E2BIG || error == kNotSupp;
}

// FNV-1a, to tell one build from another; never 0.
std::uint64_t Digest(std::span<const std::byte> image) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const std::byte byte : image) digest = (digest ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3;
  return digest | 1;
}

// X.o -> X-4.18.o
std::string Sibling(const std::string& path) {
  const std::size_t stem = path.ends_with(".o") ? path.size() - 2 : path.size();
  return path.substr(0, stem) + "-4.18" + path.substr(stem);
}

absl::StatusOr<bpf_object*> Open(const std::string& path, Object::Variant variant, const LibbpfLog& log) {
  bpf_object* object = nullptr;
  if (path.empty()) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "knp");
    const auto image = variant == Object::Variant::kReplay ? EmbeddedReplayObject()
                       : variant == Object::Variant::k418  ? EmbeddedObject418()
                                                           : EmbeddedObject();
    object = bpf_object__open_mem(image.data(), image.size(), &options);
  } else {
    if (access(path.c_str(), R_OK) != 0)
      return ErrnoStatus(errno == EACCES ? ENOENT : errno, fmt::format("cannot read BPF object {}", path));
    object = bpf_object__open_file(path.c_str(), nullptr);
  }
  if (!object)
    return absl::InvalidArgumentError(fmt::format("{} is no BPF object that libbpf can open (errno {}): {}",
                                                  path.empty() ? "the embedded image" : path, errno, log.Tail()));
  return object;
}

}  // namespace

absl::StatusOr<Sizes> Plan(const MonitorOptions& options, std::uint32_t possible_cpus, std::size_t page_size) {
  constexpr std::size_t kMost = std::size_t{64} << 30;
  Sizes sizes;
  sizes.cpus = possible_cpus;
  if (options.max_interfaces == 0 || options.max_interfaces > KNP_MAX_IFACES)
    return absl::InvalidArgumentError(
        fmt::format("max_interfaces is {}: must be 1 to {}", options.max_interfaces, KNP_MAX_IFACES));
  sizes.max_ifaces = options.max_interfaces + 1;
  sizes.samples = options.sample_bytes_per_second != 0;
  const std::size_t per_cpu = options.table_budget_bytes / possible_cpus;
  const std::size_t buckets6 = per_cpu / 4 / sizeof(knp_bucket6);
  const std::size_t buckets4 = (per_cpu - buckets6 * sizeof(knp_bucket6)) / sizeof(knp_bucket4);
  if (buckets4 == 0 || buckets6 == 0 || options.table_budget_bytes > kMost)
    return absl::InvalidArgumentError(
        fmt::format("a flow table of {} bytes for {} possible CPUs: must be {} bytes to 64 GiB",
                    options.table_budget_bytes, possible_cpus, std::size_t{possible_cpus} * 4 * sizeof(knp_bucket6)));
  sizes.buckets4 = static_cast<std::uint32_t>(buckets4);
  sizes.buckets6 = static_cast<std::uint32_t>(buckets6);
  sizes.buckets_inner = static_cast<std::uint32_t>(std::max<std::size_t>(per_cpu / 8 / sizeof(knp_bucket_inner), 1));
  if (std::max(buckets4, buckets6) * possible_cpus > UINT32_MAX)
    return absl::InvalidArgumentError("the flow table has more than 2^32 buckets: lower table_budget_bytes");
  if (options.ring_bytes > (std::size_t{1} << 30))
    return absl::InvalidArgumentError(fmt::format("a ring of {} bytes: must be at most 1 GiB", options.ring_bytes));
  sizes.ring_bytes = static_cast<std::uint32_t>(std::bit_ceil(std::max(options.ring_bytes, page_size)));
  return sizes;
}

absl::StatusOr<std::unique_ptr<Object>> Object::Load(const std::string& path, const MonitorOptions& options,
                                                     Features* features, Pins* pins) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1)
    return ErrnoStatus(-cpus, "cannot read the number of possible CPUs from /sys/devices/system/cpu/possible");
  auto sizes = Plan(options, static_cast<std::uint32_t>(cpus), static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  if (!sizes.ok()) return sizes.status();
  const bool has_sibling = path.empty() || access(Sibling(path).c_str(), R_OK) == 0;
  const std::string sibling = path.empty() ? path : has_sibling ? Sibling(path) : path;
  if (!features->TakesCurrentPrograms()) return LoadVariant(sibling, Variant::k418, *sizes, *features);
  auto object = LoadVariant(path, Variant::kCurrent, *sizes, *features, pins);
  if (!absl::IsFailedPrecondition(object.status())) return object;
  if (has_sibling) {
    auto other = LoadVariant(sibling, Variant::k418, *sizes, *features);
    if (other.ok()) {
      features->Lose(Feature::kPrograms, std::string(object.status().message()));
      return other;
    }
  }
  return absl::InvalidArgumentError(object.status().message());
}

absl::StatusOr<std::unique_ptr<Object>> Object::LoadReplay(const Sizes& sizes, const Features& features) {
  if (!features.TakesCurrentPrograms() || !features.MayHave(Feature::kRingbuf))
    return absl::UnimplementedError(
        "this kernel cannot run the replay's program (it needs Linux 5.8, and the features programs, jiffies, gso and "
        "ringbuf not switched off)");
  auto object = LoadVariant("", Variant::kReplay, sizes, features);
  if (absl::IsFailedPrecondition(object.status())) return absl::UnimplementedError(object.status().message());
  return object;
}

// The file says which variant it is; `variant` is the one that is wanted.
absl::StatusOr<std::unique_ptr<Object>> Object::LoadVariant(const std::string& path, Variant variant,
                                                            const Sizes& sizes, const Features& features, Pins* pins) {
  const std::string origin = path.empty() ? "the embedded BPF object" : fmt::format("BPF object {}", path);
  LibbpfLog log;
  auto opened = datapath::Open(path, variant, log);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<Object> object(new Object);
  object->object_ = *opened;
  object->sizes_ = sizes;
  const bool is_418 = bpf_object__find_map_by_name(*opened, kSettingsMap) != nullptr;
  object->variant_ = is_418 ? Variant::k418 : variant == Variant::kReplay ? variant : Variant::kCurrent;
  if (absl::Status status = object->Check(origin); !status.ok()) return status;
  if (variant == Variant::k418 && !is_418)
    return absl::UnimplementedError(
        fmt::format("{} needs a newer kernel, or features that are switched off (knp doctor tells which), and its "
                    "variant for older "
                    "kernels, {}, is not there: knp_add_bpf_object builds both, copy them together",
                    origin, Sibling(path)));
  if (absl::Status status = object->Configure(features); !status.ok()) return status;
  const bool pinned = pins && object->uses_ringbuf_ && object->reading_ == Reading::kMapped;
  if (pinned) {
    if (path.empty()) object->image_ = Digest(EmbeddedObject());
    if (absl::Status status = object->ReuseMaps(pins); !status.ok()) return status;
    if (!object->programs_.empty()) return object;
  }
  if (const int error = -bpf_object__load(object->object_); error != 0) {
    if ((error == EPERM || error == EACCES) && !MissingCapabilities().empty())
      return ErrnoStatus(error, fmt::format("cannot load {}", origin));
    if (IsVerifiersNo(error))
      return absl::FailedPreconditionError(fmt::format("the kernel's verifier refuses {}: {}", origin, log.Tail()));
    absl::Status status = ErrnoStatus(error, fmt::format("cannot load {}", origin));
    return absl::Status(status.code(), fmt::format("{}\n{}", std::string(status.message()), log.Tail()));
  }
  if (absl::Status status = object->StoreSettings(); !status.ok()) return status;
  if (pinned)
    if (absl::Status status = object->PinMaps(pins); !status.ok()) return status;
  return object;
}

Object::~Object() { bpf_object__close(object_); }

absl::Status Object::Check(const std::string& origin) const {
  for (const RequiredMap& want : kMaps) {
    if (!IsOf(want.variants, variant_)) continue;
    const bpf_map* map = bpf_object__find_map_by_name(object_, want.name);
    if (!map) return absl::InvalidArgumentError(fmt::format("{} lacks the map {}", origin, want.name));
    if (bpf_map__type(map) != want.type || bpf_map__key_size(map) != want.key_size ||
        bpf_map__value_size(map) != want.value_size)
      return absl::InvalidArgumentError(
          fmt::format("{}: map {} has another layout: type {}, key {} B, value {} B; this library needs type {}, key "
                      "{} B, value {} B",
                      origin, want.name, static_cast<int>(bpf_map__type(map)), bpf_map__key_size(map),
                      bpf_map__value_size(map), static_cast<int>(want.type), want.key_size, want.value_size));
  }
  for (const RequiredProgram& want : kPrograms) {
    if (!IsOf(want.variants, variant_)) continue;
    const bpf_program* program = bpf_object__find_program_by_name(object_, want.name);
    if (!program) return absl::InvalidArgumentError(fmt::format("{} lacks the program {}", origin, want.name));
    if (bpf_program__type(program) != BPF_PROG_TYPE_SCHED_CLS)
      return absl::InvalidArgumentError(fmt::format("{}: program {} is not of section \"tc\"", origin, want.name));
  }
  return CheckVersion(origin);
}

absl::Status Object::CheckVersion(const std::string& origin) const {
  const auto other = [&](std::uint32_t version) {
    return absl::InvalidArgumentError(
        fmt::format("{} has layout version {}, this library version {}: rebuild it with this version's headers", origin,
                    version, KNP_ABI_VERSION));
  };
  if (variant_ == Variant::k418) {
    const std::uint32_t version = bpf_map__max_entries(bpf_object__find_map_by_name(object_, kSettingsMap));
    return version == KNP_ABI_VERSION ? absl::OkStatus() : other(version);
  }
  const bpf_map* config_map = bpf_object__find_map_by_name(object_, kConfigMap);
  if (!config_map) return absl::InvalidArgumentError(fmt::format("{} lacks the settings {}", origin, kConfigMap));
  std::size_t size = 0;
  const void* config_memory = bpf_map__initial_value(const_cast<bpf_map*>(config_map), &size);
  knp_config config{};
  if (!config_memory || size < offsetof(knp_config, buckets4))
    return absl::InvalidArgumentError(fmt::format("{}: {} is too short", origin, kConfigMap));
  std::memcpy(&config, config_memory, std::min(size, sizeof config));
  if (config.magic != KNP_CONFIG_MAGIC) return other(0);
  if (config.abi_version != KNP_ABI_VERSION || size != sizeof config) return other(config.abi_version);
  return absl::OkStatus();
}

absl::Status Object::Configure(const Features& features) {
  const bool is_418 = variant_ == Variant::k418;
  uses_ringbuf_ = !is_418 && features.Has(Feature::kRingbuf);
#if defined(__x86_64__)
  const bool may_map = true;
#else
  // The 4.18 variant has no store barrier: its tables are read by copies, with a system call between (table_reader.h).
  const bool may_map = !is_418;
#endif
  reading_ = may_map && features.Has(Feature::kMmap) ? Reading::kMapped
             : features.Has(Feature::kBatch)         ? Reading::kBatched
                                                     : Reading::kSingle;
  config_ = {.magic = KNP_CONFIG_MAGIC,
             .abi_version = KNP_ABI_VERSION,
             .buckets4 = sizes_.buckets4,
             .buckets6 = sizes_.buckets6,
             .buckets_inner = is_418 ? 0 : sizes_.buckets_inner,
             .max_ifaces = sizes_.max_ifaces,
             .cpus = sizes_.cpus,
             .use_ringbuf = uses_ringbuf_,
             .samples = sizes_.samples,
             .ring_half = static_cast<std::uint32_t>((uses_ringbuf_ ? sizes_.ring_bytes : perf_bytes_a_cpu()) / 2),
             .seed = 0};
  if (variant_ == Variant::kReplay)
    config_.seed = kReplaySeed;
  else if (getrandom(&config_.seed, sizeof config_.seed, 0) != sizeof config_.seed)
    return ErrnoStatus(errno, "cannot get random bytes for the flow table's hash");
  int error = 0;
  const auto keep = [&error](int result) {
    if (result < 0 && error == 0) error = -result;
  };
  const auto set_entries = [this, &keep](const char* name, std::uint32_t entries) {
    keep(bpf_map__set_max_entries(bpf_object__find_map_by_name(object_, name), entries));
  };
  const auto drop = [this, &keep](const char* name) {
    keep(bpf_map__set_autocreate(bpf_object__find_map_by_name(object_, name), false));
  };
  set_entries("knp_flows4", (sizes_.cpus * sizes_.buckets4 + KNP_CHUNK - 1) / KNP_CHUNK);
  set_entries("knp_flows6", (sizes_.cpus * sizes_.buckets6 + KNP_CHUNK - 1) / KNP_CHUNK);
  if (!is_418) {
    set_entries("knp_flows_inner", (sizes_.cpus * sizes_.buckets_inner + KNP_CHUNK - 1) / KNP_CHUNK);
    set_entries("knp_meters", sizes_.cpus);
  }
  set_entries("knp_counters", sizes_.cpus * sizes_.max_ifaces);
  set_entries("knp_cpu", sizes_.cpus);
  set_entries("knp_scratch", sizes_.cpus);
  set_entries("knp_perf", sizes_.cpus);
  set_entries("knp_perf_credit", sizes_.cpus);
  for (const RequiredMap& map : kMaps)
    if (IsOf(map.variants, variant_) && map.type == BPF_MAP_TYPE_ARRAY)
      keep(bpf_map__set_map_flags(bpf_object__find_map_by_name(object_, map.name),
                                  reading_ == Reading::kMapped ? BPF_F_MMAPABLE : 0));
  if (is_418) {
    set_entries(kSettingsMap, 1);
  } else {
    set_entries("knp_ring", sizes_.ring_bytes);
    keep(bpf_map__set_initial_value(bpf_object__find_map_by_name(object_, kConfigMap), &config_, sizeof config_));
    drop(uses_ringbuf_ ? "knp_perf" : "knp_ring");
  }
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "cannot size the BPF maps");
}

absl::Status Object::StoreSettings() const {
  if (variant_ != Variant::k418) return absl::OkStatus();
  const std::uint32_t zero = 0;
  const int result = bpf_map_update_elem(MapFd(kSettingsMap), &zero, &config_, BPF_ANY);
  return result == 0 ? absl::OkStatus() : ErrnoStatus(-result, "cannot write the programs' settings");
}

std::size_t Object::perf_bytes_a_cpu() const {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::bit_floor(std::max<std::size_t>(sizes_.ring_bytes / sizes_.cpus / page, 1)) * page;
}

Object::MapInfo Object::DescribeMap(const char* name) const {
  const bpf_map* map = bpf_object__find_map_by_name(object_, name);
  return {.fd = bpf_map__fd(map), .max_entries = bpf_map__max_entries(map), .value_size = bpf_map__value_size(map)};
}

int Object::ProgramFd(const char* name) const {
  if (const auto found = programs_.find(name); found != programs_.end()) return found->second.get();
  return bpf_program__fd(bpf_object__find_program_by_name(object_, name));
}

int Object::MapFd(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }

absl::StatusOr<RawMap> Object::OpenMap(const std::string& name, std::size_t key_size, std::size_t value_size) const {
  const bpf_map* map = bpf_object__find_map_by_name(object_, name.c_str());
  if (!map) {
    std::string names;
    bpf_object__for_each_map(map, object_) names += (names.empty() ? "" : ", ") + std::string(bpf_map__name(map));
    return absl::NotFoundError(fmt::format("the BPF object has no map '{}'; it has {}", name, names));
  }
  if (bpf_map__fd(map) < 0) return absl::NotFoundError(fmt::format("map '{}' is not in use on this kernel", name));
  bool per_cpu = false;
  switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: per_cpu = true; break;
    default: break;
  }
  const std::size_t copies = per_cpu ? sizes_.cpus : 1;
  const std::size_t stride = per_cpu ? (bpf_map__value_size(map) + 7) / 8 * 8 : bpf_map__value_size(map);
  if (bpf_map__key_size(map) != key_size || stride * copies != value_size)
    return absl::InvalidArgumentError(
        fmt::format("map '{}' has keys of {} B and values of {} B{}, not {} B and {} B", name, bpf_map__key_size(map),
                    stride * copies, per_cpu ? fmt::format(" ({} for each of {} possible CPUs)", stride, copies) : "",
                    key_size, value_size));
  return RawMap(bpf_map__fd(map), name, key_size, value_size, copies);
}

}  // namespace knp::datapath
