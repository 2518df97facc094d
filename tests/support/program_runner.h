// Our programs in the kernel, attached to nothing: packets go in as data by BPF_PROG_TEST_RUN, and what becomes of them is
// read from the maps. For the tests of tests/bpf.
//
// The kernel takes frames of 14 (IPv4: 34, IPv6: 54) to about 3700 bytes, no offloaded VLAN tags, and always runs them on
// the interface index 1 and on the CPU of the calling thread.
#ifndef KNP_TESTS_SUPPORT_PROGRAM_RUNNER_H_
#define KNP_TESTS_SUPPORT_PROGRAM_RUNNER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/options.h>
#include <knp/types.h>
#include <linux/bpf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "abi/knp_abi.h"
#include "src/datapath/array.h"
#include "src/datapath/event_source.h"
#include "src/datapath/iface_table.h"
#include "src/datapath/object.h"
#include "src/datapath/tick_clock.h"
#include "tests/support/packet_bytes.h"

namespace knp::test {

// Moves the calling thread to one CPU for its life: the table's parts are per CPU.
absl::Status PinTo(unsigned cpu);
// CPUs that the process may run on.
std::vector<unsigned> UsableCpus();

class ProgramRunner {
 public:
  static constexpr std::uint16_t kSlot = 3;  // of interface index 1

  // `disable`: features to do without. The interface stands in the table as one with Ethernet headers.
  static absl::StatusOr<std::unique_ptr<ProgramRunner>> Load(const MonitorOptions& options = {},
                                                             const std::string& disable = "");

  struct Packet {
    Direction direction = Direction::kIngress;
    std::uint32_t gso_segs = 0;
    std::uint32_t gso_size = 0;
    int repeat = 1;
  };
  struct Outcome {
    std::int32_t verdict = 0;
    testing::Bytes frame;  // as it came out
    __sk_buff context{};   // as it came out
  };
  // InvalidArgument where the kernel does not take such a frame.
  absl::StatusOr<Outcome> Run(const testing::Bytes& frame, const Packet& packet) const;
  absl::StatusOr<Outcome> Run(const testing::Bytes& frame) const { return Run(frame, Packet{}); }

  // A slot of the flow tables that is in use.
  struct Slot4 {
    knp_key4 key;
    knp_flow flow;
  };
  struct Slot6 {
    knp_key6 key;
    knp_flow flow;
  };
  struct SlotInner {
    knp_key_inner key;
    knp_flow flow;
  };
  std::vector<Slot4> Flows4() const;
  std::vector<Slot6> Flows6() const;
  std::vector<SlotInner> FlowsInner() const;  // empty where tells_tunnels() is not
  // Sum over CPUs.
  knp_iface_counters Counters(std::uint16_t slot = kSlot) const;
  knp_cpu_state Cpu(unsigned index) const;
  void SetCpu(unsigned index, const knp_cpu_state& state);
  // Empties flow tables and counters, and takes the interface out of the table or puts it in again.
  void Clear();
  void SetKnown(bool known);

  // Reads the event ring empty; the records as they came.
  std::vector<std::vector<std::byte>> Events();
  // Reads at most `limit` records, each handed to `visit`.
  void Consume(std::size_t limit, const std::function<void(const std::byte*, std::size_t)>& visit);

  const datapath::Array<knp_bucket4>& buckets4() const { return buckets4_; }
  const datapath::Array<knp_bucket6>& buckets6() const { return buckets6_; }
  // Super-packets are known as such.
  bool counts_segments() const { return object_->variant() == datapath::Object::Variant::kCurrent; }
  bool tells_tunnels() const { return object_->tells_tunnels(); }
  const datapath::Array<knp_bucket_inner>& buckets_inner() const { return buckets_inner_; }
  const datapath::Sizes& sizes() const { return object_->sizes(); }

 private:
  ProgramRunner() = default;
  absl::Status Open(const MonitorOptions& options, const std::string& disable);

  std::unique_ptr<datapath::Object> object_;
  datapath::Array<knp_bucket4> buckets4_;
  datapath::Array<knp_bucket6> buckets6_;
  datapath::Array<knp_bucket_inner> buckets_inner_;
  datapath::Array<knp_iface_counters> counters_;
  datapath::Array<knp_cpu_state> cpus_;
  datapath::Array<knp_iface_entry> interfaces_;
  std::optional<datapath::IfaceTable> table_;
  std::unique_ptr<datapath::TickClock> clock_;  // only where the programs need one of ours
  std::unique_ptr<datapath::EventSource> events_;
  std::size_t left_ = 0;
  std::function<void(const std::byte*, std::size_t)> visit_;
};

// What the data plane's programs may have to do without: each is a list of features for Load.
inline constexpr const char* kWays[] = {"", "ringbuf", "mmap", "mmap,batch", "programs", "programs,mmap,batch"};
// For INSTANTIATE_TEST_SUITE_P.
std::string WayName(const ::testing::TestParamInfo<const char*>& way);

// A table of 64 slots on two CPUs (32 a CPU: 28 for IPv4, 4 for IPv6), and in proportion elsewhere.
std::size_t TinyTableBytes();

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_PROGRAM_RUNNER_H_
