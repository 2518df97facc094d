"""The detection laboratory: attackers and honest clients in one namespace, their target in another, `knp monitor` at the
target's interface. Each exercise says what it runs, what must be raised, and what must not. Used by detection_e2e_test.py
and by tools/detection_scorecard.py.
"""
import datetime
import pathlib
import shutil
import subprocess
import sys
import time

from monitor_e2e_test import Monitor
from wire import Wire, run

HERE = pathlib.Path(__file__).parent
NEAR, ALIVE, DEAD, NEAR6 = "10.201.0.1", "10.202.0.0/24", "10.203.0.0/24", "fd55::1"
NMAP = ["nmap", "-n", "-Pn", "--host-timeout", "12s", "--max-retries", "1", "-T4"]
WEB = str(HERE / "lab_server.py")


def nmap(*arguments):
    return [*NMAP, *arguments]


def hping(*arguments):
    return ["timeout", "--signal=INT", "4", "hping3", "-q", *arguments, NEAR]


def frames(kind, rate, seconds=4, target=NEAR, *more):
    return [sys.executable, str(HERE / "attacks.py"), kind, "far0", "MAC", target, "--rate", str(rate), "--seconds",
            str(seconds), *more]


class Exercise:
    """`must`: any of these types; None: nothing may be raised. `never`: types, or what they begin with. `quick`: part of the
    end-to-end tests, not only of the scorecard."""

    def __init__(self, name, command, must, never=(), within=5.0, quick=False, limit=20, may=()):
        self.name, self.command, self.must, self.never = name, command, must, never
        self.within, self.quick, self.limit, self.may = within, quick, limit, may


SCAN, FLOOD = ("scan",), ("ddos",)
EXERCISES = [
    Exercise("nmap -sS", nmap("-sS", "--top-ports", "200", NEAR), ["scan.vertical"], FLOOD, quick=True),
    Exercise("nmap -sT", nmap("-sT", "--top-ports", "200", NEAR), ["scan.vertical"], FLOOD, quick=True),
    Exercise("nmap -sF", nmap("-sF", "--top-ports", "100", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sN", nmap("-sN", "--top-ports", "100", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sX", nmap("-sX", "--top-ports", "100", NEAR), ["scan.vertical"], FLOOD, quick=True),
    Exercise("nmap -sM", nmap("-sM", "--top-ports", "100", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sA", nmap("-sA", "--top-ports", "200", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sW", nmap("-sW", "--top-ports", "200", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sS -f", nmap("-sS", "-f", "--top-ports", "100", NEAR), ["scan.vertical"], FLOOD, quick=True),
    Exercise("nmap -sU", nmap("-sU", "-F", NEAR), ["scan.vertical"], FLOOD, quick=True),
    Exercise("nmap -sY", nmap("-sY", "--top-ports", "50", NEAR), ["scan.vertical"], FLOOD, within=8),
    Exercise("nmap -sV", nmap("-sV", "-p", "1-200,8000", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -sS -p-", nmap("-sS", "-p-", "--min-rate", "20000", NEAR), ["scan.vertical"], FLOOD),
    Exercise("nmap -6 -sS", nmap("-6", "-sS", "--top-ports", "100", NEAR6), ["scan.vertical"], FLOOD),
    Exercise("nmap -T2", nmap("-sS", "-T2", "-p", "100-130", NEAR), ["scan.vertical", "scan.slow"], FLOOD, within=10),
    Exercise("nmap decoys", nmap("-sS", "-D", "10.204.0.1,10.204.0.2,10.204.0.3,ME", "-p", "100-200", NEAR),
             ["scan.vertical", "scan.distributed"], FLOOD),
    Exercise("nmap sweep -PS22", nmap("-sS", "-p", "22", ALIVE), ["scan.horizontal"], FLOOD, quick=True),
    Exercise("nmap ping sweep", ["nmap", "-n", "-sn", "-PE", ALIVE], ["scan.horizontal"], FLOOD, quick=True),
    Exercise("nmap sweep, dead", nmap("-sS", "-p", "445", "--min-rate", "50", DEAD), ["scan.horizontal"], FLOOD, within=8),
    Exercise("nmap block", nmap("-sS", "-p", "22,80,443,3306,8080", "10.202.0.0/26"), SCAN, FLOOD),
    Exercise("masscan 1k/s", ["timeout", "8", "masscan", "-e", "far0", "--router-mac", "MAC", "-p", "1-3000", NEAR, "--rate",
                              "1000", "--wait", "1"], ["scan.vertical"], FLOOD),
    Exercise("masscan 10k/s", ["timeout", "8", "masscan", "-e", "far0", "--router-mac", "MAC", "-p", "1-30000", NEAR,
                               "--rate", "10000", "--wait", "1"], ["scan.vertical"], FLOOD),
    Exercise("zmap", ["timeout", "8", "zmap", "-q", "-i", "far0", "-G", "MAC", "-S", "10.201.0.2", "-p", "80", "-r", "500",
                      "-c", "1", "--blacklist-file=/dev/null", "-o", "/dev/null", ALIVE], ["scan.horizontal"], FLOOD),
    Exercise("hping3 SYN, one source", hping("-S", "-p", "80", "--flood"), ["ddos.syn"], SCAN, quick=True),
    Exercise("hping3 SYN, invented", hping("-S", "-p", "80", "--flood", "--rand-source"), ["ddos.syn"], SCAN, quick=True),
    Exercise("hping3 SYN, closed port", hping("-S", "-p", "81", "--flood"), ["ddos.syn"], SCAN),
    Exercise("hping3 SYN, all ports", hping("-S", "-p", "++1", "--flood"), FLOOD, SCAN),
    Exercise("SYN 300/s", frames("syn", 300, 6), ["ddos.syn"], SCAN, within=6, quick=True),
    Exercise("SYN 2k/s, 50 sources", frames("syn_bots", 2000, 5), ["ddos.syn"], SCAN),
    Exercise("SYN 2k/s, invented, all ports", frames("syn_ports", 2000), ["ddos.syn"], SCAN),
    Exercise("SYN pulsed", frames("syn", 2000, 8, NEAR, "--pulse", "1"), ["ddos.syn"], SCAN),
    Exercise("hping3 ACK", hping("-A", "-p", "80", "--flood"), ["ddos.ack"], SCAN),
    Exercise("ACK, invented", frames("ack", 5000), ["ddos.ack"], SCAN, quick=True),
    Exercise("RST, invented", frames("rst", 5000), ["ddos.ack"], SCAN),
    Exercise("hping3 UDP", hping("--udp", "-p", "4433", "--flood", "-d", "100"), ["ddos.udp"], SCAN),
    Exercise("hping3 UDP, all ports", hping("--udp", "-p", "++1", "--flood", "-d", "100"), ["ddos.udp"], SCAN),
    Exercise("UDP, random ports", frames("udp_ports", 30000), ["ddos.udp"], SCAN),
    Exercise("UDP, invented", frames("udp", 5000), ["ddos.udp"], SCAN, quick=True),
    Exercise("hping3 ICMP", hping("-1", "--flood"), ["ddos.icmp"], SCAN, quick=True),
    Exercise("ICMP, invented", frames("icmp", 3000), ["ddos.icmp"], SCAN),
    Exercise("smurf", frames("smurf", 3000), ["ddos.icmp"], SCAN),
    Exercise("DNS amplification", frames("dns", 3000), ["ddos.amplification"], SCAN, quick=True),
    Exercise("NTP amplification, 200/s", frames("ntp", 200), ["ddos.amplification"], SCAN),
    Exercise("memcached amplification", frames("memcached", 5000), ["ddos.amplification"], SCAN),
    Exercise("SYN-ACK reflection", frames("synack", 1000), ["ddos.reflection"], SCAN, quick=True),
    Exercise("fragments", frames("fragments", 5000), ["ddos.fragment"], SCAN, quick=True),
    Exercise("tiny fragments", frames("tiny_fragments", 5000), ["ddos.fragment"], SCAN),
    Exercise("GRE", frames("gre", 20000), ["ddos.other"], SCAN),
    Exercise("carpet of SYN", frames("syn", 10000, 4, ALIVE), ["ddos.syn"], SCAN),
    Exercise("carpet of UDP", frames("udp", 20000, 4, ALIVE), ["ddos.udp"], SCAN),
    Exercise("slowloris", ["timeout", "22", "slowhttptest", "-H", "-c", "150", "-i", "3", "-r", "100", "-l", "20", "-u",
                           f"http://{NEAR}/"], ["ddos.slow"], SCAN, within=20, limit=30),
    # Honest, and loud.
    Exercise("wrk, 400 connections", ["wrk", "-t2", "-c400", "-d4s", f"http://{NEAR}/"], None, quick=True),
    Exercise("a connection a request", [sys.executable, WEB, "clients", NEAR, "80", "4"], None, quick=True),
    Exercise("retries at a closed port", [sys.executable, WEB, "retries", NEAR, "81", "4"], None, may=("anomaly",), quick=True),
    Exercise("health checks of 200 hosts", [sys.executable, WEB, "checks", ALIVE, "80", "4"], None, quick=True),
    Exercise("name queries", [sys.executable, WEB, "names", NEAR, "53", "4"], None),
    Exercise("telemetry, one way", [sys.executable, WEB, "telemetry", NEAR, "8125", "4"], None),
    Exercise("iperf3", ["iperf3", "-c", NEAR, "-t", "3", "-P", "4"], None),
    Exercise("iperf3 -u", ["iperf3", "-c", NEAR, "-u", "-b", "200M", "-t", "3"], None),
    Exercise("ping", ["ping", "-q", "-i", "0.01", "-c", "300", NEAR], None),
    Exercise("traceroute", ["traceroute", "-n", "-w", "1", NEAR], None),
]


class Laboratory:
    def __init__(self):
        self.wire = Wire()
        try:
            self._prepare()
        except BaseException:
            self.wire.close()
            raise

    def _prepare(self):
        near, far = self.wire.near, self.wire.far
        for netns, interface, address in ((near, "near0", NEAR6), (far, "far0", "fd55::2")):
            self.wire.inside(netns, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=0")
            run("ip", "-n", netns, "-6", "address", "add", f"{address}/64", "dev", interface, "nodad")
            self.wire.inside(netns, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                             f"net.ipv4.conf.{interface}.rp_filter=0", "net.ipv4.ip_local_port_range=1024 65535",
                             "net.ipv4.tcp_max_syn_backlog=8192", "net.core.somaxconn=8192")
        run("ip", "-n", near, "route", "add", "local", ALIVE, "dev", "lo")
        run("ip", "-n", near, "route", "add", "default", "via", "10.201.0.2")
        run("ip", "-n", far, "route", "add", "default", "via", NEAR)
        # Answers to invented sources end there.
        run("ip", "-n", far, "route", "add", "blackhole", "default", "metric", "10")
        run("ip", "-n", far, "route", "del", "default", "via", NEAR)
        run("ip", "-n", far, "route", "add", "10.202.0.0/15", "via", NEAR)
        self.mac = [word for word in run("ip", "-n", near, "link", "show", "near0").split() if word.count(":") == 5][0]
        self.server = self.wire.start(near, sys.executable, WEB, "serve")
        if self.server.stdout.readline().strip() != "ready":
            raise RuntimeError(self.server.stderr.read())
        if shutil.which("iperf3"):
            self.wire.start(near, "iperf3", "-s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.wire.close()

    @staticmethod
    def tool(exercise):
        words = exercise.command if exercise.command[0] != "timeout" else exercise.command[1:]
        return next(word for word in words if not word.startswith("-") and not word.isdigit())

    @staticmethod
    def can(exercise):
        return shutil.which(Laboratory.tool(exercise)) is not None

    def do(self, exercise, *arguments):
        """(lines of the monitor, seconds since 1970 at which the attack began)"""
        monitor = Monitor(self.wire, *arguments)
        time.sleep(0.3)
        began = time.time()
        command = [self.mac if word == "MAC" else word for word in exercise.command]
        child = self.wire.start(self.wire.far, *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(exercise.limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        time.sleep(1.5)
        status, lines, err = monitor.end()
        if status != 0:
            raise RuntimeError(f"{exercise.name}: knp monitor ended with {status}: {err}")
        return lines, began


def seconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return moment + float("0." + (fraction or "0"))


def under(kind, kinds):
    return any(kind == k or kind.startswith(k + ".") for k in kinds)


def judge(exercise, lines, began):
    """(what is wrong or "", seconds to the first right alert or None, the alerts that were opened)"""
    opened = [line for line in lines if line["kind"] == "alert" and line["state"] == "opened"]
    closed = {line["id"] for line in lines if line["kind"] == "alert" and line["state"] == "closed"}
    wrong = [f"{a['id']} was never closed" for a in opened if a["id"] not in closed]
    if exercise.must is None:
        wrong += [f"false alarm {a['type']}: {a['summary']}" for a in opened if not under(a["type"], exercise.may)]
        return "; ".join(wrong), None, opened
    right = sorted((a for a in opened if under(a["type"], exercise.must)), key=lambda a: a["time"])
    wrong += [f"wrong: {a['type']}: {a['summary']}" for a in opened if under(a["type"], exercise.never)]
    if not right:
        return "; ".join(wrong + [f"missed (raised {[a['type'] for a in opened]})"]), None, opened
    if len(right) > 2:
        wrong.append(f"told {len(right)} times")
    after = seconds(right[0]["time"]) - began
    if after > exercise.within:
        wrong.append(f"after {after:.1f} s, not {exercise.within}")
    return "; ".join(wrong), after, opened
