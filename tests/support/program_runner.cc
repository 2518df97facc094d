// See program_runner.h.
#include "tests/support/program_runner.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sched.h>

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
  auto object = datapath::Object::Load("", options, *features);
  if (!object.ok()) return object.status();
  object_ = *std::move(object);
  const datapath::Sizes& s = object_->sizes();
  absl::Status status;
  const auto map = [&](auto* to, const char* name, std::size_t entries) {
    auto mapped = std::remove_reference_t<decltype(*to)>::Map(object_->MapFd(name), name, entries);
    if (!mapped.ok()) status = mapped.status();
    if (mapped.ok()) *to = *std::move(mapped);
  };
  map(&buckets4_, "knp_flows4", std::size_t{s.cpus} * s.buckets4);
  map(&buckets6_, "knp_flows6", std::size_t{s.cpus} * s.buckets6);
  map(&counters_, "knp_counters", std::size_t{s.cpus} * s.max_ifaces);
  map(&cpus_, "knp_cpu", s.cpus);
  map(&interfaces_, "knp_ifaces", KNP_IFACE_TABLE);
  if (!status.ok()) return status;
  table_.emplace(interfaces_.span());
  SetKnown(true);
  auto events = datapath::EventSource::Open(*object_, [this](const void* record, std::size_t size) {
    visit_(static_cast<const std::byte*>(record), size);
    return --left_ != 0;
  });
  if (!events.ok()) return events.status();
  events_ = *std::move(events);
  return absl::OkStatus();
}

void ProgramRunner::SetKnown(bool known) {
  table_->Remove(1);
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
  if (const int error = -bpf_prog_test_run_opts(program, &options); error != 0)
    return error == EINVAL
               ? absl::InvalidArgumentError(fmt::format("the kernel takes no frame of {} bytes", frame.size()))
               : ErrnoStatus(error, "cannot run a program on a frame");
  outcome.verdict = static_cast<std::int32_t>(options.retval);
  outcome.frame.resize(options.data_size_out);
  return outcome;
}

std::vector<ProgramRunner::Slot4> ProgramRunner::Flows4() const {
  std::vector<Slot4> all;
  for (const knp_bucket4& bucket : buckets4_.span())
    for (int way = 0; way < KNP_WAYS; way++)
      if (bucket.key[way].meta != 0) all.push_back({bucket.key[way], bucket.flow[way]});
  return all;
}

std::vector<ProgramRunner::Slot6> ProgramRunner::Flows6() const {
  std::vector<Slot6> all;
  for (const knp_bucket6& bucket : buckets6_.span())
    for (int way = 0; way < KNP_WAYS; way++)
      if (bucket.key[way].meta != 0) all.push_back({bucket.key[way], bucket.flow[way]});
  return all;
}

knp_iface_counters ProgramRunner::Counters(std::uint16_t slot) const {
  // Every member of it is a 64-bit counter.
  knp_iface_counters sum{};
  auto* to = reinterpret_cast<__u64*>(&sum);
  for (std::uint32_t cpu = 0; cpu < sizes().cpus; cpu++) {
    const auto* from = reinterpret_cast<const __u64*>(&counters_[std::size_t{cpu} * sizes().max_ifaces + slot]);
    for (std::size_t i = 0; i < sizeof sum / sizeof(__u64); i++) to[i] += from[i];
  }
  return sum;
}

void ProgramRunner::Clear() {
  std::memset(buckets4_.span().data(), 0, buckets4_.span().size_bytes());
  std::memset(buckets6_.span().data(), 0, buckets6_.span().size_bytes());
  std::memset(counters_.span().data(), 0, counters_.span().size_bytes());
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
