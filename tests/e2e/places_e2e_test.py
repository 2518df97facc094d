#!/usr/bin/env python3
"""A pod behind a bridge, as on a node: its packets pass its veth, the bridge and the uplink, and `knp monitor` on all of
them counts each once in the flow and in the totals, while every place keeps its own count. Needs root; the traffic stays in
namespaces of the test's own.
"""
import json
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from monitor_e2e_test import KNP, clear_environment  # noqa: E402
from wire import Wire, end_on_sigterm, run  # noqa: E402

SERVICES = str(pathlib.Path(__file__).parent / "services.py")


class Node(Wire):
    """`near` is the node: uplink near0 in the bridge br0, with the pod's veth pod0. `far` is the world; `pod` the pod."""

    def __init__(self):
        super().__init__()
        self.pod = self.near.replace("-near", "-pod")
        try:
            run("ip", "netns", "add", self.pod)
            for command in ("link add br0 type bridge", "link set br0 up", "address flush dev near0",
                            "link set near0 master br0", f"link add pod0 type veth peer name eth0 netns {self.pod}",
                            "link set pod0 master br0", "link set pod0 up", "address add 10.201.0.1/24 dev br0",
                            "route add default dev near0"):
                run("ip", "-n", self.near, *command.split())
            for command in ("address add 10.201.0.3/24 dev eth0", "link set eth0 up"):
                run("ip", "-n", self.pod, *command.split())
        except BaseException:
            self.close()
            raise

    def close(self):
        super().close()
        run("ip", "netns", "delete", getattr(self, "pod", ""), check=False)


class PlacesTest(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.close)

    def watch(self, *interfaces):
        output = self.node.file()
        named = [word for name in interfaces for word in ("-i", name)]
        monitor = self.node.start(self.node.near, str(KNP), "monitor", *named, "-o", "json", "--interval", "1s",
                                  stdout=output, env=clear_environment())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            hooks = [self.node.hooks(interface=name) for name in interfaces]
            if all(h["tcx"] >= 2 or len(h["filters"]) >= 2 for h in hooks):
                return monitor, output
            time.sleep(0.05)
        self.fail(f"knp monitor did not attach: {monitor.poll()}")

    def end(self, monitor, output):
        time.sleep(2.2)  # a scan, and a report of who used how much
        monitor.send_signal(signal.SIGINT)
        _, err = monitor.communicate(timeout=30)
        self.assertEqual((monitor.returncode, err), (0, ""))
        output.seek(0)
        lines = [json.loads(line) for line in output]
        total = lines[-1]["ledger"]["total"]
        rest = sum(c["packets"] for part in ("remainder", "lost") for c in total[part].values())
        self.assertEqual(total["seen"]["packets"], total["in_flows"]["packets"] + rest)
        return lines

    def test_PodTalksToTheWorld_CountedOnceAndSeenThrice(self):
        server = self.node.start(self.node.far, sys.executable, SERVICES, "serve", "10.201.0.2", stdin=-1)
        self.assertEqual(server.stdout.readline().strip(), "ready")
        monitor, output = self.watch("near0", "br0", "pod0")
        self.node.inside(self.node.pod, sys.executable, SERVICES, "use", "10.201.0.2")
        lines = self.end(monitor, output)
        flows = [line for line in {f["id"]: f for f in lines if f["kind"] == "flow"}.values()
                 if line["protocol"] == "TCP" and line["destination"].get("port") == 7777]
        self.assertEqual(len(flows), 3, "one for each connection, whatever saw it")
        for flow in flows:
            places = {(o["interface"], o["direction"]): (o["packets"], o["bytes"]) for o in flow["observations"]}
            self.assertEqual({name for name, _ in places}, {"near0", "pod0"}, "a bridge forwards past its own hooks")
            sent, received = flow["sent"], flow["received"]
            self.assertEqual((sent["packets"], sent["bytes"]), places["pod0", "ingress"])
            self.assertEqual((received["packets"], received["bytes"]), places["near0", "ingress"] if
                             places["near0", "ingress"][0] > 2 * places["pod0", "egress"][0] else places["pod0", "egress"])
        traffic = [line["traffic"] for line in lines if "traffic" in line][-1]
        world, = [h for h in traffic["hosts"] if h["ip"] == "10.201.0.2"]
        of_all = [f for f in {f["id"]: f for f in lines if f["kind"] == "flow"}.values() if
                  "10.201.0.2" in (f["source"]["ip"], f["destination"]["ip"])]
        self.assertEqual(world["sent"]["packets"] + world["received"]["packets"],
                         sum(f["sent"]["packets"] + f["received"]["packets"] for f in of_all))


if __name__ == "__main__":
    end_on_sigterm()
    if os.geteuid() != 0:
        print("SKIPPED: needs root")
        sys.exit(77)
    unittest.main(verbosity=1)
