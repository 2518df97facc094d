// See program_runner.h.
#include "tests/support/program_runner.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sched.h>

#include <cctype>
#include <cerrno>
#include <cstring>

#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::test {

using datapath::ErrnoStatus;

absl::Status PinTo(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? absl::OkStatus()
                                                     : ErrnoStatus(errno, fmt::format("cannot run on CPU {}", cpu));
}

std::vector<unsigned> UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

std::string WayName(const ::testing::TestParamInfo<const char*>& way) {
  const std::string without = way.param;
  if (without.empty()) return "Best";
  std::string name = "Without";
  bool upper = true;
  for (const char c : without) {
    if (c != ',') name += upper ? static_cast<char>(std::toupper(c)) : c;
    upper = c == ',';
  }
  return name;
}

std::size_t TinyTableBytes() {
  return static_cast<std::size_t>(libbpf_num_possible_cpus()) * (7 * sizeof(knp_bucket4) + sizeof(knp_bucket6));
}

absl::StatusOr<std::unique_ptr<ProgramRunner>> ProgramRunner::Load(const MonitorOptions& options,
                                                                   const std::string& disable) {
  std::unique_ptr<ProgramRunner> runner(new ProgramRunner);
  if (absl::Status status = runner->Open(options, disable); !status.ok()) return status;
  return runner;
}

absl::Status ProgramRunner::Open(const MonitorOptions& options, const std::string& disable) {
  auto features = datapath::Features::Probe(disable);
  if (!features.ok()) return features.status();
  auto object = datapath::Object::Load("", options, &*features);
  if (!object.ok()) return object.status();
  object_ = *std::move(object);
  datapath::ArrayOpener open(*object_);
  open(&buckets4_, "knp_flows4");
  open(&buckets6_, "knp_flows6");
  if (object_->tells_tunnels()) open(&buckets_inner_, "knp_flows_inner");
  open(&counters_, "knp_counters");
  open(&cpus_, "knp_cpu");
  open(&interfaces_, "knp_ifaces");
  if (!open.status().ok()) return open.status();
  table_.emplace([this](std::size_t index, const knp_iface_entry& entry) { return interfaces_.Store(index, entry); });
  SetKnown(true);
  if (object_->variant() == datapath::Object::Variant::k418) {
    auto clock = datapath::TickClock::Create(*object_);
    if (!clock.ok()) return clock.status();
    clock_ = *std::move(clock);
  }
  auto events = datapath::EventSource::Open(*object_, [this](const void* record, std::size_t size) {
    visit_(static_cast<const std::byte*>(record), size);
    return --left_ != 0;
  });
  if (!events.ok()) return events.status();
  events_ = *std::move(events);
  return absl::OkStatus();
}

void ProgramRunner::SetKnown(bool known) {
  table_->Remove(1).IgnoreError();
  if (known) table_->Insert(1, kSlot, 14).IgnoreError();
}

absl::StatusOr<ProgramRunner::Outcome> ProgramRunner::Run(const testing::Bytes& frame, const Packet& packet) const {
  Outcome outcome;
  outcome.frame.resize(frame.size() + 64);
  __sk_buff context{};
  context.ifindex = 1;
  context.gso_segs = packet.gso_segs;
  context.gso_size = packet.gso_size;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = outcome.frame.data(),
              .data_size_in = static_cast<__u32>(frame.size()),
              .data_size_out = static_cast<__u32>(outcome.frame.size()), .ctx_in = &context,
              .ctx_out = &outcome.context, .ctx_size_in = sizeof context, .ctx_size_out = sizeof outcome.context,
              .repeat = packet.repeat);
  const int program = object_->ProgramFd(packet.direction == Direction::kIngress ? "knp_ingress" : "knp_egress");
  if (!counts_segments()) {  // its kernels may take no context (5.2); without one the interface is number 1, too
    options.ctx_in = options.ctx_out = nullptr;
    options.ctx_size_in = options.ctx_size_out = 0;
  }
  if (const int error = -bpf_prog_test_run_opts(program, &options); error != 0)
    return error == EINVAL
               ? absl::InvalidArgumentError(fmt::format("the kernel takes no frame of {} bytes", frame.size()))
               : ErrnoStatus(error, "cannot run a program on a frame");
  outcome.verdict = static_cast<std::int32_t>(options.retval);
  outcome.frame.resize(options.data_size_out);
  return outcome;
}

namespace {

template <typename T>
std::vector<T> ReadAll(const datapath::Array<T>& array) {
  std::vector<T> all(array.size());
  if (!array.Copy(0, all.size(), all.data()).ok()) all.clear();
  return all;
}

template <typename Slot, typename Bucket>
std::vector<Slot> UsedSlots(const datapath::Array<Bucket>& array) {
  std::vector<Slot> used;
  for (const Bucket& bucket : ReadAll(array))
    for (int way = 0; way < KNP_WAYS; way++)
      if (bucket.key[way].meta != 0) used.push_back({bucket.key[way], bucket.flow[way]});
  return used;
}

}  // namespace

std::vector<ProgramRunner::Slot4> ProgramRunner::Flows4() const { return UsedSlots<Slot4>(buckets4_); }

std::vector<ProgramRunner::Slot6> ProgramRunner::Flows6() const { return UsedSlots<Slot6>(buckets6_); }

std::vector<ProgramRunner::SlotInner> ProgramRunner::FlowsInner() const {
  return tells_tunnels() ? UsedSlots<SlotInner>(buckets_inner_) : std::vector<SlotInner>{};
}

knp_iface_counters ProgramRunner::Counters(std::uint16_t slot) const {
  // Every member of it is a 64-bit counter.
  knp_iface_counters sum{};
  auto* to = reinterpret_cast<__u64*>(&sum);
  for (std::uint32_t cpu = 0; cpu < sizes().cpus; cpu++) {
    knp_iface_counters one{};
    counters_.Copy(std::size_t{cpu} * sizes().max_ifaces + slot, 1, &one).IgnoreError();
    const auto* from = reinterpret_cast<const __u64*>(&one);
    for (std::size_t i = 0; i < sizeof sum / sizeof(__u64); i++) to[i] += from[i];
  }
  return sum;
}

knp_cpu_state ProgramRunner::Cpu(unsigned index) const {
  knp_cpu_state state{};
  cpus_.Copy(index, 1, &state).IgnoreError();
  return state;
}

void ProgramRunner::SetCpu(unsigned index, const knp_cpu_state& state) { cpus_.Store(index, state).IgnoreError(); }

void ProgramRunner::Clear() {
  for (const char* name : {"knp_flows4", "knp_flows6", "knp_flows_inner", "knp_counters"}) {
    if (!tells_tunnels() && std::strcmp(name, "knp_flows_inner") == 0) continue;
    const datapath::Object::MapInfo map = object_->DescribeMap(name);
    const std::vector<std::byte> zeroes(map.value_size);
    for (std::uint32_t i = 0; i < map.max_entries; i++) bpf_map_update_elem(map.fd, &i, zeroes.data(), BPF_ANY);
  }
}

std::vector<std::vector<std::byte>> ProgramRunner::Events() {
  std::vector<std::vector<std::byte>> all;
  for (std::size_t before = ~std::size_t{0}; before != all.size();) {
    before = all.size();
    Consume(65536, [&](const std::byte* record, std::size_t size) { all.emplace_back(record, record + size); });
  }
  return all;
}

void ProgramRunner::Consume(std::size_t limit, const std::function<void(const std::byte*, std::size_t)>& visit) {
  left_ = limit;
  visit_ = visit;
  events_->Consume().IgnoreError();
  visit_ = nullptr;
}

}  // namespace knp::test
