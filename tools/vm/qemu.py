"""Boots one kernel with one initramfs under QEMU and follows what the guest's job prints. Fed by main.py.

The first serial port has the kernel's messages and goes to a file. The second one has the job's output, in sections:

    TOKEN begin NAME
    …whatever a command prints…
    TOKEN end NAME STATUS

TOKEN is made for each boot, so nothing a command prints can be taken for a border.
"""

import dataclasses
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import time

from kernels import Failure

# What a kernel prints when it is broken. A lockup that a watchdog reports may just be a slow emulator.
_BROKEN = re.compile(r"Kernel panic|Oops|general protection fault|kernel BUG at|BUG: (?!soft lockup|workqueue lockup)|"
                     r"Unable to handle kernel|WARNING: (CPU|.* at )|UBSAN:|refcount_t:|suspicious RCU")
_MACHINE = "q35"
# The rest of the command line: no clock that exits to QEMU at each reading, nothing against attacks on a machine of a
# minute's life (which costs an emulator dearly), short grace periods.
_OURS = "tsc=reliable no_timer_check mitigations=off nokaslr audit=0 apparmor=0 selinux=0 init_on_alloc=0 " \
        "page_alloc.shuffle=0 cryptomgr.notests random.trust_cpu=on rcupdate.rcu_expedited=1"


@dataclasses.dataclass
class Section:
    name: str
    text: str
    status: int | None  # None: it did not end
    seconds: float


@dataclasses.dataclass
class Result:
    sections: dict
    seconds: float
    cpu_seconds: float  # of the host's: tells a slow guest from a busy host
    boot_seconds: float | None
    timed_out: bool
    kernel_says: str  # the lines of an oops or the like, or of a boot that failed

    @property
    def complete(self):
        return not self.timed_out and "done" in self.sections


def acceleration():
    """KVM if this process may use it and it answers, else the emulator."""
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return "tcg"
    os.close(kvm)
    # Under another hypervisor the device may open and then refuse what a CPU needs.
    probe = subprocess.run(
        ["qemu-system-x86_64", "-accel", "kvm", "-M", _MACHINE, "-cpu", "host", "-nodefaults", "-display", "none", "-S",
         "-monitor", "stdio"], input=b"quit\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return "kvm" if probe.returncode == 0 else "tcg"


def new_token():
    return "knp-" + secrets.token_hex(12)


def command(kernel, initramfs, console, accel, cpus, memory_mb):
    if not shutil.which("qemu-system-x86_64"):
        raise Failure("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
    # thread=single: with a thread for each CPU, QEMU 7.2 now and then runs stale code for ever after the kernel has
    # patched its own (static keys). Five levels of page tables only cost time.
    settings = {"kvm": ("kvm", "host"), "tcg": ("tcg,thread=single", "max,la57=off")}
    accelerator, cpu = settings[accel]
    append = f"console=ttyS0 loglevel=5 oops=panic panic=-1 {_OURS}"
    return [
        "qemu-system-x86_64", "-M", _MACHINE, "-accel", accelerator, "-cpu", cpu, "-smp", str(cpus),
        "-m", str(memory_mb), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(kernel), "-initrd", str(initramfs), "-append", append,
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-chardev", "stdio,id=job,signal=off", "-serial", "chardev:job",
    ]


class _Reader:
    """Cuts the second port's bytes into sections; hands what a command prints to `show` as it comes, to the byte."""

    def __init__(self, token, show):
        self._token = token.encode()
        self._show = show
        self._rest = b""
        self._lines = []
        self._open = None
        self._since = 0.0
        self.sections = {}

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def finish(self):
        self.feed(b"\n")
        if self._open:
            self._close(None)

    def _take(self, line):
        if line.startswith(self._token):
            _, verb, name, *status = line.decode(errors="replace").split()
            if verb == "begin":
                self._open, self._lines, self._since = name, [], time.monotonic()
            elif self._open == name:
                self._close(int(status[0]))
        elif self._open:
            # A line's break is only known to be the command's, and not the border's, when another line comes.
            self._show(self._open, b"\n" + line if self._lines else line)
            self._lines.append(line)

    def _close(self, status):
        self.sections[self._open] = Section(self._open, b"\n".join(self._lines).decode(errors="replace"), status,
                                            time.monotonic() - self._since)
        self._open = None


def run(arguments, token, console, timeout, show):
    """Runs the VM to its end, or to the timeout's."""
    start, booted, timed_out = time.monotonic(), None, False
    reader = _Reader(token, show)
    # In our process group: what ends us, a Ctrl-C or timeout(1), ends the machine too.
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while "done" not in reader.sections:
                left = start + timeout - time.monotonic()
                if left <= 0:
                    timed_out = True
                    break
                if not selector.select(left):
                    continue
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    break
                booted = booted or time.monotonic() - start
                reader.feed(data)
    finally:
        os.kill(process.pid, signal.SIGKILL)  # it is a child of ours until wait4, ended or not
        errors = process.stderr.read().decode(errors="replace").strip()
        _, process.returncode, usage = os.wait4(process.pid, 0)
        process.stdout.close()
        process.stderr.close()
    reader.finish()
    says = _kernel_says(console)
    if not says and "done" not in reader.sections:
        says = "\n".join([errors, *_lines_of(console)[-25:]]).strip()
    return Result(reader.sections, time.monotonic() - start, usage.ru_utime + usage.ru_stime, booted, timed_out, says)


def shell(arguments):
    """The guest's second port on this terminal until the guest powers off."""
    return subprocess.run(arguments, check=False).returncode


def _lines_of(console):
    try:
        with open(console, encoding="utf-8", errors="replace") as file:
            return [re.sub(r"[\x00-\x08\x0b-\x1f]|\x1b\[[0-9;?]*[a-zA-Z]", "", line).rstrip() for line in file]
    except FileNotFoundError:
        return []


def _kernel_says(console):
    lines = _lines_of(console)
    for number, line in enumerate(lines):
        if _BROKEN.search(line):
            return "\n".join(lines[max(0, number - 3):number + 50])
    return ""
