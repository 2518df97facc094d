"""The network of the end-to-end tests: two namespaces of their own joined by a veth pair, traffic on it, and a look at
what stands at an interface's hooks. Python's standard library, ip(8) and tc(8).

Also a program, run inside a namespace by the tests: `wire.py flood …`, `wire.py scan …`, `wire.py hooks …`.
"""
import argparse
import atexit
import ctypes
import json
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

FRAME_BYTES = 64
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_QUERY, TCX_INGRESS, TCX_EGRESS = 16, 46, 47


def run(*command, check=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Wire:
    """Two namespaces, `near` with the interface near0 that is watched and `far` with far0. close() removes both; what
    was not closed is when the program ends, also by SIGTERM."""

    count = 0
    living = set()

    def __init__(self):
        Wire.count += 1
        name = f"knp-e2e-{os.getpid()}-{Wire.count}"
        self.near, self.far = name + "-near", name + "-far"
        self.children, self.files = [], []
        Wire.living.add(self)
        try:
            for netns in (self.near, self.far):
                run("ip", "netns", "add", netns)
                self.inside(netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1")
                run("ip", "-n", netns, "link", "set", "lo", "up")
            run("ip", "-n", self.near, "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", self.far)
            run("ip", "-n", self.near, "address", "add", "10.201.0.1/24", "dev", "near0")
            run("ip", "-n", self.far, "address", "add", "10.201.0.2/24", "dev", "far0")
            run("ip", "-n", self.near, "link", "set", "near0", "up")
            run("ip", "-n", self.far, "link", "set", "far0", "up")
        except BaseException:
            self.close()
            raise

    def close(self):
        Wire.living.discard(self)
        try:
            for child in self.children:
                if child.poll() is None:
                    child.kill()
                child.wait()
                self.files += [stream for stream in (child.stdin, child.stdout, child.stderr) if stream]
            for file in self.files:
                file.close()
        finally:
            for netns in (self.near, self.far):
                run("ip", "netns", "delete", netns, check=False)

    def file(self):
        """An empty file that goes with the wire."""
        self.files.append(tempfile.TemporaryFile("w+"))
        return self.files[-1]

    def inside(self, netns, *command):
        return run("ip", "netns", "exec", netns, *command)

    def start(self, netns, *command, **options):
        """A child in the namespace; ip(8) replaces itself by the command, so the child's pid is the command's."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(["ip", "netns", "exec", netns, *command], text=True, **options)
        self.children.append(child)
        return child

    def flood(self, *, flows=100, rate=5000, frames=0, seconds=0.0, side="far", wait=True):
        """UDP frames of 64 bytes to a station that is not there. Returns their number, or the child to be ended by
        finish_flood."""
        netns, interface = (self.far, "far0") if side == "far" else (self.near, "near0")
        child = self.start(netns, sys.executable, __file__, "flood", interface, f"--flows={flows}", f"--rate={rate}",
                           f"--frames={frames}", f"--seconds={seconds}")
        return finish_flood(child, stop=False) if wait else child

    def pids(self):
        return [int(pid) for pid in run("ip", "netns", "pids", self.near).split()]

    def hooks(self, netns=None, interface="near0"):
        """What stands at the interface: {"tcx": number of programs, "filters": lines of tc, "clsact": bool}."""
        return json.loads(self.inside(netns or self.near, sys.executable, __file__, "hooks", interface))


@atexit.register
def close_all():
    for wire in list(Wire.living):
        wire.close()


def end_on_sigterm():
    """Ends as Ctrl-C would, so that nothing stays behind."""
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupt)


def finish_flood(child, stop=True):
    if stop:
        child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    if child.returncode != 0:
        raise RuntimeError(f"the flood failed: {err}")
    return int(out)


# ---- run inside a namespace ------------------------------------------------------------------------------------------

def ethernet(ip_packet):
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + ip_packet


def ipv4(protocol, source, payload):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, source,
                       bytes([10, 0, 0, 2])) + payload


def udp_frame(flow):
    payload = bytes(FRAME_BYTES - 42)
    udp = struct.pack("!HHHH", 1024 + flow % 4096, 9, 8 + len(payload), 0) + payload
    return ethernet(ipv4(17, bytes([100, flow >> 16 & 255, flow >> 8 & 255, flow & 255]), udp))


def flood(options):
    stopped = False

    def stop(*_):
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((options.interface, 0))
    frames = [udp_frame(flow) for flow in range(options.flows)]
    sent, start = 0, time.monotonic()
    while not stopped:
        elapsed = time.monotonic() - start
        if (options.frames and sent >= options.frames) or (options.seconds and elapsed >= options.seconds):
            break
        due = min(int(elapsed * options.rate), options.frames or 1 << 62)
        while sent < due and not stopped:
            try:
                sender.send(frames[sent % len(frames)])
            except OSError:  # the interface was deleted
                print(sent)
                return
            sent += 1
        time.sleep(0.001)
    print(sent)


def scan(options):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((options.interface, 0))
    for port in range(1, options.ports + 1):
        tcp = struct.pack("!HHIIBBHHH", 50000, port, 1, 0, 0x50, 0x02, 1024, 0, 0)
        sender.send(ethernet(ipv4(6, bytes([10, 0, 0, 1]), tcp)))


def tcx_programs(interface):
    libc = ctypes.CDLL(None, use_errno=True)
    index, total = socket.if_nametoindex(interface), 0
    for kind in (TCX_INGRESS, TCX_EGRESS):
        ids = (ctypes.c_uint32 * 64)()
        attributes = ctypes.create_string_buffer(
            struct.pack("IIIIQIIQQQQ", index, kind, 0, 0, ctypes.addressof(ids), 64, 0, 0, 0, 0, 0))
        if libc.syscall(SYS_BPF, BPF_PROG_QUERY, attributes, 64) == 0:
            total += struct.unpack_from("I", attributes, 24)[0]
    return total


def hooks(options):
    filters = [line for side in ("ingress", "egress")
               for line in run("tc", "filter", "show", "dev", options.interface, side, check=False).splitlines()
               if "handle" in line]
    clsact = "clsact" in run("tc", "qdisc", "show", "dev", options.interface)
    print(json.dumps({"tcx": tcx_programs(options.interface), "filters": filters, "clsact": clsact}))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("flood")
    command.set_defaults(run=flood)
    command.add_argument("--flows", type=int)
    command.add_argument("--rate", type=int)
    command.add_argument("--frames", type=int)
    command.add_argument("--seconds", type=float)
    command.add_argument("interface")
    command = commands.add_parser("scan")
    command.set_defaults(run=scan)
    command.add_argument("--ports", type=int)
    command.add_argument("interface")
    command = commands.add_parser("hooks")
    command.set_defaults(run=hooks)
    command.add_argument("interface")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
