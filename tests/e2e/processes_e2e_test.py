#!/usr/bin/env python3
"""500 short processes, curl and UDP clients, on the host and again in a container (a cgroup, a pid and a network namespace of
its own): `knp monitor` names each one's flow rightly: process, number, container. Needs root and curl; the traffic stays in
namespaces of the test's own.
"""
import collections
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from crowd import kind_of  # noqa: E402
from places_e2e_test import Node  # noqa: E402
from monitor_e2e_test import Monitor  # noqa: E402
from wire import end_on_sigterm  # noqa: E402

CROWD = str(pathlib.Path(__file__).parent / "crowd.py")
FAR, PORT, NUMBER = "10.201.0.2", 20000, 500
SO_PASSCRED, SCM_CREDENTIALS = 16, 2


def cgroup2():
    """Where it is mounted whole; None: nowhere."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            return pathlib.Path(fields.split()[4])
    return None


class Register:
    """Who says which port: {port: pid}, the pid by the kernel's word and in our own numbers."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="knp-e2e-")
        self.path = self.folder.name + "/register"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        self.socket.bind(self.path)
        self.pids = {}
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while True:
            data, more, _, _ = self.socket.recvmsg(64, socket.CMSG_SPACE(12))
            if data == b"end":
                return
            pid, = [struct.unpack("iII", value)[0] for level, kind, value in more if kind == SCM_CREDENTIALS]
            self.pids[int(data)] = pid

    def close(self):
        if self.reader.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", self.path)
            self.reader.join()
        self.socket.close()
        self.folder.cleanup()


class ProcessesTest(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.close)
        self.register = Register()
        self.addCleanup(self.register.close)
        server = self.node.start(self.node.far, sys.executable, CROWD, "serve", FAR, str(PORT), str(NUMBER))
        self.assertEqual(server.stdout.readline().strip(), "ready")
        self.monitor = Monitor(self.node, "-i", "pod0")
        deadline = time.monotonic() + 10
        while self.node.hooks(interface="pod0")["tcx"] < 2 and time.monotonic() < deadline:
            time.sleep(0.05)

    def empty(self, cgroup):
        """Waits until those that end have ended: else it is not to be removed."""
        deadline = time.monotonic() + 5
        while (cgroup / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)

    def crowd(self, *prefix):
        done = subprocess.run([*prefix, sys.executable, CROWD, "live", FAR, str(PORT), str(NUMBER), self.register.path],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=400)
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "0", ""), "some had no answer")

    def check(self, container):
        """`container`: what its processes' records must say of it; {}: that there is none."""
        time.sleep(0.3)
        status, lines, err = self.monitor.end(signal.SIGINT)
        self.assertEqual((status, err), (0, ""))
        pieces = {piece["name"]: piece for piece in lines[-1]["host"]["pieces"]}
        self.assertTrue(pieces["processes"]["on"], pieces)
        self.assertEqual(pieces["processes"]["lost"], 0)
        self.assertEqual(sorted(self.register.pids), list(range(PORT, PORT + NUMBER)))
        flows = collections.defaultdict(dict)
        for line in lines:
            if line["kind"] == "flow" and line["destination"].get("ip") == FAR:
                protocol = line["protocol"]
                flows[protocol, line["destination"].get("port")][line["id"]] = line
        right, wrong = collections.Counter(), []
        for index in range(NUMBER):
            kind, port = kind_of(index), PORT + index
            told = [flow["source"].get("process", {}) for flow in
                    flows["TCP" if kind == "curl" else "UDP", port].values()]
            seen = [(each.get("name"), each.get("pid"), {key: each.get(key) for key in container or ["container_id"]})
                    for each in told]
            expected = (kind, self.register.pids[port], container or {"container_id": None})
            if seen and all(each == expected for each in seen):
                right[kind] += 1
            else:
                wrong.append((expected, told))
        print(f"{'in a container' if container else 'on the host'}: {dict(right)} of {NUMBER} named rightly", flush=True)
        self.assertLessEqual(len(wrong) * 100, NUMBER, wrong[:5])

    def test_OnTheHost_EveryShortProcess_IsNamed(self):
        self.crowd("ip", "netns", "exec", self.node.near)
        self.check({})

    def test_InAContainer_EveryShortProcess_IsNamedWithIt(self):
        container_id = secrets.token_hex(32)
        slices = cgroup2() / f"knp-e2e-{os.getpid()}.slice"
        scope = slices / f"cri-containerd-{container_id}.scope"
        scope.mkdir(parents=True)
        self.addCleanup(slices.rmdir)
        self.addCleanup(scope.rmdir)
        self.addCleanup(self.empty, scope)
        self.crowd("sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', str(scope), "ip", "netns", "exec", self.node.pod,
                   "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup")
        self.check({"container_id": container_id, "container_runtime": "containerd"})


if __name__ == "__main__":
    end_on_sigterm()
    if os.geteuid() != 0 or not shutil.which("curl") or not cgroup2():
        print("SKIPPED: needs root, curl and cgroup v2")
        sys.exit(77)
    unittest.main(verbosity=1)
