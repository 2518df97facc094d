// BPF_PROG_TEST_RUN of a program, timed; and the bench's BPF object. Used by all parts of knp_bench.
#ifndef KNP_BENCH_TEST_RUN_H_
#define KNP_BENCH_TEST_RUN_H_

#include <cstdint>
#include <string>

struct bpf_object;

namespace knp::bench {

// Ends the process with the message: a benchmark has nobody to hand an error to.
[[noreturn]] void Die(const std::string& message);

// Ours to look at, by id (NetworkMonitor::ListPrograms). The descriptor stays open.
int ProgramById(std::uint32_t id);

// Matches struct drive in floors.bpf.c.
struct Drive {
  std::uint64_t next, mask, base;
};

class Floors {
 public:
  explicit Floors(const std::string& object_path);
  ~Floors();
  Floors(const Floors&) = delete;
  Floors& operator=(const Floors&) = delete;

  int Program(const char* name) const;
  // The driver's packets go to `program_fd`, and are of `flows` flows (a power of two) from number `base` on.
  void Aim(int program_fd, std::uint64_t flows, std::uint64_t base);

  // Runs `program_fd` `runs` times over a 64-byte TCP packet; mean nanoseconds a run.
  double Run(int program_fd, std::uint32_t runs) const;
  // The same through the driver.
  double RunDriven(std::uint32_t runs, const char* driver = "floor_drive") const;

 private:
  bpf_object* object_ = nullptr;
  Drive* drive_ = nullptr;
};

}  // namespace knp::bench

#endif  // KNP_BENCH_TEST_RUN_H_
