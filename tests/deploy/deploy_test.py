#!/usr/bin/env python3
"""What deploy/ holds, rendered by real helms and checked by a real promtool (tools/deploy_tools.py fetches them once, and what
cannot be had is skipped with its reason): chart, plain manifests, alert rules, dashboard. Needs no root and no cluster.
"""
import functools
import importlib.machinery
import importlib.util
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(pathlib.Path(__file__).parent)]
import deploy_tools  # noqa: E402
from metrics import METRICS  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None

CHART = ROOT / "deploy/helm/kubenetprobe"
RULES = ROOT / "deploy/prometheus/rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/kubenetprobe.json"

# What installations look like; each is linted and rendered with each helm.
VALUE_SETS = {
    "defaults": {},
    "with the Prometheus operator": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "1m",
                           "metricRelabelings": [{"action": "labeldrop", "regex": "pod"}]},
        "prometheusRule": {"enabled": True, "namespace": "monitoring"}, "dashboard": {"enabled": True}},
    "old kernels": {"agent": {"oldestKernel": "4.18"}},
    "configured": {"agent": {
        "config": {"interfaces": {"include": ["eth*", "cali*"], "exclude": ["docker0"]}, "metrics": {"listen": "[::]:19967"},
                   "detectors": {"scan": {"vertical": {"ports": 20}}}, "hubble": {"listen": "0.0.0.0:4244"}},
        "restartOnConfigChange": True, "extraArgs": ["--log-level=debug"], "priorityClassName": "system-node-critical",
        "extraVolumes": [{"name": "tls", "secret": {"secretName": "hubble"}}],
        "extraVolumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}]}},
    "all rights": {"agent": {"rights": {"processes": True, "podNamespaces": True, "programNames": True, "dropPlaces": True,
                                        "cgroupHandles": True}, "bpffs": {"mount": True}}},
    "nothing beside the agent": {"service": {"enabled": False}, "rbac": {"create": False},
                                 "serviceAccount": {"create": False, "name": "given"}},
    "policy": {"networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]}},
    "being removed": {"agent": {"uninstall": True}},
}

# Values that a typing error makes, and the word that the refusal must hold.
REFUSED = {
    "unknown at the top": ({"agnet": {}}, "agnet"),
    "unknown in agent": ({"agent": {"hostPid": True}}, "hostPid"),
    "unknown right": ({"agent": {"rights": {"process": True}}}, "process"),
    "kernel that is not one of the three": ({"agent": {"oldestKernel": "5.10"}}, "oldestKernel"),
    "kernel as a number": ({"agent": {"oldestKernel": 5.11}}, "oldestKernel"),
    "capability with CAP_": ({"agent": {"extraCapabilities": ["CAP_SYS_ADMIN"]}}, "extraCapabilities"),
    "listen without a port": ({"agent": {"config": {"metrics": {"listen": "0.0.0.0"}}}}, "listen"),
    "digest that is none": ({"image": {"digest": "latest"}}, "digest"),
    "wrong type": ({"serviceMonitor": {"enabled": "yes"}}, "enabled"),
}


@functools.cache
def tried(what):
    """What deploy_tools has, or why not; asked for once, for to fail can take minutes."""
    try:
        return getattr(deploy_tools, what)(), ""
    except deploy_tools.Missing as missing:
        return None, str(missing)


def tool(what):
    found, reason = tried(what)
    if found is None:
        raise unittest.SkipTest(reason)
    return found


def helms():
    if yaml is None:
        raise unittest.SkipTest("python3 has no yaml here (Debian: python3-yaml)")
    return tool("helms")


def promtool():
    return tool("promtool")


def call(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)


def with_values(values, command):
    """Runs what command(path of a file with the values) gives; JSON is YAML."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        return call(*command(file.name))


@functools.cache
def rendered(values, helm, kube, release):
    done = with_values(json.loads(values), lambda file: [helm, "template", release, CHART, "-n", "observe", "--kube-version", kube,
                                                         "-f", file])
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


def render(values, helm=None, kube="1.30.0", release="knp"):
    text = rendered(json.dumps(values, sort_keys=True), helm or next(iter(helms().values())), kube, release)
    return [document for document in yaml.safe_load_all(text) if document]


def one(documents, kind):
    found = [document for document in documents if document["kind"] == kind]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects of kind {kind}")
    return found[0]


def agent_of(documents):
    """The DaemonSet's pod and its agent."""
    pod = one(documents, "DaemonSet")["spec"]["template"]["spec"]
    return pod, next(container for container in pod["containers"] if container["name"] == "agent")


class ChartTest(unittest.TestCase):
    def setUp(self):
        helms()

    def test_Lint_EveryValueSetWithEveryHelm_IsStrictlyClean(self):
        for (version, helm), (name, values) in itertools.product(helms().items(), VALUE_SETS.items()):
            with self.subTest(helm=version, values=name):
                done = with_values(values, lambda file: [helm, "lint", "--strict", CHART, "-f", file])
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn("WARNING", done.stdout)

    def test_Template_EveryValueSetWithEveryHelm_IsTheSameAndWellFormed(self):
        for name, values in VALUE_SETS.items():
            outcomes = [render(values, helm) for helm in helms().values()]
            for (version, documents) in zip(helms(), outcomes):
                with self.subTest(helm=version, values=name):
                    self.assertEqual(documents, outcomes[0])
                    keys = [(d["apiVersion"], d["kind"], d["metadata"]["name"]) for d in documents]
                    self.assertEqual(len(set(keys)), len(keys))
                    for document in documents:
                        self.assertLessEqual(len(document["metadata"]["name"]), 63)
                        self.assertEqual(document["metadata"]["labels"]["app.kubernetes.io/part-of"], "kubenetprobe")
                        if not document["kind"].startswith("Cluster"):
                            self.assertIn("namespace", document["metadata"])

    def test_Template_LongNames_FitIntoALabel(self):
        documents = render({"nameOverride": "n" * 50}, release="r" * 53)
        for document in documents:
            self.assertLessEqual(len(document["metadata"]["name"]), 63)

    def test_Selectors_OfServiceMonitorAndPolicy_MeetTheAgents(self):
        documents = render({"serviceMonitor": {"enabled": True}, "networkPolicy": {"enabled": True}})
        daemonset = one(documents, "DaemonSet")
        labels = daemonset["spec"]["template"]["metadata"]["labels"]
        service = one(documents, "Service")
        self.assertLessEqual(daemonset["spec"]["selector"]["matchLabels"].items(), labels.items())
        self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        self.assertLessEqual(one(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items(), labels.items())
        monitor = one(documents, "ServiceMonitor")["spec"]
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertEqual(monitor["namespaceSelector"]["matchNames"], ["observe"])
        self.assertEqual(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
        self.assertEqual(service["spec"]["clusterIP"], "None")

    def test_Rbac_AnyValueSet_ReadsSixKindsAndNothingElse(self):
        for name, values in VALUE_SETS.items():
            documents = render(values)
            with self.subTest(values=name):
                self.assertFalse([d for d in documents if d["kind"] in ("Role", "RoleBinding")])
                if not values.get("rbac", {}).get("create", True):
                    self.assertFalse([d for d in documents if d["kind"].startswith("ClusterRole")])
                    continue
                rules = one(documents, "ClusterRole")["rules"]
                self.assertEqual({(group, kind) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]},
                                 {("", "pods"), ("", "nodes"), ("", "services"), ("discovery.k8s.io", "endpointslices"),
                                  ("apps", "replicasets"), ("batch", "jobs")})
                for rule in rules:
                    self.assertEqual(sorted(rule["verbs"]), ["get", "list", "watch"])
                    self.assertEqual(set(rule), {"apiGroups", "resources", "verbs"})
                binding = one(documents, "ClusterRoleBinding")
                self.assertEqual(binding["roleRef"]["name"], one(documents, "ClusterRole")["metadata"]["name"])
                account = one(documents, "ServiceAccount")
                self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": account["metadata"]["name"],
                                                        "namespace": account["metadata"]["namespace"]}])

    def test_Capabilities_ByKernelAndRight_AreTheFewest(self):
        none = {"processes": False}
        for kernel, rights, extra, wanted in (
                ("5.11", none, [], "BPF NET_ADMIN PERFMON"),
                ("5.8", none, [], "BPF NET_ADMIN PERFMON SYS_RESOURCE"),
                ("4.18", none, [], "NET_ADMIN SYS_ADMIN SYS_RESOURCE"),
                ("5.11", {}, [], "BPF NET_ADMIN PERFMON SYS_PTRACE"),
                ("5.11", {**none, "podNamespaces": True}, [], "BPF NET_ADMIN PERFMON SYS_ADMIN SYS_PTRACE"),
                ("4.18", {**none, "podNamespaces": True}, [], "NET_ADMIN SYS_ADMIN SYS_PTRACE SYS_RESOURCE"),
                ("5.11", {**none, "programNames": True}, [], "BPF NET_ADMIN PERFMON SYS_ADMIN"),
                ("5.11", {**none, "dropPlaces": True}, [], "BPF NET_ADMIN PERFMON SYSLOG"),
                ("5.11", {**none, "cgroupHandles": True}, ["BPF"], "BPF DAC_READ_SEARCH NET_ADMIN PERFMON")):
            with self.subTest(kernel=kernel, rights=rights):
                _, agent = agent_of(render({"agent": {"oldestKernel": kernel, "rights": rights, "extraCapabilities": extra}}))
                capabilities = agent["securityContext"]["capabilities"]
                self.assertEqual(" ".join(sorted(capabilities["add"])), wanted)
                self.assertEqual(capabilities["drop"], ["ALL"])

    def test_SecurityContext_AnyValueSet_IsReadOnlyUnprivilegedAndCannotRise(self):
        for name, values in VALUE_SETS.items():
            pod = one(render(values), "DaemonSet")["spec"]["template"]["spec"]
            for container in pod["containers"] + pod.get("initContainers", []):
                context = container["securityContext"]
                with self.subTest(values=name, container=container["name"]):
                    self.assertTrue(context["readOnlyRootFilesystem"])
                    if container["name"] == "mount-bpffs":
                        continue  # who mounts for the node cannot do without
                    self.assertFalse(context.get("privileged", False))
                    self.assertFalse(context["allowPrivilegeEscalation"])
                    self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})

    def test_HostPaths_OfTheAgent_AreThreeFoldersAndCgroupsReadOnly(self):
        pod, agent = agent_of(render({}))
        paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
        self.assertEqual(paths, {"bpffs": "/sys/fs/bpf", "cgroup": "/sys/fs/cgroup", "run": "/run/kubenetprobe"})
        mounts = {mount["name"]: mount for mount in agent["volumeMounts"]}
        self.assertEqual({name: mount["mountPath"] for name, mount in mounts.items()},
                         {**paths, "config": "/etc/kubenetprobe"})
        self.assertTrue(mounts["cgroup"]["readOnly"] and mounts["config"]["readOnly"])
        self.assertEqual(mounts["bpffs"]["mountPropagation"], "HostToContainer")
        self.assertNotIn("subPath", mounts["config"])  # a changed ConfigMap would never arrive

    def test_Pod_Defaults_IsOnEveryNodeInItsNamespaces(self):
        documents = render({})
        pod, agent = agent_of(documents)
        self.assertTrue(pod["hostNetwork"] and pod["hostPID"])
        self.assertFalse(pod["enableServiceLinks"])
        self.assertEqual(pod["tolerations"], [{"operator": "Exists"}])
        self.assertNotIn("priorityClassName", pod)
        self.assertEqual(one(documents, "DaemonSet")["spec"]["updateStrategy"]["type"], "RollingUpdate")
        self.assertEqual(agent["env"], [{"name": "KNP_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}])
        self.assertEqual(agent["args"], ["--config=/etc/kubenetprobe/agent.yaml"])
        self.assertEqual(agent["resources"], {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"memory": "200Mi"}})
        self.assertFalse(render({"agent": {"hostPID": False}})[-1]["spec"]["template"]["spec"]["hostPID"])

    def test_Config_Given_IsMergedAndDecidesPortsAndProbes(self):
        for listen, port, host in (("0.0.0.0:9967", 9967, None), ("[::]:19967", 19967, None), (":9968", 9968, None),
                                   ("127.0.0.1:9967", 9967, "127.0.0.1"), ("[fd00::1]:9967", 9967, "fd00::1")):
            with self.subTest(listen=listen):
                documents = render({"agent": {"config": {"interfaces": {"include": ["ens*"]}, "metrics": {"listen": listen}}},
                                    "networkPolicy": {"enabled": True}})
                _, agent = agent_of(documents)
                config = yaml.safe_load(one(documents, "ConfigMap")["data"]["agent.yaml"])
                self.assertEqual(config, {"interfaces": {"include": ["ens*"]}, "metrics": {"listen": listen},
                                          "kubernetes": {"enabled": "auto"},
                                          "hubble": {"socket": "/run/kubenetprobe/agent.sock", "listen": ""}})
                self.assertEqual([p["containerPort"] for p in agent["ports"]], [port])
                self.assertEqual(one(documents, "Service")["spec"]["ports"][0]["port"], port)
                self.assertEqual(one(documents, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"], port)
                for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
                    wanted = {"path": path, "port": "metrics", **({"host": host} if host else {})}
                    self.assertEqual(agent[probe]["httpGet"], wanted)

    def test_Config_HubbleOverTcp_HasItsPort(self):
        documents = render({"agent": {"config": {"hubble": {"listen": "0.0.0.0:4244"}}}, "networkPolicy": {"enabled": True}})
        _, agent = agent_of(documents)
        self.assertEqual({p["name"]: p["containerPort"] for p in agent["ports"]}, {"metrics": 9967, "hubble": 4244})
        self.assertEqual(one(documents, "Service")["spec"]["ports"][1]["port"], 4244)
        self.assertEqual(len(one(documents, "NetworkPolicy")["spec"]["ingress"]), 2)

    def test_Config_Changed_RestartsOnlyOnRequest(self):
        def annotations(limit, restart):
            values = {"agent": {"config": {"detectors": {"x": limit}}, "restartOnConfigChange": restart}}
            return one(render(values), "DaemonSet")["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(annotations(1, False), annotations(2, False))
        self.assertNotEqual(annotations(1, True), annotations(2, True))

    def test_AppArmor_ByVersion_IsAFieldOrAnAnnotation(self):
        key = "container.apparmor.security.beta.kubernetes.io/agent"
        for kube, profile, field, annotation in (("1.30.0", "Unconfined", {"type": "Unconfined"}, None),
                                                 ("1.36.2-gke.1", "Localhost/knp", {"type": "Localhost", "localhostProfile": "knp"}, None),
                                                 ("1.29.9", "Unconfined", None, "unconfined"),
                                                 ("1.25.0", "Localhost/knp", None, "localhost/knp"),
                                                 ("1.25.0", "RuntimeDefault", None, "runtime/default"),
                                                 ("1.25.0", "", None, None), ("1.31.0", "", None, None)):
            with self.subTest(kube=kube, profile=profile):
                documents = render({"agent": {"appArmorProfile": profile}}, kube=kube)
                _, agent = agent_of(documents)
                self.assertEqual(agent["securityContext"].get("appArmorProfile"), field)
                self.assertEqual(one(documents, "DaemonSet")["spec"]["template"]["metadata"]["annotations"].get(key), annotation)

    def test_Uninstall_Set_CleansEachNodeWithoutAgentsOrToken(self):
        documents = render(VALUE_SETS["being removed"])
        spec = one(documents, "DaemonSet")["spec"]
        pod = spec["template"]["spec"]
        cleaner, = pod["initContainers"]
        self.assertEqual(cleaner["command"] + cleaner["args"], ["knp-agent", "--uninstall"])
        self.assertEqual(cleaner["securityContext"], agent_of(render({}))[1]["securityContext"])
        self.assertIn("/sys/fs/bpf", [mount["mountPath"] for mount in cleaner["volumeMounts"]])
        done, = pod["containers"]
        self.assertEqual(done["securityContext"]["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertEqual(spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"], "100%")
        # In place of the agents: the same object, whose selector cannot change.
        usual = one(render({}), "DaemonSet")
        self.assertEqual(usual["metadata"], one(documents, "DaemonSet")["metadata"])
        self.assertEqual(usual["spec"]["selector"], spec["selector"])

    def test_Image_TagOrDigest_NamesIt(self):
        for image, wanted in (({}, "kubenetprobe/kubenetprobe:0.1.0"), ({"repository": "r/k", "tag": "1"}, "r/k:1"),
                              ({"repository": "r/k", "tag": "1", "digest": "sha256:" + "a" * 64}, "r/k@sha256:" + "a" * 64)):
            self.assertEqual(agent_of(render({"image": image}))[1]["image"], wanted)

    def test_Schema_MistakenValues_AreRefusedByName(self):
        for version, helm in helms().items():
            for name, (values, word) in REFUSED.items():
                with self.subTest(helm=version, case=name):
                    done = with_values(values, lambda file: [helm, "template", "x", CHART, "-f", file])
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(word, done.stderr)

    def test_Schema_EveryValueOfTheChart_IsDescribed(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def compare(values, described, path):
            if described.get("additionalProperties") is not False:
                return
            self.assertLessEqual(set(values), set(described["properties"]), path)
            for key, value in values.items():
                if isinstance(value, dict):
                    compare(value, described["properties"][key], f"{path}.{key}")
        compare(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")

    def test_Notes_InstallAndUninstall_SayWhatToDo(self):
        helm = next(iter(helms().values()))
        for values, wanted in (({}, "rollout status daemonset/knp-kubenetprobe-agent"), ({"agent": {"uninstall": True}}, "uninstall knp")):
            done = with_values(values, lambda file: [helm, "install", "knp", CHART, "--dry-run=client", "-f", file])
            if done.returncode and "cluster" in done.stderr:
                self.skipTest("this helm asks a cluster even for a dry run")
            self.assertIn(wanted, done.stdout, done.stderr)

    def test_Versions_OfChartImageAndProgram_AreOne(self):
        version = re.search(r"project\(KubeNetProbe VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["appVersion"], version)
        self.assertIn(f"ARG VERSION={version}\n", (ROOT / "deploy/Containerfile").read_text())


class ManifestTest(unittest.TestCase):
    def setUp(self):
        helms()
        loader = importlib.machinery.SourceFileLoader("render", str(ROOT / "deploy/render"))
        self.render = importlib.util.module_from_spec(importlib.util.spec_from_loader("render", loader))
        sys.dont_write_bytecode = True
        loader.exec_module(self.render)

    def test_Manifest_AndCopies_AreWhatRenderWrites(self):
        for version, helm in helms().items():
            with self.subTest(helm=version):
                self.assertEqual([str(path) for path in self.render.outdated(helm)], [], "run deploy/render")

    def test_Manifest_Parsed_IsTheChartsWithANamespaceBefore(self):
        documents = list(yaml.safe_load_all(self.render.MANIFEST.read_text()))
        self.assertEqual([d["kind"] for d in documents], ["Namespace", "ServiceAccount", "ConfigMap", "ClusterRole",
                                                          "ClusterRoleBinding", "Service", "DaemonSet"])
        self.assertNotIn("elm", self.render.MANIFEST.read_text().split("---", 1)[1])
        for document in documents[1:]:
            if not document["kind"].startswith("Cluster"):
                self.assertEqual(document["metadata"]["namespace"], documents[0]["metadata"]["name"])
        # Servers before 1.30 refuse the field.
        self.assertNotIn("appArmorProfile", self.render.MANIFEST.read_text())

    def test_Chart_RuleAndDashboard_AreTheFiles(self):
        documents = render({"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}})
        self.assertEqual(one(documents, "PrometheusRule")["spec"], yaml.safe_load(RULES.read_text()))
        board = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"].endswith("-dashboard"))
        self.assertEqual(json.loads(board["data"]["kubenetprobe.json"]), json.loads(DASHBOARD.read_text()))
        self.assertEqual(board["metadata"]["labels"]["grafana_dashboard"], "1")


def unknown_names(expression):
    """Metrics that the agent does not have, and labels that a metric does not have."""
    problems = []
    for metric, selector in re.findall(r"\b(kubenetprobe_\w+)(?:\{([^}]*)\})?", expression):
        if metric not in METRICS:
            problems.append(metric)
            continue
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            if label not in METRICS[metric] | {"job", "instance"}:
                problems.append(f"{metric}{{{label}}}")
    labels = set().union({"job", "instance"}, *(METRICS.get(m, set()) for m in re.findall(r"\bkubenetprobe_\w+", expression)))
    for listed in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression):
        problems += [f"by ({label})" for label in re.findall(r"\w+", listed) if label not in labels]
    return problems


class AlertsTest(unittest.TestCase):
    def setUp(self):
        if yaml is None:
            self.skipTest("python3 has no yaml here (Debian: python3-yaml)")
        self.rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]

    def test_Rules_Promtool_AcceptsThemAndTheirTestsPass(self):
        for command in (("check", "rules", RULES), ("test", "rules", RULES.with_name("rules_test.yaml"))):
            done = call(promtool(), *command, cwd=RULES.parent)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_Rules_Each_FiresInATest(self):
        tests = yaml.safe_load(RULES.with_name("rules_test.yaml").read_text())["tests"]
        fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
        self.assertEqual({rule["alert"] for rule in self.rules}, fired)

    def test_Rules_Expressions_NameOnlyWhatTheAgentHas(self):
        self.assertTrue(self.rules)
        for rule in self.rules:
            with self.subTest(alert=rule["alert"]):
                self.assertEqual(unknown_names(rule["expr"]), [])
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description"})

    def test_UnknownNames_MadeUpExpressions_AreFound(self):
        self.assertEqual(unknown_names("kubenetprobe_nonsense_total"), ["kubenetprobe_nonsense_total"])
        self.assertEqual(unknown_names('rate(kubenetprobe_drops_total{cause="x"}[5m])'), ["kubenetprobe_drops_total{cause}"])
        self.assertEqual(unknown_names("sum by (cause) (kubenetprobe_drops_total)"), ["by (cause)"])
        self.assertEqual(unknown_names('sum by (reason, job) (kubenetprobe_drops_total{reason!="a"})'), [])


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.board = json.loads(DASHBOARD.read_text())
        self.panels = self.board["panels"]
        self.expressions = [target["expr"] for panel in self.panels for target in panel.get("targets", [])]

    def test_Expressions_EachAsARule_IsAcceptedByPromtool(self):
        self.assertGreater(len(self.expressions), 30)
        rules = []
        for number, expression in enumerate(self.expressions):
            for variable, value in (("$__rate_interval", "5m"), ("$__range", "1h"), ("$instance", ".*"), ("$interface", ".*")):
                expression = expression.replace(variable, value)
            self.assertNotIn("$", expression)
            rules.append({"record": f"panel:{number}", "expr": expression})
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            done = call(promtool(), "check", "rules", "--lint=none", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)

    def test_Expressions_Each_NamesOnlyWhatTheAgentHas(self):
        for expression in self.expressions:
            with self.subTest(expression=expression):
                self.assertEqual(unknown_names(expression), [])

    def test_Metrics_OfTheContract_AreShown(self):
        shown = set(re.findall(r"\bkubenetprobe_\w+", " ".join(self.expressions)))
        # Said by another unit of the same thing.
        self.assertEqual(set(METRICS) - shown, {"kubenetprobe_interface_skbs_total", "kubenetprobe_protocol_packets_total",
                                                "kubenetprobe_workload_packets_total"})

    def test_Panels_Placed_DoNotOverlapAndHaveTheirOwnIds(self):
        self.assertGreaterEqual(self.board["schemaVersion"], 36)
        self.assertEqual(len({panel["id"] for panel in self.panels}), len(self.panels))
        taken = set()
        for panel in self.panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = set(itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])))
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
        self.assertEqual([panel["title"] for panel in self.panels if panel["type"] == "row"],
                         ["Overview", "Traffic", "Connections", "DNS", "Drops", "Alerts", "Health and ledger"])

    def test_DataSource_EveryPanel_IsTheVariable(self):
        variables = {variable["name"]: variable for variable in self.board["templating"]["list"]}
        self.assertEqual(variables["datasource"]["type"], "datasource")
        for panel in self.panels:
            if panel["type"] != "row":
                self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], panel["datasource"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
