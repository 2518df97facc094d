#!/usr/bin/env python3
"""The image's content, built and started without a container engine: the built programs and the libraries that they need in a
plain folder, entered as the chart's container would be (its capabilities and no more, no new privileges, a read-only root, the
mounts of its volumes), in network and mount namespaces of the test's own. And whether deploy/Containerfile installs exactly
the packages that those libraries come from. Needs root, the built programs and dpkg.
"""
import ctypes
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("KNP_BUILD_DIR", ROOT / "build")) / "bin"
CONTAINERFILE = ROOT / "deploy/Containerfile"
MANIFEST = ROOT / "deploy/manifests/agent.yaml"
CONTAINERFILE_RELEASE = "bookworm"

# linux/capability.h; what the chart can ask for, and what entering takes
CAPABILITIES = {"DAC_READ_SEARCH": 2, "NET_ADMIN": 12, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "SYSLOG": 34,
                "PERFMON": 38, "BPF": 39}
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)


def chart_capabilities():
    """Of the committed manifest: what an installation has that chose nothing."""
    block = re.search(r"capabilities:\n\s+drop: \[ALL\]\n\s+add:\n((?:\s+- [A-Z_]+\n)+)", MANIFEST.read_text())[1]
    return re.findall(r"[A-Z_]+", block)


def chart_config():
    text = MANIFEST.read_text()
    block = re.search(r"  agent\.yaml: \|\n((?:    .*\n|\n)+)", text)[1]
    return "".join(line[4:] + "\n" for line in block.splitlines())


# ---- the folder ----------------------------------------------------------------------------------------------------------


@functools.cache
def programs():
    return [BIN / name for name in ("knp", "knp-agent") if (BIN / name).is_file()]


@functools.cache
def libraries(program):
    """soname → file, as the loader finds them; the loader itself, too."""
    found = {}
    for line in run("ldd", program).stdout.splitlines():
        words = line.split()
        if "=>" in words:
            if words[2] == "not":
                raise AssertionError(f"{program} needs {words[0]}, which is not here")
            found[words[0]] = words[2]
        elif words and words[0].startswith("/"):
            found[pathlib.Path(words[0]).name] = words[0]
    return found


def make_root(folder):
    for name in ("usr/bin", "usr/lib", "usr/lib64", "etc/kubenetprobe", "run/kubenetprobe", "proc", "sys", "dev", "tmp",
                 "usr/share/doc/kubenetprobe"):
        (folder / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (folder / name).symlink_to(f"usr/{name}")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/:/usr/sbin/nologin\n")
    (folder / "etc/kubenetprobe/agent.yaml").write_text(chart_config())
    shutil.copy(ROOT / "LICENSE", folder / "usr/share/doc/kubenetprobe")
    for program in programs():
        shutil.copy(program, folder / "usr/bin")
        for path in libraries(program).values():
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(path, target)  # follows links: the name that the loader asks for


# ---- entering it (this file, started by itself in namespaces of its own) ----------------------------------------------------


def enter(root, capabilities, lo_traffic, command):
    """In fresh mount and network namespaces: mounts what the pod's volumes are, then becomes the command. Does not return."""
    def mount(*words):
        subprocess.run(["mount", *words], check=True)
    for words in ("link set lo up", "link add eth0 type veth peer name pod0", "link set eth0 up", "link set pod0 up"):
        subprocess.run(["ip", *words.split()], check=True)
    mount("--bind", root, root)
    mount("--rbind", "/proc", f"{root}/proc")  # hostPID
    mount("--rbind", "/sys", f"{root}/sys")
    mount("-t", "bpf", "bpf", f"{root}/sys/fs/bpf")
    mount("-t", "tmpfs", "tmpfs", f"{root}/run/kubenetprobe")
    mount("-t", "tmpfs", "tmpfs", f"{root}/dev")
    for device in ("null", "urandom"):
        (pathlib.Path(root) / "dev" / device).touch()
        mount("--bind", f"/dev/{device}", f"{root}/dev/{device}")
    mount("-o", "remount,bind,ro", root)
    child = os.fork()
    if child == 0:
        os.chroot(root)
        os.chdir("/")
        libc = ctypes.CDLL(None, use_errno=True)
        keep = {CAPABILITIES[name] for name in capabilities}
        number = 0
        while libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
            if number not in keep and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
                os._exit(125)
            number += 1
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        environment = {"PATH": "/usr/bin", "KNP_NODE_NAME": "node-1"}
        os.execve(f"/usr/bin/{command[0]}", command, environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(child, number))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xff)
        if lo_traffic:
            sender.sendto(b"x" * 100, ("127.0.0.1", 9))
        time.sleep(0.02)


# ---- tests -----------------------------------------------------------------------------------------------------------------


class InsideTest(unittest.TestCase):
    """What runs in the folder."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        if not (BIN / "knp").is_file():
            raise unittest.SkipTest(f"{BIN}/knp is not built")
        if run("unshare", "-m", "-n", "true").returncode:
            raise unittest.SkipTest("no namespaces can be made here")
        cls.folder = tempfile.TemporaryDirectory(prefix="knp-image-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name) / "root"
        make_root(cls.root)

    def command(self, *command, capabilities=None, traffic=False):
        names = ",".join(chart_capabilities() if capabilities is None else capabilities)
        return ["unshare", "-m", "-n", "--propagation", "private", sys.executable, __file__, "--enter", str(self.root),
                f"+{names}", "traffic" if traffic else "quiet", *command]

    def inside(self, *command, **options):
        return run(*self.command(*command, **options))

    def need_agent(self):
        if not (BIN / "knp-agent").is_file():
            self.skipTest(f"{BIN}/knp-agent is not built")

    def test_Knp_Version_StartsWithoutAnyCapability(self):
        done = self.inside("knp", "--version", capabilities=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^knp \d+\.\d+\.\d+\n$")

    def test_Knp_DoctorWithTheChartsCapabilities_CanRun(self):
        done = self.inside("knp", "doctor", "-o", "json")
        diagnosis = json.loads(done.stdout)
        held = {capability["name"]: capability["held"] for capability in diagnosis["capabilities"]}
        self.assertEqual(held, {"CAP_NET_ADMIN": True, "CAP_BPF": True, "CAP_PERFMON": True, "CAP_SYS_ADMIN": False})
        outside = json.loads(run(BIN / "knp", "doctor", "-o", "json").stdout)
        self.assertEqual(diagnosis["can_run"], outside["can_run"], done.stderr)

    def test_Knp_DoctorWithoutCapabilities_SaysWhichAreMissing(self):
        done = self.inside("knp", "doctor", "-o", "json", capabilities=[])
        diagnosis = json.loads(done.stdout)
        self.assertFalse(diagnosis["can_run"])
        self.assertNotEqual(done.returncode, 0)
        for name in ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"):
            self.assertIn(name, diagnosis["problem"])

    def test_Knp_MonitorWithTheChartsCapabilities_AccountsForEveryPacket(self):
        if not json.loads(run(BIN / "knp", "doctor", "-o", "json").stdout)["can_run"]:
            self.skipTest("this kernel cannot run the programs")
        done = self.inside("knp", "monitor", "-i", "lo", "--duration", "2s", "-o", "json", traffic=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(summary["kind"], "summary")
        self.assertGreater(summary["packets"], 10)
        total = summary["ledger"]["total"]
        self.assertEqual(total["seen"]["packets"], sum([total["in_flows"]["packets"]] + [
            part["packets"] for side in ("remainder", "lost") for part in total[side].values()]))

    def pieces(self, *before, capabilities):
        """What knp says of each piece that the host is asked for: {name: {how, why, …}}."""
        command = self.command("knp", "monitor", "-i", "lo", "--duration", "2s", "-o", "json", capabilities=capabilities)
        done = run(*before, *command)
        self.assertEqual(done.returncode, 0, done.stderr)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return {piece["name"]: piece for piece in [r["host"] for r in records if "host" in r][-1]["pieces"]}

    def test_Rights_OfTheChart_GiveWhatTheyAreSaidTo(self):
        # agent.rights of the chart, docs/deployment.md
        least = ["BPF", "PERFMON", "NET_ADMIN"]
        elsewhere = subprocess.Popen(["unshare", "-n", "sleep", "60"])  # a pod's network namespace
        self.addCleanup(elsewhere.wait)
        self.addCleanup(elsewhere.terminate)
        entered = r"in (\d+) network namespace"
        one = self.pieces(capabilities=least)
        self.assertRegex(one["sockets"]["how"], r"in 1 network namespace")
        seen = self.pieces(capabilities=[*least, "SYS_PTRACE"])
        self.assertIn("may not be entered: it takes CAP_SYS_ADMIN", seen["sockets"]["why"])
        all_ = self.pieces(capabilities=[*least, "SYS_PTRACE", "SYS_ADMIN"])
        self.assertGreaterEqual(int(re.search(entered, all_["sockets"]["how"])[1]), 2)
        if "no places" in one["drops"].get("why", ""):
            self.assertNotIn("no places", self.pieces(capabilities=[*least, "SYSLOG"])["drops"].get("why", ""))

    def test_Knp_InACgroupNamespaceOfItsOwn_WatchesTheNodesCgroups(self):
        # Runtimes make one for each container on cgroup v2; the chart mounts the node's /sys/fs/cgroup.
        mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        root = next((words[4] for words in mounts if words[words.index("-") + 1] == "cgroup2" and words[3] == "/"), None)
        if root is None or not os.access(root, os.W_OK):
            self.skipTest("no cgroup v2 here to make a group in")
        group = pathlib.Path(root) / f"knp-image-{os.getpid()}"
        group.mkdir()
        try:
            before = ("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', group, "unshare", "-C")
            piece = self.pieces(*before, capabilities=["BPF", "PERFMON", "NET_ADMIN"])["processes"]
        finally:
            for _ in range(50):
                try:
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)
        self.assertIn(f"cgroup hooks and sock_ops at {root}", piece["how"])

    def test_Agent_Version_StartsWithoutAnyCapability(self):
        self.need_agent()
        done = self.inside("knp-agent", "--version", capabilities=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^knp-agent \d+\.\d+\.\d+\n$")

    def test_Agent_WithTheChartsConfigAndCapabilities_GetsReadyAndEndsOnSigterm(self):
        self.need_agent()
        with tempfile.TemporaryFile("w+") as log:
            agent = subprocess.Popen(self.command("knp-agent", "--config=/etc/kubenetprobe/agent.yaml"), stdout=log, stderr=log)
            try:
                answers = {}
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline and agent.poll() is None:
                    answers = {path: self.get_inside(agent.pid, path) for path in ("/healthz", "/readyz", "/metrics")}
                    if all(status == 200 for status, _ in answers.values()):
                        break
                    time.sleep(0.3)
                log.seek(0)
                self.assertEqual({path: status for path, (status, _) in answers.items()},
                                 {"/healthz": 200, "/readyz": 200, "/metrics": 200}, log.read())
                self.assertIn("kubenetprobe_build_info", answers["/metrics"][1])
                agent.send_signal(signal.SIGTERM)
                status = agent.wait(40)
                log.seek(0)
                self.assertEqual(status, 0, log.read())
            finally:
                if agent.poll() is None:
                    agent.terminate()
                    try:
                        agent.wait(20)
                    except subprocess.TimeoutExpired:
                        agent.kill()
                        agent.wait()

    def test_Agent_UninstallOfNothing_IsDone(self):
        self.need_agent()
        done = self.inside("knp-agent", "--uninstall")
        self.assertEqual(done.returncode, 0, done.stderr)

    @staticmethod
    def get_inside(pid, path):
        """Asks from within the network namespace of the process; the status is 0 while nobody answers."""
        script = ("import http.client, sys\n"
                  "try:\n"
                  "    c = http.client.HTTPConnection('127.0.0.1', 9967, timeout=5); c.request('GET', sys.argv[1]); r = c.getresponse()\n"
                  "    print(r.status); print(r.read().decode())\n"
                  "except OSError:\n"
                  "    print(0)\n")
        done = run("nsenter", "-t", pid, "-n", sys.executable, "-c", script, path)
        status, _, body = done.stdout.partition("\n")
        return int(status or 0), body


class PackagesTest(unittest.TestCase):
    """The Containerfile's list against what the programs are linked with."""

    @classmethod
    def setUpClass(cls):
        if not (BIN / "knp").is_file():
            raise unittest.SkipTest(f"{BIN}/knp is not built")
        if f"VERSION_CODENAME={CONTAINERFILE_RELEASE}\n" not in pathlib.Path("/etc/os-release").read_text():
            raise unittest.SkipTest(f"packages are called otherwise than in the image's {CONTAINERFILE_RELEASE} here")
        for tool in ("dpkg", "readelf"):
            if not shutil.which(tool):
                raise unittest.SkipTest(f"there is no {tool} here")
        final = CONTAINERFILE.read_text().rsplit("\nFROM ", 1)[1]
        listed = re.search(r"--no-install-recommends \\\n(.*?)\n && ", final, re.S)[1]
        cls.listed = [word for word in listed.split() if word != "\\"]

    @staticmethod
    @functools.cache
    def package_of(path):
        path = os.path.realpath(path)
        # dpkg knows a file by the name in its package, before or after /lib became a link to /usr/lib.
        for name in (path, path.removeprefix("/usr"), f"/usr{path}"):
            done = run("dpkg", "-S", name)
            if done.returncode == 0:
                return done.stdout.split(":")[0]
        raise AssertionError(f"{path} is of no package")

    def direct(self, program):
        """Packages of what the program itself names; theirs come along as their dependencies."""
        named = re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-d", program).stdout)
        return {self.package_of(libraries(program)[soname]) for soname in named}

    def test_List_OfTheFinalStage_IsSortedAndOfInstalledPackages(self):
        self.assertEqual(self.listed, sorted(set(self.listed)))
        for package in self.listed:
            self.assertEqual(run("dpkg-query", "-W", "-f=${db:Status-Status}", package).stdout, "installed", package)

    def test_List_OfTheFinalStage_HasWhatKnpNeeds(self):
        self.assertEqual(self.direct(BIN / "knp") - set(self.listed), set())

    def test_List_OfTheFinalStage_IsExactlyWhatBothNeed(self):
        if len(programs()) < 2:
            self.skipTest(f"{BIN}/knp-agent is not built: what it needs cannot be told")
        needed = set().union(*(self.direct(program) for program in programs()))
        self.assertEqual(self.listed, sorted(needed), "put into deploy/Containerfile: " + " ".join(sorted(needed)))

    def test_List_WithItsDependencies_BringsEveryLibrary(self):
        depends = {}
        for line in run("dpkg-query", "-W", "-f=${Package}\t${Pre-Depends}, ${Depends}\n").stdout.splitlines():
            package, _, words = line.partition("\t")
            depends[package] = {re.split(r"[ :(]", one.strip())[0] for one in re.split(r"[,|]", words) if one.strip()}
        brought, open_ = set(), list(self.listed)
        while open_:
            package = open_.pop()
            if package not in brought:
                brought.add(package)
                open_ += depends.get(package, ())
        loaded = {self.package_of(path) for program in programs() for path in libraries(program).values()}
        self.assertEqual(loaded - brought, set())


def main():
    if sys.argv[1:2] == ["--enter"]:
        root, names, traffic = sys.argv[2:5]
        enter(root, [name for name in names[1:].split(",") if name], traffic == "traffic", sys.argv[5:])
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
