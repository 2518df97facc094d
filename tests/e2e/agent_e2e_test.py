#!/usr/bin/env python3
"""knp-agent from outside, on a node made of network namespaces: interfaces come and go, Prometheus scrapes, settings change,
the ledger balances. Needs root; the traffic stays in namespaces of the test's own.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from monitor_e2e_test import BUILD, KNP, clear_environment  # noqa: E402
from wire import Wire, end_on_sigterm, finish_flood, run  # noqa: E402

AGENT = BUILD / "bin" / "knp-agent"
PORT = 19967


def wait_for(what, seconds=20, step=0.05):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got = what()
        if got:
            return got
        time.sleep(step)
    return what()


class AgentTest(unittest.TestCase):
    def setUp(self):
        self.wire = Wire()
        self.addCleanup(self.wire.close)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.config = pathlib.Path(self.folder.name) / "agent.yaml"
        self.output = pathlib.Path(self.folder.name) / "out.json"
        self.socket = pathlib.Path(self.folder.name) / "agent.sock"
        self.errors = self.wire.file()
        self.pins = ""
        self.pods = []

    def pod(self, name):
        """A pod's end of a veth, in a namespace of its own; the time at which it came up."""
        netns = f"{self.wire.near}-{name}"
        run("ip", "netns", "add", netns)
        self.addCleanup(lambda: run("ip", "netns", "delete", netns, check=False))
        run("ip", "-n", self.wire.near, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", netns)
        run("ip", "-n", netns, "link", "set", "eth0", "up")
        run("ip", "-n", self.wire.near, "link", "set", name, "up")
        return time.time(), netns

    def start(self, settings="", check=True):
        names = "" if "kubernetes:" in settings else "kubernetes: {enabled: off}\n"
        self.config.write_text(f"pins: {{directory: '{self.pins}'}}\nhubble: {{socket: '{self.socket}'}}\n{names}"
                               f"metrics: {{listen: '127.0.0.1:{PORT}'}}\njson: {{output: '{self.output}'}}\n{settings}")
        agent = self.wire.start(self.wire.near, str(AGENT), "--config", str(self.config), stderr=self.errors,
                                env=clear_environment())
        if check:
            self.assertTrue(wait_for(lambda: self.get("/readyz")[0] == "200" or agent.poll() is not None),
                            self.error_text())
            self.assertIsNone(agent.poll(), self.error_text())
        return agent

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()

    def get(self, path):
        done = subprocess.run(["ip", "netns", "exec", self.wire.near, "curl", "-s", "-m", "5", "-w", "\n%{http_code}",
                               f"http://127.0.0.1:{PORT}{path}"], stdout=subprocess.PIPE, text=True, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return status, body

    def metric(self, name, **labels):
        """Of the first series of that name with these labels; None if there is none."""
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(r"kubenetprobe_(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and all(f'{k}="{v}"' in (found[2] or "") for k, v in labels.items()):
                return float(found[3])
        return None

    def lines(self, kind):
        if not self.output.exists():
            return []
        whole = self.output.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["kind"] == kind]

    def attached(self, name):
        return [e for e in self.lines("event") if e["type"] == "interface_attached" and e["interface"] == name]

    def end(self, agent):
        agent.send_signal(signal.SIGTERM)
        agent.communicate(timeout=30)
        self.assertEqual(agent.returncode, 0, self.error_text())

    def test_PodAppears_IsWatchedWithinATenthOfASecond(self):
        agent = self.start()
        delays = []
        for i in range(10):
            name = f"cali{i}"
            up, netns = self.pod(name)
            self.assertTrue(wait_for(lambda: self.attached(name)), self.error_text())
            hooks = self.wire.hooks(interface=name)
            self.assertTrue(hooks["tcx"] >= 2 or len(hooks["filters"]) >= 2, hooks)
            told = self.attached(name)[0]["time"]
            delays.append(self.seconds(told) - up)
            run("ip", "netns", "delete", netns)
        self.assertLess(sorted(delays)[len(delays) // 2], 0.1, delays)
        self.assertTrue(wait_for(lambda: self.metric("interface_packets_total", interface="cali9") is None))
        self.end(agent)
        stats = self.lines("stats")
        self.assertIn("near0", {line["interface"] for line in stats})

    @staticmethod
    def seconds(text):
        whole, _, fraction = text.rstrip("Z").partition(".")
        import calendar
        return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))

    def test_Traffic_IsInTheMetricsAndTheLedgerBalances(self):
        agent = self.start("host: {drops: on}\n")
        before = self.metric("interface_packets_total", interface="near0", direction="ingress")
        self.wire.inside(self.wire.far, "ping", "-q", "-c", "20", "-i", "0.02", "10.201.0.1")
        self.assertTrue(wait_for(lambda: self.metric("interface_packets_total", interface="near0", direction="ingress") >= before + 20))
        self.assertTrue(wait_for(lambda: (self.metric("protocol_packets_total", protocol="ICMP", direction="ingress") or 0) >= 20))
        text = self.get("/metrics")[1]
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, check=False)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""))
        def balance():
            ledger = {line.split()[0].partition("{")[0]: 0 for line in text.splitlines() if "ledger" in line and line[0] != "#"}
            for line in self.get("/metrics")[1].splitlines():
                if line.startswith("kubenetprobe_ledger_"):
                    ledger[line.split()[0].partition("{")[0]] = ledger.get(line.split()[0].partition("{")[0], 0) + float(line.split()[-1])
            part = lambda name: ledger.get(f"kubenetprobe_ledger_{name}_packets", 0)
            return part("seen") == part("in_flows") + part("in_flight") + part("remainder") + part("lost") and part("seen") > 0
        self.assertTrue(wait_for(balance))
        self.end(agent)

    def test_PrometheusItself_ScrapesIt(self):
        if not shutil.which("prometheus"):
            self.skipTest("prometheus is not here")
        agent = self.start()
        scrape = pathlib.Path(self.folder.name) / "prometheus.yaml"
        scrape.write_text("scrape_configs:\n- job_name: knp\n  scrape_interval: 1s\n  static_configs:\n"
                          f"  - targets: ['127.0.0.1:{PORT}']\n")
        self.wire.start(self.wire.near, "prometheus", f"--config.file={scrape}", f"--storage.tsdb.path={self.folder.name}/tsdb",
                        "--web.listen-address=127.0.0.1:19090", "--log.level=error")
        def ask(query):
            done = subprocess.run(["ip", "netns", "exec", self.wire.near, "curl", "-s", "-m", "5", "-G", "--data-urlencode",
                                   f"query={query}", "http://127.0.0.1:19090/api/v1/query"], stdout=subprocess.PIPE, text=True, check=False)
            return done.stdout and json.loads(done.stdout)["data"]["result"]
        self.assertTrue(wait_for(lambda: ask('up{job="knp"} == 1'), 60, 0.5))
        self.assertTrue(wait_for(lambda: ask('kubenetprobe_build_info'), 30, 0.5))
        self.assertTrue(ask('kubenetprobe_interface_packets_total{interface="near0"}'))
        self.end(agent)

    def test_NewSettings_AreTakenAndWrongOnesRefused(self):
        agent = self.start("interfaces: {include: [near0]}\n")
        self.pod("veth7")
        self.assertIsNone(self.metric("interface_packets_total", interface="veth7"))
        self.config.write_text(self.config.read_text().replace("[near0]", "[near0, 'veth*']"))
        self.assertTrue(wait_for(lambda: self.attached("veth7")), self.error_text())
        self.assertEqual(self.metric("config_reloads_total", outcome="taken"), 1)
        self.config.write_text(self.config.read_text().replace("[near0, 'veth*']", "[near0]"))
        self.assertTrue(wait_for(lambda: self.wire.hooks(interface="veth7")["tcx"] == 0 and
                                 not self.wire.hooks(interface="veth7")["filters"]), self.error_text())
        self.assertEqual(self.metric("config_reloads_total", outcome="taken"), 2)
        self.config.write_text(self.config.read_text() + "flows: {capacty: 5}\n")
        self.assertTrue(wait_for(lambda: self.metric("config_reloads_total", outcome="refused") == 1))
        self.assertIn("did you mean flows.capacity?", self.get("/readyz")[1])
        self.assertIn("did you mean flows.capacity?", self.error_text())
        self.config.write_text(self.config.read_text().replace("capacty: 5", "capacity: 5000"))
        agent.send_signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: self.metric("config_reloads_total", outcome="taken") == 3), self.error_text())
        self.end(agent)

    def knp(self, *arguments, status=0):
        done = subprocess.run([str(KNP), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=60, env=clear_environment(KNP_SERVER=str(self.socket)))
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def test_Knp_AsksTheAgent(self):
        agent = self.start("node: {name: worker-7}\n")
        self.wire.inside(self.wire.far, "ping", "-q", "-c", "10", "-i", "0.02", "10.201.0.1")
        flows = lambda: [json.loads(line) for line in self.knp("flows", "-o", "json", "--filter", "protocol=ICMP").splitlines()]
        self.assertTrue(wait_for(lambda: flows() and flows()[0]["received"]["packets"] == 10))
        self.assertEqual(self.knp("flows", "--filter", "protocol=TCP", "-o", "json"), "")
        self.assertIn("10.201.0.2", self.knp("flows"))
        self.assertIn("10.201.0.2", self.knp("observe", "--since", "1m"))
        status = json.loads(self.knp("status", "-o", "json"))
        self.assertEqual((status["node"], status["state"], status["interfaces"]), ("worker-7", "ready", ["near0"]))
        self.assertIn("worker-7", self.knp("status"))
        self.wire.inside(self.wire.far, "nmap", "-n", "-Pn", "-sS", "-p", "1-300", "--max-retries", "0", "10.201.0.1")
        self.assertTrue(wait_for(lambda: "scan.vertical" in self.knp("alerts")), self.error_text())
        alert = json.loads(self.knp("alerts", "-o", "json").splitlines()[0])
        self.assertIn("ports", self.knp("alerts", alert["id"]))
        self.assertIn("there is no alert", self.knp("alerts", "nonsense", status=1))
        self.assertIn("'nonsense' is no filter", self.knp("flows", "--filter", "nonsense", status=1))
        self.assertIn("all of them are right", self.knp("config", "validate", str(self.config)))
        self.end(agent)
        self.assertIn("no agent answers", self.knp("status", status=1))

    def test_Pods_AreNamedInTheirFirstRecord(self):
        api = self.wire.start(self.wire.near, sys.executable, str(pathlib.Path(__file__).parent / "kube_api.py"), "16443",
                              stdin=subprocess.PIPE)
        self.assertEqual(api.stdout.readline().strip(), "ready")

        def tell(*words):
            api.stdin.write(" ".join(words) + "\n")
            api.stdin.flush()
            self.assertEqual(api.stdout.readline().strip(), "done")

        def pod(name, address, labels):
            tell("put", "Pod", json.dumps({
                "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels, "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "web-5d9c", "uid": "rs", "controller": True}]},
                "spec": {"nodeName": "worker-7"}, "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}))

        tell("put", "ReplicaSet", json.dumps({"metadata": {"name": "web-5d9c", "namespace": "shop", "uid": "rs", "ownerReferences": [
            {"kind": "Deployment", "name": "web", "uid": "d", "controller": True}]}}))
        tell("put", "Node", json.dumps({"metadata": {"name": "worker-7", "labels": {"topology.kubernetes.io/zone": "z1"}},
                                        "status": {"addresses": [{"type": "InternalIP", "address": "10.201.0.1"}]}}))
        kubeconfig = pathlib.Path(self.folder.name) / "kubeconfig"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:16443"}}],
            "users": [{"name": "c", "user": {"token": "e2e-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}))
        agent = self.start(f"node: {{name: worker-7}}\nkubernetes: {{enabled: on, kubeconfig: {kubeconfig}}}\n")
        self.assertTrue(wait_for(lambda: "ready: 0 pods, 1 nodes" in self.get("/readyz")[1]), self.get("/readyz"))
        count = 40
        for i in range(count):
            address = f"10.201.0.{100 + i}"
            pod(f"web-{i}", address, {"app": "web"})
            run("ip", "-n", self.wire.far, "address", "add", f"{address}/24", "dev", "far0")
            self.wire.inside(self.wire.far, "ping", "-q", "-c", "1", "-W", "2", "-I", address, "10.201.0.1")
        first = {}

        def all_told():
            for flow in self.lines("flow"):
                first.setdefault(flow["source"]["ip"], flow)
            return sum(1 for ip in first if ip.startswith("10.201.0.1") and len(ip) == len("10.201.0.100")) >= count
        self.assertTrue(wait_for(all_told, 30), len(first))
        named = [f for ip, f in first.items() if f["source"].get("pod", "") == f"web-{int(ip.split('.')[3]) - 100}"]
        self.assertGreaterEqual(len(named), count * 0.99, [f["source"] for f in first.values()][:3])
        source, destination = named[0]["source"], named[0]["destination"]
        self.assertEqual((source["namespace"], source["workload"], source["labels"], source["zone"]),
                         ("shop", {"kind": "Deployment", "name": "web"}, {"app": "web"}, "z1"))
        self.assertEqual(destination["node"], "worker-7")
        self.assertTrue(wait_for(lambda: (self.metric("workload_packets_total", source_namespace="shop", source_workload="web") or 0) >= count))
        self.assertIn("shop/web-", self.knp("flows"))
        self.end(agent)

    def received(self):
        return int(self.wire.inside(self.wire.near, "cat", "/sys/class/net/near0/statistics/rx_packets"))

    def uninstall(self):
        return self.wire.inside(self.wire.near, str(AGENT), "--config", str(self.config), "--uninstall")

    def test_KilledUnderLoad_TheNextOneGoesOnAndNothingIsMissing(self):
        # ip(8) hides /sys/fs/bpf from what it runs: a bpffs of the test's own.
        mount = pathlib.Path(self.folder.name) / "bpf"
        mount.mkdir()
        run("mount", "-t", "bpf", "bpf", str(mount))
        self.addCleanup(lambda: run("umount", "-l", str(mount), check=False))
        self.pins = mount / "kubenetprobe"
        before = self.received()
        agent = self.start("interfaces: {include: [near0]}\n")
        flood = self.wire.flood(flows=500, rate=5000, seconds=60.0, wait=False)
        for _ in range(5):
            time.sleep(1.3)
            agent.kill()
            agent.wait()
            hooks = self.wire.hooks()
            self.assertTrue(hooks["tcx"] == 2 or len(hooks["filters"]) == 2, hooks)
            time.sleep(0.5)  # counted by nobody but the kernel
            agent = self.start("interfaces: {include: [near0]}\n")
        finish_flood(flood)
        total = self.received() - before
        seen = lambda: self.metric("interface_packets_total", interface="near0", direction="ingress")
        self.assertTrue(wait_for(lambda: seen() == total), (seen(), total))
        parts = lambda: [self.metric_sum(f"ledger_{part}_packets") for part in ("seen", "in_flows", "in_flight", "remainder", "lost")]
        self.assertTrue(wait_for(lambda: parts()[0] == sum(parts()[1:])), parts())
        self.assertGreater(self.metric("ledger_lost_packets", where="restart") or 0, 0)
        self.end(agent)
        second = self.start("interfaces: {include: [near0]}\n")
        self.assertGreaterEqual(seen(), total)
        self.assertIn("is held by process", self.refused())
        self.end(second)
        self.uninstall()
        hooks = self.wire.hooks()
        self.assertEqual((hooks["tcx"], hooks["filters"]), (0, []))
        self.assertFalse(self.pins.exists())

    def refused(self):
        """What a second agent says."""
        done = subprocess.run(["ip", "netns", "exec", self.wire.near, str(AGENT), "--config", str(self.config), "--set",
                               "metrics.listen=", "--set", "hubble.socket="], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False, timeout=30, env=clear_environment())
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout

    def metric_sum(self, name):
        found = re.findall(rf"^kubenetprobe_{name}(?:\{{.*\}})? (\S+)$", self.get("/metrics")[1], re.M)
        return sum(float(value) for value in found)

    def test_WrongSettings_EndItAtOnceWithTheReason(self):
        agent = self.start("interfaces: {includ: [eth0]}\n", check=False)
        agent.communicate(timeout=20)
        self.assertEqual(agent.returncode, 2)
        self.assertRegex(self.error_text(), r"agent.yaml:6: there is no setting 'interfaces.includ'; did you mean interfaces.include\?")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(77)
    if not AGENT.exists():
        print(f"skipped: {AGENT} is not built")
        sys.exit(77)
    end_on_sigterm()
    unittest.main(verbosity=2)
