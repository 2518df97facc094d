// See test_run.h.
#include "bench/test_run.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace knp::bench {
namespace {

// Ethernet, IPv4 10.0.0.1 > 192.168.0.1, TCP 1000 > 80, ACK; padded to 64 bytes.
constexpr std::uint8_t kPacket[64] = {
    2,    0,   0, 0,  0, 1, 2,    0, 0,  0, 0, 2, 8,    0,                           //
    0x45, 0,   0, 50, 0, 0, 0x40, 0, 64, 6, 0, 0, 10,   0,    0, 1, 192, 168, 0, 1,  //
    3,    232, 0, 80, 0, 0, 0,    1, 0,  0, 0, 1, 0x50, 0x10, 1, 0, 0,   0,   0, 0};

// The thread's own CPU time: what others take of this CPU meanwhile is not the program's.
std::uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

void Die(const std::string& message) {
  std::fprintf(stderr, "knp_bench: %s\n", message.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe)
}

int ProgramById(std::uint32_t id) {
  const int fd = bpf_prog_get_fd_by_id(id);
  if (fd < 0) Die("cannot open BPF program " + std::to_string(id) + ": " + std::strerror(errno));
  return fd;
}

Floors::Floors(const std::string& object_path) {
  object_ = bpf_object__open_file(object_path.c_str(), nullptr);
  if (!object_ || bpf_object__load(object_) != 0) Die("cannot load " + object_path + ": " + std::strerror(errno));
  const int map = bpf_object__find_map_fd_by_name(object_, "drives");
  void* memory = mmap(nullptr, static_cast<std::size_t>(getpagesize()), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  if (memory == MAP_FAILED) Die("cannot map the driver's settings");
  drive_ = static_cast<Drive*>(memory);
}

Floors::~Floors() {
  munmap(drive_, static_cast<std::size_t>(getpagesize()));
  bpf_object__close(object_);
}

int Floors::Program(const char* name) const { return bpf_program__fd(bpf_object__find_program_by_name(object_, name)); }

void Floors::Aim(int program_fd, std::uint64_t flows, std::uint64_t base) {
  const std::uint32_t zero = 0, fd = static_cast<std::uint32_t>(program_fd);
  const int map = bpf_object__find_map_fd_by_name(object_, "target");
  if (bpf_map_update_elem(map, &zero, &fd, BPF_ANY) != 0) Die("cannot aim the driver");
  *drive_ = {.next = drive_->next, .mask = flows - 1, .base = base};
}

double Floors::Run(int program_fd, std::uint32_t runs) const {
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = kPacket, .data_size_in = sizeof kPacket,
              .repeat = static_cast<int>(runs));
  const std::uint64_t before = Now();
  if (const int error = bpf_prog_test_run_opts(program_fd, &options); error != 0)
    Die("BPF_PROG_TEST_RUN: " + std::string(std::strerror(-error)));
  return static_cast<double>(Now() - before) / runs;
}

double Floors::RunDriven(std::uint32_t runs, const char* driver) const { return Run(Program(driver), runs); }

}  // namespace knp::bench
