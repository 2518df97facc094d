// See pinned_state.h.
#include "src/datapath/pinned_state.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr char kHead[] = "knp_head";
constexpr char kBooks[] = "knp_books";
constexpr const char* kShadows[Checkpoint::kTables] = {"knp_shadows4", "knp_shadows6", "knp_shadows_in"};

std::size_t SlotsOf(const knp_config& config, std::size_t table) {
  const std::uint32_t buckets[Checkpoint::kTables] = {config.buckets4, config.buckets6, config.buckets_inner};
  // Whole chunks, as the tables themselves.
  const std::size_t all = std::size_t{config.cpus} * buckets[table];
  return (all + KNP_CHUNK - 1) / KNP_CHUNK * KNP_CHUNK * KNP_WAYS;
}

}  // namespace

// ---- an array ----------------------------------------------------------------------------------------------------

PinnedArray::PinnedArray(PinnedArray&& other) noexcept { *this = std::move(other); }

PinnedArray& PinnedArray::operator=(PinnedArray&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  std::swap(values_, other.values_);
  return *this;
}

PinnedArray::~PinnedArray() {
  if (memory_) munmap(memory_, bytes_);
}

absl::StatusOr<PinnedArray> PinnedArray::Map(const std::string& path, int fd, std::size_t value_size,
                                             std::size_t values) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  PinnedArray array;
  array.bytes_ = (value_size * values + page - 1) / page * page;
  array.values_ = values;
  void* memory = mmap(nullptr, array.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "cannot map " + path);
  array.memory_ = memory;
  return array;
}

absl::StatusOr<PinnedArray> PinnedArray::Make(const std::string& path, const char* name, std::size_t value_size,
                                              std::size_t values) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  const UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(std::uint32_t),
                                   static_cast<std::uint32_t>(value_size), static_cast<std::uint32_t>(values),
                                   &options));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot make the map {} ({} B)", path, value_size * values));
  if (const int error = bpf_obj_pin(fd.get(), path.c_str()); error != 0)
    return ErrnoStatus(-error, "cannot pin a map to " + path);
  return Map(path, fd.get(), value_size, values);
}

absl::StatusOr<PinnedArray> PinnedArray::Open(const std::string& path, std::size_t value_size) {
  const UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open the pinned map " + path);
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(fd.get(), &info, &size); error != 0)
    return ErrnoStatus(-error, "cannot look at the pinned map " + path);
  if (info.value_size != value_size)
    return absl::FailedPreconditionError(
        fmt::format("the pinned map {} has values of {} B, not {}", path, info.value_size, value_size));
  return Map(path, fd.get(), value_size, info.max_entries);
}

// ---- the state ---------------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<PinnedState>> PinnedState::Make(const std::string& directory, const knp_config& config,
                                                               const Origin& origin) {
  if (mkdir(directory.c_str(), 0700) != 0) return ErrnoStatus(errno, "cannot make " + directory);
  std::unique_ptr<PinnedState> state(new PinnedState(directory));
  absl::Status status;
  const auto make = [&](PinnedArray* array, const char* name, std::size_t value_size, std::size_t values) {
    if (!status.ok()) return;
    auto made = PinnedArray::Make(state->PathOf(name), name, value_size, values);
    status = made.status();
    if (made.ok()) *array = *std::move(made);
  };
  make(&state->head_, kHead, sizeof(CheckpointHead), 1);
  make(&state->books_, kBooks, sizeof(InterfaceBook), std::size_t{config.max_ifaces} + 1);
  for (std::size_t table = 0; table < Checkpoint::kTables; table++)
    make(&state->shadows_[table], kShadows[table], sizeof(Shadow), SlotsOf(config, table));
  if (!status.ok()) return status;
  CheckpointHead& head = state->head_.as<CheckpointHead>()[0];
  head.version = CheckpointHead::kVersion;
  head.abi_version = KNP_ABI_VERSION;
  head.book_bytes = sizeof(InterfaceBook);
  head.books = config.max_ifaces + 1;
  head.config = config;
  head.netns = origin.netns;
  head.since_unix_ns = origin.since_unix_ns;
  state->Connect();
  return state;
}

absl::StatusOr<std::unique_ptr<PinnedState>> PinnedState::Open(const std::string& directory) {
  std::unique_ptr<PinnedState> state(new PinnedState(directory));
  auto head = PinnedArray::Open(state->PathOf(kHead), sizeof(CheckpointHead));
  if (!head.ok()) return head.status();
  state->head_ = *std::move(head);
  const CheckpointHead& read = state->head_.as<CheckpointHead>()[0];
  if (read.magic != CheckpointHead::kMagic) return absl::DataLossError(directory + " was never completed");
  if (read.version != CheckpointHead::kVersion || read.abi_version != KNP_ABI_VERSION ||
      read.book_bytes != sizeof(InterfaceBook))
    return absl::FailedPreconditionError(fmt::format("{} has layout version {}.{}, this library {}.{}", directory,
                                                     read.abi_version, read.version, KNP_ABI_VERSION,
                                                     CheckpointHead::kVersion));
  auto books = PinnedArray::Open(state->PathOf(kBooks), sizeof(InterfaceBook));
  if (!books.ok()) return books.status();
  state->books_ = *std::move(books);
  for (std::size_t table = 0; table < Checkpoint::kTables; table++) {
    auto shadows = PinnedArray::Open(state->PathOf(kShadows[table]), sizeof(Shadow));
    if (!shadows.ok()) return shadows.status();
    state->shadows_[table] = *std::move(shadows);
  }
  state->Connect();
  state->checkpoint_->Recover();
  return state;
}

void PinnedState::Connect() {
  Checkpoint::Memory memory;
  memory.head = head_.as<CheckpointHead>().data();
  memory.books = books_.as<InterfaceBook>();
  for (std::size_t table = 0; table < Checkpoint::kTables; table++)
    memory.shadows[table] = shadows_[table].as<Shadow>();
  checkpoint_ = std::make_unique<Checkpoint>(memory);
}

void PinnedState::Complete() {
  KeepOrder();
  checkpoint_->head().magic = CheckpointHead::kMagic;
  KeepOrder();
}

bool PinnedState::Fits(const knp_config& config) const {
  knp_config own = this->config();
  own.seed = config.seed;
  own.samples = config.samples;  // the programs' alone
  return std::memcmp(&own, &config, sizeof own) == 0;
}

PinnedState::Origin PinnedState::origin() const {
  const CheckpointHead& head = head_.as<CheckpointHead>()[0];
  return {.netns = head.netns, .since_unix_ns = head.since_unix_ns};
}

absl::StatusOr<KernelCounters> PinnedState::SumSlot(std::uint32_t slot) {
  if (!counters_) {
    auto counters = PinnedArray::Open(PathOf("knp_counters"), sizeof(knp_iface_counters));
    if (!counters.ok()) return counters.status();
    counters_ = *std::move(counters);
  }
  KernelCounters sum;
  const std::span<const knp_iface_counters> all = counters_->as<knp_iface_counters>();
  for (std::size_t cpu = 0; cpu < config().cpus; cpu++)
    if (const std::size_t index = cpu * config().max_ifaces + slot; index < all.size()) sum.Add(all[index], all[index]);
  return sum;
}

}  // namespace knp::datapath
