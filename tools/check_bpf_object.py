#!/usr/bin/env python3
"""Checks a compiled BPF object against what a kernel version takes, without loading it.

usage: check_bpf_object.py --kernel VERSION [--quiet] OBJECT.o...

Run by the build on each object, so that none can grow beyond its kernels unseen: helpers that are younger, instructions
that are younger, loops, more than 4,096 instructions or 512 bytes of stack a program, global data.
Exit status: 0 fits, 1 does not (with what, and where), 2 wrong usage.
"""
import argparse
import struct
import sys

# The youngest helper of each version: helpers are numbered in the order in which they came (include/uapi/linux/bpf.h).
LAST_HELPER = {
    "4.18": 80,  # get_current_cgroup_id
    "4.19": 83,  # skb_ancestor_cgroup_id
    "5.1": 99,   # skc_lookup_tcp
    "5.2": 108,  # sk_storage_delete
    "5.4": 110,  # tcp_gen_syncookie
    "5.6": 119,  # read_branch_records
    "5.8": 135,  # csum_level
    "5.12": 163,  # check_mtu
}
# What the verifier counts: instructions of a program with the functions that it calls (BPF_MAXINSNS before 5.2), and the
# stack of the deepest chain of calls.
MOST_INSTRUCTIONS = 4096
MOST_INSTRUCTIONS_SINCE_5_2 = 1000000
MOST_STACK = 512

LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
CALL, EXIT = 0x80, 0x90
PSEUDO_CALL, PSEUDO_MAP_FD = 1, 1


def number(version):
    return tuple(int(part) for part in version.split("."))


class Instruction:
    def __init__(self, raw):
        self.code, registers, self.offset, self.immediate = struct.unpack("<BBhi", raw)
        self.dst, self.src = registers & 15, registers >> 4
        self.kind = self.code & 7


class Object:
    """Sections, symbols and relocations of a 64-bit little-endian ELF file."""

    def __init__(self, image):
        if image[:6] != b"\x7fELF\x02\x01":
            raise ValueError("no 64-bit little-endian ELF file")
        offset, = struct.unpack_from("<Q", image, 40)
        size, count, names = struct.unpack_from("<HHH", image, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", image, offset + i * size) for i in range(count)]
        strings = self._body(image, headers[names])
        self.sections = []  # (name, type, flags, body, info)
        for header in headers:
            self.sections.append((self._text(strings, header[0]), header[1], header[2], self._body(image, header), header))
        self.symbols = []  # (name, section, value, size, is_function)
        for name, kind, _, body, header in self.sections:
            if kind != 2:
                continue
            texts = self.sections[header[6]][3]
            for at in range(0, len(body), 24):
                name_at, info, _, section, value, length = struct.unpack_from("<IBBHQQ", body, at)
                self.symbols.append((self._text(texts, name_at), section, value, length, info & 15 == 2))
        self.relocations = {}  # (section, offset) -> symbol
        for name, kind, _, body, header in self.sections:
            if kind == 9:
                for at in range(0, len(body), 16):
                    where, info = struct.unpack_from("<QQ", body, at)
                    self.relocations[(header[7], where)] = self.symbols[info >> 32]

    @staticmethod
    def _body(image, header):
        return b"" if header[1] == 8 else image[header[4]:header[4] + header[5]]

    @staticmethod
    def _text(strings, at):
        return strings[at:strings.index(b"\0", at)].decode()


class Function:
    def __init__(self, elf, name, section, start, length):
        self.name, self.section, self.start = name, section, start // 8
        body = elf.sections[section][3]
        self.code = [Instruction(body[i:i + 8]) for i in range(start, start + length, 8)]
        self.callees = set()
        self.stack = 0


def functions_of(elf):
    found = {}
    for name, section, value, length, is_function in elf.symbols:
        if is_function and elf.sections[section][2] & 4:
            found[(section, value // 8)] = Function(elf, name, section, value, length)
    return found


def callee(elf, functions, function, index):
    at = function.code[index]
    symbol = elf.relocations.get((function.section, (function.start + index) * 8))
    if symbol is None:
        return functions.get((function.section, function.start + index + 1 + at.immediate))
    # A call through a section symbol holds the distance in its immediate, as a call within the section does.
    start = symbol[2] // 8 if symbol[4] else at.immediate + 1
    return functions.get((symbol[1], start))


def check_function(elf, functions, function, kernel, report_problem):
    def complain(text, since=None):
        if since is None or number(kernel) < number(since):
            report_problem(text + (f" needs {since}" if since else ""))

    last_helper = LAST_HELPER[kernel]
    skip = False
    for index, at in enumerate(function.code):
        where = f"{function.name}+{index}"
        if skip:
            skip = False
            continue
        if at.code == 0x18:  # a 64-bit constant takes two places
            skip = True
            symbol = elf.relocations.get((function.section, (function.start + index) * 8))
            if symbol and elf.sections[symbol[1]][0] != ".maps":
                complain(f"{where}: refers to {elf.sections[symbol[1]][0]}: global data", "5.2")
        elif at.kind == JMP32:
            complain(f"{where}: a 32-bit jump (-mcpu=v2 makes none)", "5.1")
        elif at.kind == STX and at.code & 0xe0 == 0xc0 and at.immediate != 0:
            complain(f"{where}: an atomic other than a plain addition", "5.12")
        elif at.kind in (LDX,) and at.code & 0xe0 == 0x80 or at.kind in (ALU, ALU64) and at.offset != 0:
            complain(f"{where}: a signed load or division (-mcpu=v4)", "6.6")
        elif at.kind == JMP and at.code & 0xf0 == CALL:
            if at.src == PSEUDO_CALL:
                other = callee(elf, functions, function, index)
                if other is None:
                    complain(f"{where}: calls what is no function of this object")
                else:
                    function.callees.add(other)
            elif at.src != 0:
                complain(f"{where}: calling a kernel function", "5.13")
            elif at.immediate > last_helper:
                complain(f"{where}: calls helper {at.immediate}, the youngest of this kernel is {last_helper}")
        for register in {at.dst if at.kind in (ST, STX) else at.src if at.kind == LDX else None}:
            if register == 10:
                function.stack = max(function.stack, -at.offset)
    loop = find_loop(function)
    if loop is not None:
        complain(f"{function.name}+{loop}: a loop (unroll it)", "5.3")
    # Addresses of the stack that are computed, and not used in place: r = r10; r += -N.
    held = set()
    for at in function.code:
        if at.code == 0xbf and at.src == 10:
            held.add(at.dst)
        elif at.code == 0x07 and at.dst in held:
            if at.immediate < 0:
                function.stack = max(function.stack, -at.immediate)
            held.discard(at.dst)


def find_loop(function):
    """The place of a jump that closes a loop, or None: what the verifier's check_cfg refuses before 5.3."""
    def targets(index):
        at = function.code[index]
        if at.code == 0x18:
            return [index + 2]
        if at.kind not in (JMP, JMP32) or at.code & 0xf0 == CALL:
            return [index + 1]
        if at.code & 0xf0 == EXIT:
            return []
        return [index + 1 + at.offset] + ([] if at.code & 0xf0 == 0 else [index + 1])

    state = {0: "open"}
    path = [(0, iter(targets(0)))]
    while path:
        index, rest = path[-1]
        for target in rest:
            if state.get(target) == "open":
                return index
            if target not in state:
                state[target] = "open"
                path.append((target, iter(targets(target))))
                break
        else:
            state[index] = "done"
            path.pop()
    return None


def reach(function, seen=None):
    seen = set() if seen is None else seen
    if function not in seen:
        seen.add(function)
        for other in function.callees:
            reach(other, seen)
    return seen


def deepest(function, chain=()):
    if function in chain:
        raise ValueError(f"{function.name} calls itself")
    own = (max(function.stack, 1) + 31) // 32 * 32  # as the verifier rounds
    return own + max((deepest(other, chain + (function,)) for other in function.callees), default=0)


def check(path, kernel, report=print):
    with open(path, "rb") as file:
        elf = Object(file.read())
    functions = functions_of(elf)
    problems = []
    for name, kind, flags, body, _ in elf.sections:
        if number(kernel) < (5, 2) and body and name.startswith((".rodata", ".data", ".bss")):
            problems.append(f"section {name}: global data needs 5.2")
    if not functions:
        problems.append("holds no program")
    for function in functions.values():
        check_function(elf, functions, function, kernel, problems.append)
    most = MOST_INSTRUCTIONS if number(kernel) < (5, 2) else MOST_INSTRUCTIONS_SINCE_5_2
    called = {other for function in functions.values() for other in function.callees}
    for program in functions.values():
        if program in called:
            continue
        size, stack = sum(len(f.code) for f in reach(program)), deepest(program)
        if size > most:
            problems.append(f"{program.name}: {size} instructions with what it calls, {most} are allowed")
        if stack > MOST_STACK:
            problems.append(f"{program.name}: {stack} bytes of stack with what it calls, {MOST_STACK} are allowed")
        report(f"{path}: {program.name}: {size} of {most} instructions, {stack} of {MOST_STACK} B of stack")
    for problem in problems:
        print(f"{path}: does not fit Linux {kernel}: {problem}", file=sys.stderr)
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", choices=sorted(LAST_HELPER, key=number), required=True)
    parser.add_argument("--quiet", action="store_true", help="tell problems only")
    parser.add_argument("objects", nargs="+", metavar="OBJECT.o")
    arguments = parser.parse_args()
    good = True
    for path in arguments.objects:
        try:
            good &= check(path, arguments.kernel, (lambda _: None) if arguments.quiet else print)
        except (OSError, ValueError, struct.error, IndexError) as error:
            print(f"{path}: cannot be checked: {error}", file=sys.stderr)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
