#!/usr/bin/env python3
"""What `knp monitor` tells of connections, names and applications, against what was done and what tcpdump saw at the same
interface. Needs root, tcpdump, ping and openssl; the traffic stays in namespaces of the tests' own.
"""
import json
import os
import pathlib
import shutil
import signal
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from monitor_e2e_test import Monitor  # noqa: E402
from wire import Wire, end_on_sigterm, run  # noqa: E402

SERVICES = str(pathlib.Path(__file__).parent / "services.py")
FAR = "10.201.0.2"
SYN, ACK = 2, 16
TAP_US = 100  # what tcpdump's own work may add to what we see, as a rule


class Capture:
    """tcpdump beside the monitor: its own times of the same packets."""

    def __init__(self, wire):
        self.path = tempfile.NamedTemporaryFile(suffix=".pcap")
        self.child = wire.start(wire.near, "tcpdump", "-i", "near0", "-U", "-s", "200", "--time-stamp-precision=nano", "-w",
                                self.path.name, "--immediate-mode")
        deadline = time.monotonic() + 10
        while "listening" not in (line := self.child.stderr.readline()) and time.monotonic() < deadline:
            if not line:
                raise RuntimeError("tcpdump did not start")

    def packets(self):
        """(seconds, source port, destination port, protocol, flags or ICMP type, sequence or id, payload)"""
        self.child.send_signal(signal.SIGINT)
        self.child.wait(10)
        data = pathlib.Path(self.path.name).read_bytes()
        at, found = 24, []
        while at + 16 <= len(data):
            seconds, fraction, length, _ = struct.unpack_from("<IIII", data, at)
            frame = data[at + 16:at + 16 + length]
            at += 16 + length
            if frame[12:14] != b"\x08\x00":
                continue
            ip = frame[14:]
            segment = ip[(ip[0] & 15) * 4:]
            when = seconds + fraction / 1e9
            if ip[9] == 6:
                ports = struct.unpack_from("!HH", segment)
                found.append((when, *ports, "TCP", segment[13], segment[4:8], segment[(segment[12] >> 4) * 4:]))
            elif ip[9] == 17:
                found.append((when, *struct.unpack_from("!HH", segment), "UDP", 0, b"", segment[8:]))
            elif ip[9] == 1:
                found.append((when, 0, 0, "ICMP", segment[0], segment[4:8], b""))
        return found


class ConnectionsTest(unittest.TestCase):
    compared = []

    def near_enough(self, ours_us, theirs_s, what):
        """tcpdump's tap stands between our egress hook and the wire and before our ingress hook: its own work is in what one of us
        measures and not the other, and so is whatever interrupts either between. None may be far off; all together, see below."""
        theirs_us = theirs_s * 1e6
        off_us, text = abs(ours_us - theirs_us), f"{what}: {ours_us} us, tcpdump {theirs_us:.1f}"
        self.assertLessEqual(off_us, max(theirs_us * 0.05, 5000), text)
        self.compared.append((off_us - max(theirs_us * 0.05, 20), text))

    @classmethod
    def tearDownClass(cls):
        """Half of all are within 5 % or 20 us, and the tap's work. One alone may be late by a timer's tick between."""
        off = sorted(beyond for beyond, _ in cls.compared)
        if off and off[len(off) // 2] > TAP_US:
            raise AssertionError(f"not what tcpdump saw, as a rule: {[text for _, text in cls.compared]}")

    @classmethod
    def setUpClass(cls):
        for tool in ("tcpdump", "ping", "openssl"):
            if not shutil.which(tool):
                raise unittest.SkipTest(f"{tool} is not here")
        cls.wire = Wire()
        cls.addClassCleanup(cls.wire.close)
        try:
            run("tc", "-n", cls.wire.far, "qdisc", "add", "dev", "far0", "root", "netem", "delay", "4ms", "limit", "10000")
        except RuntimeError:
            pass  # without it, round trips are short, and compared all the same
        server = cls.wire.start(cls.wire.far, sys.executable, SERVICES, "serve", FAR, stdin=-1)
        if server.stdout.readline().strip() != "ready":
            raise RuntimeError(server.stderr.read())
        monitor, capture = Monitor(cls.wire), Capture(cls.wire)
        cls.wire.inside(cls.wire.near, sys.executable, SERVICES, "use", FAR)
        cls.wire.inside(cls.wire.near, "ping", "-q", "-n", "-c", "5", "-i", "0.2", FAR)
        time.sleep(6.5)  # until the silent question has timed out
        cls.packets = capture.packets()
        cls.status, cls.lines, cls.stderr = monitor.end()
        cls.flows = {line["id"]: line for line in cls.lines if line["kind"] == "flow"}

    def of_port(self, port, protocol="TCP"):
        found = [f for f in self.flows.values() if f["protocol"] == protocol and f["destination"].get("port") == port]
        self.assertTrue(found, f"no flow to port {port}")
        return sorted(found, key=lambda flow: flow["start"])

    def first(self, after, **what):
        """Time of the first packet of tcpdump's that fits."""
        for when, source, destination, protocol, flags, _, payload in self.packets:
            seen = {"source": source, "destination": destination, "protocol": protocol, "flags": flags & (SYN | ACK | 4),
                    "payload": bool(payload)}
            if when > after and all(seen[key] == value for key, value in what.items()):
                return when
        self.fail(f"tcpdump has no packet {what}")

    def test_EveryRun_EndsWell(self):
        self.assertEqual((self.status, self.stderr), (0, ""))
        total = self.lines[-1]["ledger"]["total"]
        self.assertEqual(total["lost"].get("ring_full", {}).get("packets", 0), 0)

    def test_Handshake_AsTcpdumpSawIt(self):
        for flow in self.of_port(7777) + self.of_port(8443):
            client, server = flow["source"]["port"], flow["destination"]["port"]
            syn = self.first(0, source=client, destination=server, flags=SYN)
            syn_ack = self.first(syn, source=server, destination=client, flags=SYN | ACK)
            ack = self.first(syn_ack, source=client, destination=server, flags=ACK)
            tcp = flow["tcp"]
            self.near_enough(tcp["handshake_us"], ack - syn, "handshake")
            self.near_enough(tcp["handshake_destination_us"], syn_ack - syn, "SYN to SYN-ACK")
            self.near_enough(tcp["handshake_source_us"], ack - syn_ack, "SYN-ACK to ACK")

    def test_FirstAnswer_AsTcpdumpSawIt(self):
        for flow in self.of_port(7777):
            client = flow["source"]["port"]
            asked = self.first(0, source=client, destination=7777, protocol="TCP", payload=True)
            answered = self.first(asked, source=7777, destination=client, protocol="TCP", payload=True)
            self.near_enough(flow["first_answer_us"], answered - asked, "first answer")

    def test_States_AndWhoOpened(self):
        for flow in self.of_port(7777):
            self.assertEqual((flow["state"], flow["opener"], flow["source"]["ip"]), ("closed", "syn", "10.201.0.1"))
        self.assertEqual([flow["state"] for flow in self.of_port(9)], ["reset"])

    def test_Echo_AsTcpdumpSawIt(self):
        flow, = [f for f in self.flows.values() if f["protocol"] == "ICMP"]
        requests = {p[5]: p[0] for p in self.packets if p[3] == "ICMP" and p[4] == 8}
        spans = [p[0] - requests[p[5]] for p in self.packets if p[3] == "ICMP" and p[4] == 0]
        echo = flow["icmp"]["echo"]
        self.assertEqual(echo["answered"], 5)
        self.near_enough(echo["mean_us"], sum(spans) / len(spans), "mean of the echoes")
        self.near_enough(echo["min_us"], min(spans), "shortest echo")

    def test_Names_WithOutcomeAndLatency(self):
        events = [line for line in self.lines if line["kind"] == "event" and line["type"] == "dns"]
        told = {(e["dns"]["name"], e["protocol"]): e["dns"] for e in events}
        self.assertEqual(len(events), 5, events)
        self.assertEqual(told["shop.example", "UDP"]["answers"], [FAR])
        self.assertEqual(told["shop.example", "TCP"]["answers"], [FAR])
        self.assertEqual(told["nowhere.example", "UDP"]["rcode"], "NXDOMAIN")
        self.assertTrue(told["silent.example", "UDP"]["timed_out"])
        flow, = self.of_port(53, "UDP")
        self.assertEqual((flow["dns"]["queries"], flow["dns"]["responses"], flow["dns"]["timeouts"]), (4, 3, 1))
        client = flow["source"]["port"]
        for number, name in ((1, "shop.example"), (2, "slow.example"), (3, "nowhere.example")):
            message = struct.pack("!H", number)
            asked, = [p[0] for p in self.packets if p[1:3] == (client, 53) and p[6].startswith(message)]
            answered, = [p[0] for p in self.packets if p[1:3] == (53, client) and p[6].startswith(message)]
            self.near_enough(told[name, "UDP"]["latency_us"], answered - asked, name)

    def test_Peers_HaveTheNameThatWasAskedFor(self):
        for flow in self.of_port(7777) + self.of_port(8443):
            self.assertIn(flow["destination"].get("dns_name"), ("shop.example", "slow.example"))

    def test_Applications_NotByThePort(self):
        paths = {}
        for flow in self.of_port(7777):
            self.assertEqual(flow["app"]["protocol"], "HTTP")
            http = flow["app"]["http"]
            self.assertEqual((http["method"], http["host"]), ("GET", "shop.example"))
            paths[http["url"]] = http["status"]
        self.assertEqual(paths, {"/": 200, "/slow": 200, "/missing": 404})
        secure, = self.of_port(8443)
        self.assertEqual((secure["app"]["protocol"], secure["app"]["server_name"]), ("TLS", "shop.example"))
        self.assertEqual(secure["app"]["alpn"], "h2,http/1.1")

    def test_Header_OfTheOpenersFirstPacket(self):
        mac = json.loads(run("ip", "-n", self.wire.near, "-j", "link", "show", "near0"))[0]["address"]
        for flow in self.of_port(7777):
            self.assertEqual((flow["ttl"], flow["dscp"], flow["source"]["mac"]), (64, 0, mac))
            self.assertRegex(flow["community_id"], "^1:")


if __name__ == "__main__":
    end_on_sigterm()
    if os.geteuid() != 0:
        print("SKIPPED: needs root")
        sys.exit(77)
    unittest.main(verbosity=1)
