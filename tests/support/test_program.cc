// See test_program.h.
#include "tests/support/test_program.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <iterator>

#include "src/datapath/errors.h"

namespace knp::test {
namespace {

bpf_insn Instruction(int code, int destination, int source, int offset, std::int32_t immediate) {
  bpf_insn instruction{};
  instruction.code = static_cast<__u8>(code);
  instruction.dst_reg = static_cast<__u8>(destination) & 0xf;
  instruction.src_reg = static_cast<__u8>(source) & 0xf;
  instruction.off = static_cast<__s16>(offset);
  instruction.imm = immediate;
  return instruction;
}

}  // namespace

absl::StatusOr<TestProgram> TestProgram::Load(const std::string& name, int verdict, int one_in) {
  return Load(BPF_PROG_TYPE_SCHED_CLS, name, verdict, kVerdictNext, one_in);
}

absl::StatusOr<TestProgram> TestProgram::LoadXdp(const std::string& name, int verdict, int one_in) {
  return Load(BPF_PROG_TYPE_XDP, name, verdict, kXdpPass, one_in);
}

absl::StatusOr<TestProgram> TestProgram::Load(int type, const std::string& name, int verdict, int otherwise,
                                              int one_in) {
  using datapath::ErrnoStatus;
  TestProgram result;
  result.counter_ = UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "test_counter", 4, 8, 1, nullptr));
  if (!result.counter_.valid()) return ErrnoStatus(-result.counter_.get(), "cannot create a test's map");
  const bpf_insn code[] = {
      Instruction(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),    // key = 0
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),  // r2 = &key
      Instruction(BPF_ALU64 | BPF_ADD, 2, 0, 0, -4),          // BPF_K is 0
      Instruction(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, result.counter_.get()),
      Instruction(0, 0, 0, 0, 0),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
      Instruction(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),  // *r0 += 1
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32),
      Instruction(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, one_in - 1),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, otherwise),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  result.program_ =
      UniqueFd(bpf_prog_load(static_cast<bpf_prog_type>(type), name.c_str(), "GPL", code, std::size(code), nullptr));
  if (!result.program_.valid()) return ErrnoStatus(-result.program_.get(), fmt::format("cannot load {}", name));
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (const int error = bpf_obj_get_info_by_fd(result.program_.get(), &info, &size); error != 0) {
    return ErrnoStatus(-error, fmt::format("cannot read the id of {}", name));
  }
  result.id_ = info.id;
  return result;
}

std::uint64_t TestProgram::Count() const {
  const std::uint32_t key = 0;
  std::uint64_t value = 0;
  bpf_map_lookup_elem(counter_.get(), &key, &value);
  return value;
}

}  // namespace knp::test
