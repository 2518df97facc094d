#!/usr/bin/env python3
"""`knp monitor` from outside: its output line by line against what was sent, how it ends, and what it leaves behind.

Needs root. The traffic stays in namespaces that the tests make and remove; $KNP_BUILD_DIR says where bin/knp is.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from wire import FRAME_BYTES, Wire, end_on_sigterm, finish_flood  # noqa: E402

BUILD = pathlib.Path(os.environ.get("KNP_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build"))
KNP = BUILD / "bin" / "knp"
KINDS = {"stats", "flow", "event", "alert", "loss", "summary"}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")
PATIENCE = 30


def count(row):
    return row["packets"], row["bytes"]


def add(*rows):
    return tuple(sum(column) for column in zip((0, 0), *rows))


def clear_environment(**more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KNP_") and k != "NETWORK_INTERFACE"}
    return environment | more


class Monitor:
    """A running `knp monitor -o json`. Its lines go to a file: a pipe that nobody reads would hold it up."""

    def __init__(self, wire, *arguments, interface="near0", features="", output=None):
        self.output = output or wire.file()
        environment = clear_environment(**({"KNP_DISABLE_FEATURES": features} if features else {}))
        self.child = wire.start(wire.near, str(KNP), "monitor", "-i", interface, "-o", "json", "--interval", "1s",
                                *arguments, env=environment, stdout=self.output)
        deadline = time.monotonic() + PATIENCE
        hooked = "clsact" if "tcx" in features else "tcx"
        while time.monotonic() < deadline and self.child.poll() is None:
            hooks = wire.hooks(interface=interface)
            # The watch is complete when both directions stand.
            if (len(hooks["filters"]) if hooked == "clsact" else hooks["tcx"]) >= 2 * self.instances(wire):
                return
            time.sleep(0.05)
        raise RuntimeError(f"knp monitor did not attach: {self.child.poll()}")

    @staticmethod
    def instances(wire):
        return sum(1 for child in wire.children if child.poll() is None and str(KNP) in child.args)

    def end(self, how=signal.SIGINT):
        """Ends it and returns (exit status, lines, stderr)."""
        if how is not None:
            self.child.send_signal(how)
        _, err = self.child.communicate(timeout=PATIENCE)
        self.output.seek(0)
        return self.child.returncode, [json.loads(line) for line in self.output], err


class MonitorTest(unittest.TestCase):
    def setUp(self):
        self.wire = Wire()
        self.addCleanup(self.wire.close)

    def assert_exact(self, lines):
        """What must hold of every run; returns the summary."""
        self.assertLessEqual({line["kind"] for line in lines}, KINDS)
        self.assertEqual([line["kind"] for line in lines].count("summary"), 1)
        summary = lines[-1]
        self.assertEqual(summary["kind"], "summary")
        ledger = summary["ledger"]
        for name, part in [("total", ledger["total"]), *ledger["interfaces"].items()]:
            with self.subTest(ledger=name):
                self.assertEqual(count(part["in_flight"]), (0, 0))
                places = [part["in_flows"], *part["remainder"].values(), *part["lost"].values()]
                self.assertEqual(count(part["seen"]), add(*map(count, places)))
        self.assertEqual(count(ledger["total"]["seen"]),
                         add(*(count(part["seen"]) for part in ledger["interfaces"].values())))
        self.assertEqual(count(summary), count(ledger["total"]["seen"]))
        self.assert_flows(lines, ledger)
        return summary

    def assert_flows(self, lines, ledger):
        """The last record of each flow is the flow: their sum must be the ledger's."""
        last, finished = {}, set()
        for line in lines:
            for key in ("time", "start", "end"):
                if key in line:
                    self.assertRegex(line[key], TIME)
            if line["kind"] != "flow":
                continue
            self.assertNotIn(line["id"], finished, "a record after the final one")
            if line["final"]:
                finished.add(line["id"])
            if line["id"] in last:
                self.assertGreaterEqual(count(line["sent"]), count(last[line["id"]]["sent"]))
            last[line["id"]] = line
        self.assertEqual(finished, set(last), "flows without a final record")
        sums = {}
        for flow in last.values():
            for seen in flow["observations"]:
                sums[seen["interface"]] = add(sums.get(seen["interface"], (0, 0)), count(seen))
        for name, part in ledger["interfaces"].items():
            self.assertEqual(sums.get(name, (0, 0)), count(part["in_flows"]), f"flow records and ledger of {name}")

    def assert_nothing_left(self, within=0.0):
        deadline = time.monotonic() + within
        while True:
            hooks = self.wire.hooks()
            if hooks == {"tcx": 0, "filters": [], "clsact": False} or time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        self.assertEqual(hooks, {"tcx": 0, "filters": [], "clsact": False})

    # ---- what it prints ----------------------------------------------------------------------------------------------

    def check_run(self, ending, features=""):
        monitor = Monitor(self.wire, features=features)
        sent = self.wire.flood(flows=200, rate=5000, seconds=2.5)
        back = self.wire.flood(flows=50, rate=1000, frames=500, side="near")
        status, lines, err = monitor.end(ending)
        self.assertEqual((status, err), (0, ""))
        summary = self.assert_exact(lines)
        self.assertEqual(count(summary), (sent + back, (sent + back) * FRAME_BYTES))
        self.assertEqual(summary["flows"], 200, "what went back had the same addresses: the same conversations")
        self.assertEqual(sum(line["kind"] == "event" and line["type"] == "flow_started" for line in lines), 200)
        stats = [line for line in lines if line["kind"] == "stats"]
        self.assertGreaterEqual(len(stats), 3)
        self.assertEqual(stats[-1]["rx"], {"packets": sent, "bytes": sent * FRAME_BYTES, "skbs": sent,
                                           "skb_bytes": sent * FRAME_BYTES})
        self.assertEqual(stats[-1]["tx"]["packets"], back)
        self.assertEqual(count(stats[-1]["protocols"]["UDP"]), count(summary))
        self.assertEqual("degraded" in stats[-1], bool(features))
        self.assertTrue(any(not line["final"] for line in lines if line["kind"] == "flow"), "no periodic report")
        self.assert_nothing_left()

    def test_sigint_ends_with_an_exact_summary(self):
        self.check_run(signal.SIGINT)

    def test_sigterm_ends_with_an_exact_summary(self):
        self.check_run(signal.SIGTERM)

    def test_clsact_and_perf_buffer_are_as_exact(self):
        self.check_run(signal.SIGINT, features="tcx,ringbuf")

    def test_as_on_linux_4_18_it_is_exact_and_tells_what_it_does_without(self):
        self.check_run(signal.SIGINT, features="programs,mmap,batch,jiffies,gso,ringbuf,tcx,btf")

    def test_duration_ends_by_itself(self):
        monitor = Monitor(self.wire, "--duration", "2s")
        sent = self.wire.flood(frames=1000)
        status, lines, err = monitor.end(None)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.assert_exact(lines)["packets"], sent)

    def test_port_scan_is_an_alert_on_its_own_line(self):
        monitor = Monitor(self.wire, "--port-scan-ports-per-second", "10")
        self.wire.inside(self.wire.far, sys.executable, str(pathlib.Path(__file__).with_name("wire.py")), "scan", "far0",
                         "--ports=20")
        time.sleep(0.5)
        status, lines, _ = monitor.end()
        self.assertEqual(status, 0)
        alerts = [line for line in lines if line["kind"] == "alert"]
        self.assertEqual([alert["state"] for alert in alerts], ["opened", "closed"])
        self.assertEqual(alerts[0]["id"], alerts[1]["id"])
        self.assertEqual(alerts[0]["type"], "scan.vertical")
        self.assertEqual(alerts[0]["source"]["ip"], "10.0.0.1")
        self.assertEqual(self.assert_exact(lines)["alerts"], 1)

    def test_two_at_once_are_both_exact(self):
        for features in ("", "tcx"):
            with self.subTest(features=features):
                first, second = Monitor(self.wire, features=features), Monitor(self.wire, features=features)
                sent = self.wire.flood(rate=10000, frames=20000)
                for monitor in (first, second):
                    status, lines, err = monitor.end()
                    self.assertEqual((status, err), (0, ""))
                    self.assertEqual(self.assert_exact(lines)["packets"], sent)
                self.assert_nothing_left()

    def test_stopped_for_ten_seconds_under_flood_is_balanced(self):
        monitor = Monitor(self.wire, "--ring-size", "64K", "--table-budget", "256K")
        flood = self.wire.flood(flows=20000, rate=20000, wait=False)
        time.sleep(1)
        monitor.child.send_signal(signal.SIGSTOP)
        time.sleep(10)
        monitor.child.send_signal(signal.SIGCONT)
        time.sleep(1)
        sent = finish_flood(flood)
        status, lines, err = monitor.end()
        self.assertEqual((status, err), (0, ""))
        summary = self.assert_exact(lines)
        self.assertEqual(summary["packets"], sent)
        lost = summary["ledger"]["total"]["lost"]
        self.assertIn("ring_full", lost, "so small a ring took ten seconds of it?")
        told = [line for line in lines if line["kind"] == "loss" and line["where"] == "ring_full"]
        self.assertEqual(add(*map(count, told)), count(lost["ring_full"]))

    # ---- how it ends -------------------------------------------------------------------------------------------------

    def test_sigkill_with_tcx_leaves_nothing(self):
        monitor = Monitor(self.wire)
        monitor.end(signal.SIGKILL)
        self.assert_nothing_left(within=2)

    def test_sigkill_with_clsact_leaves_nothing_after_two_seconds(self):
        monitor = Monitor(self.wire, features="tcx")
        self.assertEqual(len(self.wire.hooks()["filters"]), 2)
        monitor.child.kill()
        self.assert_nothing_left(within=2)
        monitor.child.wait()
        self.assertEqual(self.wire.pids(), [], "a process of it still lives")

    def test_sigkill_with_clsact_spares_the_other_instance_and_a_foreign_qdisc(self):
        self.wire.inside(self.wire.near, "tc", "qdisc", "add", "dev", "near0", "clsact")
        victim, other = Monitor(self.wire, features="tcx"), Monitor(self.wire, features="tcx")
        victim.child.kill()
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and len(self.wire.hooks()["filters"]) > 2:
            time.sleep(0.05)
        self.assertEqual(len(self.wire.hooks()["filters"]), 2)
        sent = self.wire.flood(frames=2000)
        status, lines, err = other.end()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.assert_exact(lines)["packets"], sent)
        self.assertEqual(self.wire.hooks(), {"tcx": 0, "filters": [], "clsact": True}, "their qdisc must stay")

    def test_killed_with_its_watchdog_the_next_start_clears_up(self):
        monitor = Monitor(self.wire, features="tcx")
        pids = self.wire.pids()
        self.assertGreaterEqual(len(pids), 2, "no watchdog")
        # The namespace is the test's own: nobody else is in it. The watchdog first, else it does its work.
        for pid in sorted(pids, key=lambda pid: pid == monitor.child.pid):
            os.kill(pid, signal.SIGKILL)
        monitor.child.wait()
        self.assertEqual(len(self.wire.hooks()["filters"]), 2, "who removed them?")
        successor = Monitor(self.wire)
        self.assertEqual(self.wire.hooks()["filters"], [])
        sent = self.wire.flood(frames=500)
        status, lines, _ = successor.end()
        self.assertEqual((status, self.assert_exact(lines)["packets"]), (0, sent))
        self.assert_nothing_left()

    def test_reader_that_goes_away_ends_it_quietly(self):
        read, write = os.pipe()
        monitor = Monitor(self.wire, output=write)
        os.close(write)
        flood = self.wire.flood(rate=2000, wait=False)
        with os.fdopen(read) as pipe:
            json.loads(pipe.readline())
        _, err = monitor.child.communicate(timeout=10)
        finish_flood(flood)
        self.assertEqual((monitor.child.returncode, err), (0, ""))
        self.assert_nothing_left()

    def test_interface_that_vanishes_is_told_and_ends_it(self):
        monitor = Monitor(self.wire)
        sent = self.wire.flood(frames=1000)
        self.wire.inside(self.wire.near, "ip", "link", "delete", "near0")
        status, lines, err = monitor.end(None)
        self.assertEqual(status, 1)
        self.assertIn("vanished", err)
        self.assertEqual(self.assert_exact(lines)["packets"], sent)
        self.assertEqual([line["type"] for line in lines if line["kind"] == "event" and line["type"] != "flow_started"],
                         ["interface_gone"])

    # ---- exit status -------------------------------------------------------------------------------------------------

    def refused(self, *arguments, prefix=(), **environment):
        done = subprocess.run(["ip", "netns", "exec", self.wire.near, *prefix, str(KNP), *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                              env=clear_environment(**environment))
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_wrong_usage_is_2(self):
        for arguments, told in [(("monitor", "--nosuch"), "--nosuch"), (("monitr",), "monitor"),
                                (("monitor", "-i", "near0", "--interval", "soon"), "--interval"),
                                (("monitor", "-i", "near0", "--disable-features", "warp"), "warp"),
                                (("monitor", "-i", "near0", "--table-budget", "10"), "10")]:
            with self.subTest(arguments=arguments):
                status, err = self.refused(*arguments)
                self.assertEqual(status, 2, err)
                self.assertIn(told, err)

    def test_missing_permission_is_3_and_names_the_capability(self):
        status, err = self.refused("monitor", "-i", "near0", prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
        self.assertEqual(status, 3, err)
        self.assertIn("CAP_BPF", err)
        self.assertIn("CAP_NET_ADMIN", err)

    def test_missing_feature_is_4_and_is_named(self):
        status, err = self.refused("monitor", "-i", "near0", KNP_DISABLE_FEATURES="tcx,clsact")
        self.assertEqual(status, 4, err)
        self.assertIn("tcx", err)
        self.assertIn("clsact", err)

    def test_doctor_tells_prometheus_what_is_missing(self):
        done = subprocess.run([str(KNP), "doctor", "-o", "prometheus"], text=True, capture_output=True, timeout=30,
                              env=clear_environment(KNP_DISABLE_FEATURES="ringbuf"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r'(?m)^kubenetprobe_kernel_feature\{feature="ringbuf",since="5.8"\} 0$')
        self.assertRegex(done.stdout, r'(?m)^kubenetprobe_kernel_degraded\{feature="ringbuf"\} 1$')
        self.assertRegex(done.stdout, r'(?m)^kubenetprobe_can_run 1$')

    def test_failure_is_1_and_says_why(self):
        self.wire.inside(self.wire.far, "ip", "link", "set", "far0", "down")
        self.wire.inside(self.wire.near, "ip", "link", "set", "near0", "down")
        for arguments, environment, told in [(("-i", "nosuch0"), {}, "nosuch0"), (("-i", "near0"), {}, "down"),
                                             ((), {}, "default route"), ((), {"NETWORK_INTERFACE": "nosuch1"}, "nosuch1")]:
            with self.subTest(arguments=arguments, environment=environment):
                status, err = self.refused("monitor", *arguments, **environment)
                self.assertEqual(status, 1, err)
                self.assertIn(told, err)
        self.assert_nothing_left()

    # ---- the example -------------------------------------------------------------------------------------------------

    def test_example_prints_statistics_and_events(self):
        example = BUILD / "bin" / "examples" / "monitor"
        child = self.wire.start(self.wire.near, str(example), env=clear_environment(NETWORK_INTERFACE="near0"))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.wire.hooks()["tcx"] < 2:
            time.sleep(0.05)
        self.wire.flood(flows=3, frames=300)
        time.sleep(5.5)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE)
        self.assertEqual((child.returncode, err), (0, ""))
        self.assertIn(f"near0: rx 300 packets {300 * FRAME_BYTES} bytes", out)
        self.assertEqual(out.count("flow_started"), 3)
        self.assert_nothing_left()


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIPPED: needs root")
        sys.exit(77)
    end_on_sigterm()
    unittest.main(verbosity=2)
