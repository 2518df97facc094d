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

#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr char kConfigMap[] = ".rodata.knp";

struct RequiredMap {
  const char* name;
  bpf_map_type type;
  std::uint32_t key_size;
  std::uint32_t value_size;
};

constexpr RequiredMap kMaps[] = {
    {"knp_flows4", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_bucket4)},
    {"knp_flows6", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_bucket6)},
    {"knp_counters", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_iface_counters)},
    {"knp_cpu", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_cpu_state)},
    {"knp_ifaces", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_iface_entry)},
    {"knp_clock_now", BPF_MAP_TYPE_ARRAY, 4, sizeof(knp_clock_pair)},
    {"knp_ring", BPF_MAP_TYPE_RINGBUF, 0, 0},
    {"knp_perf", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4},
};
constexpr const char* kPrograms[] = {"knp_ingress", "knp_egress", "knp_clock"};

absl::StatusOr<bpf_object*> Open(const std::string& path, const LibbpfLog& log) {
  bpf_object* object = nullptr;
  if (path.empty()) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "knp");
    const auto image = EmbeddedObject();
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
  const std::size_t per_cpu = options.table_budget_bytes / possible_cpus;
  const std::size_t buckets6 = per_cpu / 4 / sizeof(knp_bucket6);
  const std::size_t buckets4 = (per_cpu - buckets6 * sizeof(knp_bucket6)) / sizeof(knp_bucket4);
  if (buckets4 == 0 || buckets6 == 0 || options.table_budget_bytes > kMost)
    return absl::InvalidArgumentError(
        fmt::format("a flow table of {} bytes for {} possible CPUs: must be {} bytes to 64 GiB",
                    options.table_budget_bytes, possible_cpus, std::size_t{possible_cpus} * 4 * sizeof(knp_bucket6)));
  sizes.buckets4 = static_cast<std::uint32_t>(buckets4);
  sizes.buckets6 = static_cast<std::uint32_t>(buckets6);
  if (std::max(buckets4, buckets6) * possible_cpus > UINT32_MAX)
    return absl::InvalidArgumentError("the flow table has more than 2^32 buckets: lower table_budget_bytes");
  if (options.ring_bytes > (std::size_t{1} << 30))
    return absl::InvalidArgumentError(fmt::format("a ring of {} bytes: must be at most 1 GiB", options.ring_bytes));
  sizes.ring_bytes = static_cast<std::uint32_t>(std::bit_ceil(std::max(options.ring_bytes, page_size)));
  return sizes;
}

absl::StatusOr<std::unique_ptr<Object>> Object::Load(const std::string& path, const MonitorOptions& options,
                                                     const Features& features) {
  const std::string origin = path.empty() ? "the embedded BPF object" : fmt::format("BPF object {}", path);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1)
    return ErrnoStatus(-cpus, "cannot read the number of possible CPUs from /sys/devices/system/cpu/possible");
  auto sizes = Plan(options, static_cast<std::uint32_t>(cpus), static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  if (!sizes.ok()) return sizes.status();

  LibbpfLog log;
  auto opened = Open(path, log);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<Object> object(new Object);
  object->object_ = *opened;
  object->sizes_ = *sizes;
  if (absl::Status status = object->Check(origin); !status.ok()) return status;
  if (absl::Status status = object->Configure(features); !status.ok()) return status;
  if (const int error = -bpf_object__load(object->object_); error != 0) {
    if (error == EPERM || error == EACCES) {
      if (!MissingCapabilities().empty()) return ErrnoStatus(error, fmt::format("cannot load {}", origin));
      if (error == EACCES)  // the verifier's answer, too
        return absl::InvalidArgumentError(fmt::format("the kernel's verifier refuses {}: {}", origin, log.Tail()));
    }
    absl::Status status = ErrnoStatus(error, fmt::format("cannot load {}", origin));
    return absl::Status(status.code(), fmt::format("{}\n{}", std::string(status.message()), log.Tail()));
  }
  return object;
}

Object::~Object() { bpf_object__close(object_); }

absl::Status Object::Check(const std::string& origin) const {
  for (const RequiredMap& want : kMaps) {
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
  for (const char* name : kPrograms) {
    const bpf_program* program = bpf_object__find_program_by_name(object_, name);
    if (!program) return absl::InvalidArgumentError(fmt::format("{} lacks the program {}", origin, name));
    if (bpf_program__type(program) != BPF_PROG_TYPE_SCHED_CLS)
      return absl::InvalidArgumentError(fmt::format("{}: program {} is not of section \"tc\"", origin, name));
  }
  const bpf_map* config_map = bpf_object__find_map_by_name(object_, kConfigMap);
  if (!config_map) return absl::InvalidArgumentError(fmt::format("{} lacks the settings {}", origin, kConfigMap));
  std::size_t size = 0;
  const void* config_memory = bpf_map__initial_value(const_cast<bpf_map*>(config_map), &size);
  knp_config config;
  if (!config_memory || size < offsetof(knp_config, buckets4))
    return absl::InvalidArgumentError(fmt::format("{}: {} is too short", origin, kConfigMap));
  std::memcpy(&config, config_memory, std::min(size, sizeof config));
  if (config.magic != KNP_CONFIG_MAGIC || config.abi_version != KNP_ABI_VERSION || size != sizeof config)
    return absl::InvalidArgumentError(fmt::format(
        "{} has layout version {} ({} B of settings), this library version {} ({} B): rebuild it with this "
        "version's headers",
        origin, config.magic == KNP_CONFIG_MAGIC ? config.abi_version : 0, size, KNP_ABI_VERSION, sizeof config));
  return absl::OkStatus();
}

absl::Status Object::Configure(const Features& features) {
  uses_ringbuf_ = features.Has(Feature::kRingbuf);
  const auto set_entries = [this](const char* name, std::uint32_t entries) {
    return bpf_map__set_max_entries(bpf_object__find_map_by_name(object_, name), entries);
  };
  knp_config config{.magic = KNP_CONFIG_MAGIC,
                    .abi_version = KNP_ABI_VERSION,
                    .buckets4 = sizes_.buckets4,
                    .buckets6 = sizes_.buckets6,
                    .max_ifaces = sizes_.max_ifaces,
                    .cpus = sizes_.cpus,
                    .use_ringbuf = uses_ringbuf_,
                    .pad = 0,
                    .seed = 0};
  if (getrandom(&config.seed, sizeof config.seed, 0) != sizeof config.seed)
    return ErrnoStatus(errno, "cannot get random bytes for the flow table's hash");
  int error = 0;
  const auto keep = [&error](int result) {
    if (result < 0 && error == 0) error = -result;
  };
  keep(set_entries("knp_flows4", sizes_.cpus * sizes_.buckets4));
  keep(set_entries("knp_flows6", sizes_.cpus * sizes_.buckets6));
  keep(set_entries("knp_counters", sizes_.cpus * sizes_.max_ifaces));
  keep(set_entries("knp_cpu", sizes_.cpus));
  keep(set_entries("knp_ring", sizes_.ring_bytes));
  keep(set_entries("knp_perf", sizes_.cpus));
  keep(bpf_map__set_autocreate(bpf_object__find_map_by_name(object_, uses_ringbuf_ ? "knp_perf" : "knp_ring"), false));
  keep(bpf_map__set_initial_value(bpf_object__find_map_by_name(object_, kConfigMap), &config, sizeof config));
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "cannot size the BPF maps");
}

int Object::ProgramFd(const char* name) const {
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
