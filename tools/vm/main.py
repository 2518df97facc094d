"""`./dev vm`: our programs and tests on other kernels. Parses the command line, runs the machines, prints the table."""

import argparse
import concurrent.futures
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time

import image
import jobs
import kernels
import qemu
import report
from kernels import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("KNP_VM_CACHE") or ROOT / ".cache/vm").resolve()
BUILD = ROOT / "build"
MEMORY_MB = 1024
CPUS = 2

_say_lock = threading.Lock()


def say(text):
    with _say_lock:
        print(text, file=sys.stderr, flush=True)


def parse_arguments(arguments):
    words, command = arguments, None
    if "--" in arguments:
        at = arguments.index("--")
        words, command = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(
        prog="./dev vm", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="./dev vm [VERSION... | all | list | arm64] [OPTION]... [-- COMMAND...]",
        description="Boots other kernels under QEMU with our programs and runs the BPF and the network tests in each.",
        epilog="""\
  ./dev vm                         all kernels; writes docs/kernels.md
  ./dev vm 5.10 6.12               two of them
  ./dev vm 6.1 -- knp doctor       one command; its output and its exit status
  ./dev vm sid --shell             a shell; `exit` ends the machine
  ./dev vm --kernel linux/arch/x86/boot/bzImage --modules /tmp/modules
  ./dev vm all --kernel bzImage    all of Debian's, and one of your own: it gets its column in docs/kernels.md

Exit status: 0 all passed, 1 something failed, 2 wrong usage. Kernels come from Debian's mirror, signatures checked, and
stay in .cache/vm (KNP_VM_CACHE names another place, KNP_DEBIAN_MIRROR another mirror).""")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"{', '.join(kernels.SUITES)}; all (default); "
                        "list shows what is there; arm64 runs the unit tests built for arm64")
    parser.add_argument("--kernel", type=pathlib.Path, metavar="PATH", help="a bzImage of your own")
    parser.add_argument("--modules", type=pathlib.Path, metavar="DIR",
                        help="its modules: what `make modules_install INSTALL_MOD_PATH=DIR` filled")
    parser.add_argument("--shell", action="store_true", help="a shell in the guest instead of the tests")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set in the guest")
    parser.add_argument("--filter", metavar="PATTERN", help="only these test cases, as in --gtest_filter")
    parser.add_argument("--full", action="store_true",
                        help="all cases at full size, also under emulation: takes minutes "
                        "(else left out are those of tools/vm/left_out.txt)")
    parser.add_argument("--brief", action="store_true",
                        help="fewer cases on emulated machines: of the network suite those of tools/vm/brief.txt, of the "
                             "BPF suite without those of tools/vm/left_out_brief.txt")
    parser.add_argument("--timeout", type=int, metavar="SECONDS",
                        help="when a machine counts as hung (1200; 1800 for a command or --full)")
    parser.add_argument("--jobs", type=int, metavar="N", help="machines at a time (as many as CPUs, at most 4)")
    parser.add_argument("--no-host", action="store_true", help="with all: without this machine's own kernel")
    parser.add_argument("--refresh", action="store_true", help="fetch newer kernels, if there are")
    options = parser.parse_args(words)
    options.command = command
    options.environment = {}
    for setting in options.env:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            parser.error(f"--env {setting}: it must be NAME=VALUE")
        options.environment[name] = value
    options.names = _names(parser, options)
    if command is not None and not command:
        parser.error("there is no command behind --")
    if (command or options.shell) and len(options.names) + bool(options.kernel) != 1:
        parser.error("a command or a shell needs exactly one kernel")
    if command and options.shell:
        parser.error("--shell and a command exclude each other")
    if options.brief and options.full:
        parser.error("--brief and --full exclude each other")
    if options.modules and not options.kernel:
        parser.error("--modules belongs to --kernel")
    for name in ("timeout", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


def _names(parser, options):
    """The kernels of Debian that are meant, in order, each once. options.all tells whether that is all."""
    options.all = options.versions == ["all"] or not (options.versions or options.kernel)
    if options.all:
        return list(kernels.SUITES)
    names = []
    for version in options.versions:
        name = kernels.canonical(version)
        if not name:
            parser.error(f"there is no kernel '{version}'; there are {', '.join(kernels.SUITES)}, all, list, arm64, "
                         "and --kernel PATH for one of your own")
        if name not in names:
            names.append(name)
    return names


def fetch(options):
    found = [kernels.debian(CACHE, name, options.refresh, say) for name in options.names]
    if options.kernel:
        found.insert(0, kernels.own(CACHE, options.kernel, options.modules))
    return found


def list_kernels():
    for name, suites in kernels.SUITES.items():
        release = kernels.cached_release(CACHE, name)
        print(f"{name:5} {kernels.CODENAMES[name]:16} {release or 'not fetched yet; comes from ' + ', '.join(suites)}")
    return 0


class Machine:
    """One kernel with one job. Its files are in a temporary folder."""

    def __init__(self, kernel, accel, options):
        self.kernel, self._accel, self._options = kernel, accel, options
        self.environment = dict(options.environment)
        if accel == "tcg" and not options.full:
            self.environment.setdefault("KNP_TEST_SCALE", jobs.EMULATED_SCALE)
        self.token = qemu.new_token()
        if options.filter:
            self.filters = dict.fromkeys(jobs.SUITES, options.filter)
        else:
            self.filters = {} if accel == "kvm" or options.full else jobs.emulated_filters(options.brief)

    def run(self, script, show):
        with tempfile.TemporaryDirectory(prefix="knp-vm-") as scratch:
            arguments, console = self._prepare(pathlib.Path(scratch), script)
            timeout = self._options.timeout or (1800 if self._options.full or self._options.command else 1200)
            return qemu.run(arguments, self.token, console, timeout, show)

    def shell(self):
        rows, columns = os.get_terminal_size() if sys.stdin.isatty() else (24, 80)
        script = jobs.shell(BUILD, self.environment, columns, rows)
        with tempfile.TemporaryDirectory(prefix="knp-vm-") as scratch:
            return qemu.shell(self._prepare(pathlib.Path(scratch), script)[0])

    def _prepare(self, scratch, script):
        initramfs, console = scratch / "initramfs", scratch / "console"
        image.build(initramfs, BUILD, self.kernel.modules, scratch)
        image.append_job(initramfs, script)
        return qemu.command(self.kernel.image, initramfs, console, self._accel, CPUS, MEMORY_MB), console


def run_command(machine, words):
    script = jobs.command(machine.token, BUILD, machine.environment, words)

    def show(_, output):
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()

    result = machine.run(script, show)
    if result.timed_out or result.kernel_says or "command" not in result.sections:
        say(f"./dev vm: {machine.kernel.name}: {_machine_trouble(result)}")
        return 1
    return result.sections["command"].status


def _machine_trouble(result):
    if result.timed_out:
        where = next((name for name, section in result.sections.items() if section.status is None), "the boot")
        text = f"the machine hung in {where} and was ended after {result.seconds:.0f} s (--timeout)"
    elif result.kernel_says and result.complete:
        text = "the kernel reported a fault"
    elif not result.complete:
        text = "the machine did not come to the end of its job"
    else:
        return ""
    return text + (":\n" + result.kernel_says if result.kernel_says else "")


def run_suites(machine):
    name = machine.kernel.name
    script = jobs.suites(machine.token, BUILD, machine.environment, machine.filters)
    started = time.monotonic()

    def progress(section, output):
        line = output.strip()
        if section in jobs.SUITES and line.startswith(b"[  FAILED  ]") and line.endswith(b"ms)"):
            say(f"{name}: {section}: {line.decode(errors='replace')}")

    result = machine.run(script, progress)
    uname = result.sections.get("uname")
    release = uname.text.strip() if uname else machine.kernel.release or name
    suites = {}
    for suite in jobs.SUITES:
        if section := result.sections.get(suite):
            suites[suite] = jobs.parse_gtest(section.text, section.status)
            suites[suite].seconds = section.seconds
    doctor = jobs.parse_doctor(result.sections.get("doctor"))
    column = report.Column(release, doctor, suites, time.monotonic() - started, _machine_trouble(result))
    _save_logs(release, result)
    times = ", ".join(f"{suite} {suites[suite].seconds:.0f} s" for suite in suites)
    say(f"{name}: Linux {release}: {'ok' if column.ok else 'FAILED'}: boot {result.boot_seconds or 0:.0f} s, {times}; "
        f"CPU time {result.cpu_seconds:.0f} s")
    return column


def _save_logs(release, result):
    logs = BUILD / "vm-logs"
    logs.mkdir(parents=True, exist_ok=True)
    text = "".join(f"==== {section.name}, status {section.status}, {section.seconds:.1f} s\n{section.text}\n"
                   for section in result.sections.values())
    (logs / f"{release}.log").write_text(text + (f"==== kernel\n{result.kernel_says}\n" if result.kernel_says else ""))


def show_failures(columns):
    """What a failed case printed, so that nobody has to look for the log first."""
    for column in columns:
        log = BUILD / "vm-logs" / f"{column.name}.log"
        failed = {case for suite in column.suites.values() for case in suite.failed}
        if not failed or not log.exists():
            continue
        inside = False
        for line in log.read_text().splitlines():
            if line.startswith("[ RUN      ] "):
                inside = line[13:].split(",")[0] in failed
            if inside:
                print(f"{column.name} | {line}")
        print(f"{column.name}: the whole log is {log.relative_to(ROOT)}")


def run_on_host(options):
    """All of the suites on this machine's own kernel: the table's last column. None without root."""
    if os.geteuid() != 0:
        return None
    environment = dict(os.environ, GTEST_COLOR="no", **options.environment)
    started = time.monotonic()
    say("this machine's own kernel, with the same tests")
    doctor = subprocess.run([BUILD / "bin/knp", "doctor", "-o", "json"], env=environment, capture_output=True,
                            text=True, check=False)
    suites = {}
    for name, program in jobs.SUITES.items():
        words = [BUILD / program] + ([f"--gtest_filter={options.filter}"] if options.filter else [])
        done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors="replace", check=False)
        suites[name] = jobs.parse_gtest(done.stdout, done.returncode)
    section = qemu.Section("doctor", doctor.stdout, doctor.returncode, 0)
    return report.Column(f"{platform.release()} (host)", jobs.parse_doctor(section), suites, time.monotonic() - started)


def main():
    if sys.argv[1:2] == ["--check"]:
        parse_arguments(sys.argv[2:])
        return 0
    options = parse_arguments(sys.argv[1:])
    found = fetch(options)
    accel = qemu.acceleration()
    machines = [Machine(kernel, accel, options) for kernel in found]
    if options.shell:
        return machines[0].shell()
    if options.command:
        return run_command(machines[0], options.command)
    at_once = min(len(machines), options.jobs or min(os.cpu_count() or 1, 4))
    how = "by KVM" if accel == "kvm" else "emulated (no KVM here)"
    less = ", tests make a tenth of the traffic" if accel == "tcg" and not options.full else ""
    say(f"{len(machines)} machines, {at_once} at a time, {how}{less}")
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        columns = list(pool.map(run_suites, machines))
    if options.all and not options.no_host:
        host = run_on_host(options)
        columns += [host] if host else []
    show_failures(columns)
    print(report.terminal(columns))
    if options.all and not options.filter and not options.environment:
        how = f"QEMU {'with KVM' if accel == 'kvm' else 'as an emulator (TCG)'}, {CPUS} CPUs, {MEMORY_MB} MiB."
        (ROOT / "docs/kernels.md").write_text(report.markdown(columns, how))
        say("written: docs/kernels.md")
    _write_tally(columns)
    return 0 if all(column.ok for column in columns) else 1


def _write_tally(columns):
    """"passed failed skipped", for ./dev test's last line."""
    if path := os.environ.get("KNP_VM_TALLY"):
        with open(path, "a", encoding="ascii") as tally:
            for column in columns:
                suites = column.suites.values()
                failed = sum(len(suite.failed) for suite in suites)
                tally.write(f"{sum(suite.passed for suite in suites)} {max(failed, not column.ok):d} "
                            f"{sum(len(suite.skipped) for suite in suites)}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files go
    try:
        sys.exit(list_kernels() if sys.argv[1:] == ["list"] else main())
    except Failure as failure:
        print(f"./dev vm: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
