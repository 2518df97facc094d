"""Makes the initramfs: our built programs at the paths where tests look for them, the libraries and tools that they
need, a kernel's modules, and init.sh. Fed by main.py, booted by qemu.py.
"""

import os
import pathlib
import re
import shutil
import subprocess

from cpio import Archive
from kernels import Failure

HERE = pathlib.Path(__file__).resolve().parent

TOOLS = ("iperf3", "ethtool", "nsenter", "ip", "tc", "nft", "dash")
NICE_TO_HAVE = ("bpftool", "tcpdump", "strace", "gdb")  # for a shell; only if the host has them
PROGRAMS = ("bin/knp", "bin/knp_bpf_tests", "bin/knp_netns_tests")


def build(path, build_dir, kernel_modules, scratch):
    """Writes the initramfs of one kernel to `path`."""
    with open(path, "wb") as stream:
        archive = Archive(stream)
        for folder in ("proc", "sys", "dev", "run", "tmp", "root", "etc"):
            archive.directory(folder)
        archive.device("dev/console", 0o600, 5, 1)
        archive.device("dev/null", 0o666, 1, 3)
        archive.text("etc/passwd", "root::0:0:root:/:/bin/sh\n")
        archive.text("etc/group", "root:x:0:\n")
        archive.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        archive.file("init", HERE / "init.sh", 0o755)
        _add_tools(archive)
        _add_programs(archive, build_dir, scratch)
        if kernel_modules:
            for file in sorted((kernel_modules / "lib/modules").rglob("*")):
                if file.is_file():
                    archive.file(str(file.relative_to(kernel_modules)), file)
        archive.close()


def append_job(path, script):
    """The part that differs from run to run: the kernel reads archives that stand one behind the other."""
    with open(path, "ab") as stream:
        archive = Archive(stream)
        archive.text("job.sh", script)
        archive.close()


def _add_tools(archive):
    # Ours first: what stands there already is not replaced by busybox's.
    for tool in TOOLS + NICE_TO_HAVE:
        found = shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if found:
            archive.file(f"sbin/{tool}", os.path.realpath(found), 0o755)
            _add_libraries(archive, found)
        elif tool in TOOLS:
            raise Failure(f"{tool} is not installed here, and tests in the guest need it")
    busybox = shutil.which("busybox", path="/usr/bin:/bin")
    if not busybox:
        raise Failure("busybox is not installed here: apt-get install busybox-static")
    archive.file("bin/busybox", os.path.realpath(busybox), 0o755)
    _add_libraries(archive, busybox)
    # Not busybox's: that takes its own `ip` and `tc` before ours, whatever PATH says, and tests call both through a shell.
    archive.link("bin/sh", "../sbin/dash")
    for applet in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        if f"sbin/{applet}" not in archive and applet not in ("busybox", "sh"):
            archive.link(f"bin/{applet}", "busybox")
    archive.link("sbin/modprobe", "../bin/busybox")  # where the kernel calls it


def _add_programs(archive, build_dir, scratch):
    programs = [build_dir / name for name in PROGRAMS]
    programs += sorted(path for path in (build_dir / "bin/examples").glob("*") if path.is_file())
    for program in programs:
        if not program.exists():
            raise Failure(f"{program} is not built")
        stripped = scratch / program.name
        subprocess.run(["strip", "-o", stripped, program], check=True)
        archive.file(str(program), stripped, 0o755)
        _add_libraries(archive, program)
    for data in sorted((build_dir / "lib").rglob("*.o")):
        archive.file(str(data), data)
    for program in programs[:1]:
        archive.link(f"bin/{program.name}", str(program))


def _add_libraries(archive, program):
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    for library in re.findall(r"(/[^ ]+) \(0x", listed.stdout):
        archive.file(library, os.path.realpath(library), 0o755)
