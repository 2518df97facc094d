#!/usr/bin/env python3
"""`knp replay` from outside: captures that are made here, and every number of its output against what was put into them.

Needs root for the kernel's part; $KNP_BUILD_DIR says where bin/knp is.
"""
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import captures  # noqa: E402
from captures import CLIENT, COOKED, COOKED2, ETHERNET, NULL, RAW, SERVER, START, ethernet, link, pcap, pcapng, udp  # noqa: E402

BUILD = pathlib.Path(os.environ.get("KNP_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build"))
PATIENCE = 60
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


def count(row):
    return row["packets"], row["bytes"]


def add(*rows):
    return tuple(sum(column) for column in zip((0, 0), *rows))


class ReplayTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="knp-replay-"))
        cls.folder.chmod(0o755)
        # Where nobody can read it, too.
        cls.knp = str(shutil.copy(BUILD / "bin" / "knp", cls.folder / "knp"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def file(self, content, name="capture"):
        path = self.folder / f"{self.id().rsplit('.', 1)[1]}-{name}"
        path.write_bytes(content)
        path.chmod(0o644)
        return str(path)

    def run_knp(self, *arguments, before=(), **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KNP_")}
        return subprocess.run([*before, self.knp, "replay", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE, env=environment, **options)

    def replay(self, content, *arguments, exit=0, **options):
        """Replays the capture; returns (lines, stderr), the ledger checked."""
        done = self.run_knp(self.file(content), "-o", "json", *arguments, **options)
        error = done.stderr.decode()
        self.assertEqual(done.returncode, exit, error)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assert_exact(lines)
        return lines, error

    def assert_exact(self, lines):
        summary = lines[-1]
        self.assertEqual([line["kind"] for line in lines].count("summary"), 1)
        self.assertEqual(summary["kind"], "summary")
        last = {line["id"]: line for line in lines if line["kind"] == "flow"}
        self.assertTrue(all(flow["final"] for flow in last.values()))
        for name, part in [("total", summary["ledger"]["total"]), *summary["ledger"]["interfaces"].items()]:
            places = [part["in_flows"], *part["remainder"].values(), *part["lost"].values()]
            self.assertEqual(count(part["in_flight"]), (0, 0), name)
            self.assertEqual(count(part["seen"]), add(*map(count, places)), name)
            told = add(*(count(seen) for flow in last.values() for seen in flow["observations"]
                         if name in ("total", seen["interface"])))
            self.assertEqual(told, count(part["in_flows"]), name)
        self.assertEqual(count(summary), count(summary["ledger"]["total"]["seen"]))
        alerts = {line["id"]: line["state"] for line in lines if line["kind"] == "alert"}
        self.assertLessEqual(set(alerts.values()), {"closed"})

    @staticmethod
    def flows(lines):
        return [line for line in lines if line["kind"] == "flow"]

    # ---- formats -----------------------------------------------------------------------------------------------------

    def assert_conversation(self, lines, overhead):
        packets = captures.conversation()
        self.assertEqual(count(lines[-1]), (len(packets), sum(len(p) + overhead for p, _ in packets)))
        [flow] = self.flows(lines)
        self.assertEqual((flow["source"]["ip"], flow["source"]["port"]), ("10.0.0.1", 40000))
        self.assertEqual((flow["destination"]["ip"], flow["destination"]["port"]), ("10.0.0.2", 80))
        self.assertEqual(flow["state"], "closed")
        self.assertEqual(flow["opener"], "syn")
        for key, answers in (("sent", False), ("received", True)):
            sizes = [len(p) + overhead for p, from_server in packets if from_server == answers]
            self.assertEqual(count(flow[key]), (len(sizes), sum(sizes)))
        return flow

    def test_pcap_every_byte_order_and_resolution(self):
        frames = [ethernet(p) for p, _ in captures.conversation()]
        for order in "<>":
            for nanoseconds in (False, True):
                with self.subTest(order=order, nanoseconds=nanoseconds):
                    lines, error = self.replay(pcap(frames, order=order, nanoseconds=nanoseconds, step_ns=1_234_567))
                    flow = self.assert_conversation(lines, 14)
                    self.assertEqual(error, "")
                    self.assertEqual(flow["start"], "2023-11-14T22:13:20.000000000Z")
                    last = 7 * 1_234_567 // (1 if nanoseconds else 1000) * (1 if nanoseconds else 1000)
                    self.assertEqual(lines[-1]["time"], f"2023-11-14T22:13:20.{last:09}Z")
                    self.assertIn("capture", lines[-1]["ledger"]["interfaces"])

    def test_link_types(self):
        for kind, overhead in ((ETHERNET, 14), (COOKED, 16), (COOKED2, 20), (RAW, 0), (NULL, 4)):
            with self.subTest(kind=kind):
                frames = [link(p, kind, outgoing=not from_server) for p, from_server in captures.conversation()]
                flow = self.assert_conversation(self.replay(pcap(frames, kind))[0], overhead)
                if kind in (COOKED, COOKED2):
                    self.assertEqual({seen["direction"]: seen["packets"] for seen in flow["observations"]},
                                     {"egress": 5, "ingress": 3})

    def test_link_type_unknown_in_the_remainder(self):
        lines, _ = self.replay(pcap([bytes(50)] * 3, kind=147))
        self.assertEqual(count(lines[-1]["ledger"]["total"]["remainder"]["link_type"]), (3, 150))
        self.assertEqual(lines[-1]["replay"]["unknown_link_types"], {"147": 3})
        self.assertEqual(lines[-1]["malformed"], 0)

    def test_pcapng_interfaces_and_directions(self):
        packets = captures.conversation()
        frames = [(ethernet(p), 0, 1 if from_server else 2) for p, from_server in packets]
        frames += [(udp(CLIENT, SERVER, 1000 + i, 9, b"x"), 1, 0) for i in range(3)]
        for order in "<>":
            lines, _ = self.replay(pcapng(frames, (("eth0", ETHERNET), ("wg0", RAW)), order))
            ledger = lines[-1]["ledger"]["interfaces"]
            self.assertEqual(count(ledger["eth0"]["seen"]), (8, sum(len(p) + 14 for p, _ in packets)))
            self.assertEqual(count(ledger["wg0"]["seen"]), (3, 3 * 29))
            stats = {line["interface"]: line for line in lines if line["kind"] == "stats"}
            self.assertEqual((stats["eth0"]["rx"]["packets"], stats["eth0"]["tx"]["packets"]), (3, 5))

    def test_two_pcapng_one_behind_the_other(self):
        frames = [(ethernet(p), 0, 0) for p, _ in captures.conversation()]
        lines, _ = self.replay(pcapng(frames) + pcapng(frames, order=">"))
        self.assertEqual(lines[-1]["packets"], 16)
        self.assertEqual(list(lines[-1]["ledger"]["interfaces"]), ["eth0"])

    # ---- what is odd -------------------------------------------------------------------------------------------------

    def test_truncated_told_and_the_rest_used(self):
        frames = [ethernet(p) for p, _ in captures.conversation()]
        for content in (pcap(frames), pcapng([(f, 0, 0) for f in frames])):
            lines, error = self.replay(content[:-5])
            self.assertEqual(lines[-1]["packets"], 7)
            self.assertIn("ends within a record at offset", error)
            self.assertEqual(len(lines[-1]["replay"]["warnings"]), 1)

    def test_damaged_summary_of_what_stands_before_and_failure(self):
        content = pcap([ethernet(p) for p, _ in captures.conversation()])
        lines, error = self.replay(content + b"\xff" * 64, exit=1)
        self.assertEqual(lines[-1]["packets"], 8)
        self.assertIn(f"damaged at offset {len(content)}", error)

    def test_snaplen_full_bytes_nothing_malformed(self):
        packets = captures.conversation()
        lines, _ = self.replay(pcap([ethernet(p) for p, _ in packets], snaplen=60))
        self.assert_conversation(lines, 14)
        self.assertEqual(lines[-1]["replay"]["cut_by_snaplen"], 2)
        lines, _ = self.replay(pcap([ethernet(p) for p, _ in packets], snaplen=30))
        self.assertEqual(lines[-1]["malformed"], 0)
        self.assertEqual(lines[-1]["ledger"]["total"]["remainder"]["snaplen"]["packets"], 8)

    def test_times_that_go_back_clamped(self):
        frame = ethernet(udp(CLIENT, SERVER, 1, 2))
        lines, _ = self.replay(pcap([(frame, 5 * 10**9), (frame, 0), (frame, 6 * 10**9)]))
        self.assertEqual(lines[-1]["replay"]["times_clamped"], 1)
        self.assertEqual(lines[-1]["duration_s"], 1)

    def test_kernel_and_native_tell_the_same(self):
        frames = [ethernet(p) for p, _ in captures.conversation()]
        frames += [b"", b"\1", bytes(13), ethernet(b""), ethernet(b"\x45"), ethernet(bytes(60), 0x0806), ethernet(bytes(30))]
        frames += [ethernet(udp(CLIENT, SERVER, 5, 6, bytes(size))) for size in (0, 1500, 3600, 3700, 9000, 60000)]
        frames += [ethernet(captures.ipv4(17, CLIENT, SERVER, bytes(20), total=2000))]
        content = pcap(frames)
        in_kernel, error = self.replay(content)
        self.assertEqual(error, "")
        natively, _ = self.replay(content, "--native")
        told = in_kernel[-1].pop("replay")
        self.assertGreater(told["frames_in_kernel"], 10)
        self.assertGreater(told["frames_parsed_natively"], 0)
        self.assertEqual(told["frames_in_kernel"] + told["frames_parsed_natively"], len(frames))
        self.assertEqual(natively[-1].pop("replay")["frames_parsed_natively"], len(frames))
        self.assertEqual(in_kernel[-1]["packets"], len(frames))
        self.assertEqual(in_kernel[-1]["bytes"], sum(map(len, frames)))
        self.assertEqual(in_kernel[-1], natively[-1])
        key = lambda flow: (flow["protocol"], flow["source"].get("port", 0), flow["start"])  # noqa: E731
        strip = lambda flows: sorted(({k: v for k, v in f.items() if k != "id"} for f in flows), key=key)  # noqa: E731
        self.assertEqual(strip(self.flows(in_kernel)), strip(self.flows(natively)))

    def test_gap_longer_than_the_idle_timeout_two_flows(self):
        frame = ethernet(udp(CLIENT, SERVER, 1, 2))
        content = pcap([(frame, 0), (frame, 30 * 10**9), (frame, 4000 * 10**9)])
        first, second = self.flows(self.replay(content)[0])
        self.assertEqual((first["sent"]["packets"], second["sent"]["packets"]), (2, 1))
        self.assertEqual(first["end"][:19], "2023-11-14T22:13:50")
        [whole] = self.flows(self.replay(content, "--set", "flows.idle_timeout=2h")[0])
        self.assertEqual(whole["sent"]["packets"], 3)

    def test_sparse_capture_quick(self):
        frames = [(ethernet(udp(CLIENT, SERVER, 1 + i % 100, 2)), i * 3600 * 10**9) for i in range(5000)]
        began = time.monotonic()
        lines, _ = self.replay(pcap(frames))
        self.assertEqual(lines[-1]["flows"], 5000)
        self.assertLess(time.monotonic() - began, 20)

    # ---- sources -----------------------------------------------------------------------------------------------------

    def test_standard_input_and_process_substitution(self):
        content = pcap([ethernet(p) for p, _ in captures.conversation()])
        done = self.run_knp("-", "-o", "json", input=content)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_conversation([json.loads(line) for line in done.stdout.splitlines()], 14)
        done = subprocess.run(["bash", "-c", f"{self.knp} replay <(cat {self.file(content)}) -o json"],
                              stdout=subprocess.PIPE, timeout=PATIENCE)
        self.assert_conversation([json.loads(line) for line in done.stdout.splitlines()], 14)

    def test_without_rights_native_and_told(self):
        content = pcap([ethernet(p) for p, _ in captures.conversation()])
        lines, error = self.replay(content, before=NOBODY)
        self.assert_conversation(lines, 14)
        self.assertIn("replaying with the natively compiled parser: ", error)
        self.assertEqual(error.count("\n"), 1)
        self.assertEqual(lines[-1]["replay"]["frames_parsed_natively"], 8)
        self.assertIn("native_why", lines[-1]["replay"])

    def test_files_that_are_none_told_with_the_way_out(self):
        private = self.file(pcap([]), "private")
        os.chmod(private, 0o600)
        packed = self.file(b"\x1f\x8b\x08" + bytes(20), "x.gz")
        for arguments, before, status, words in (
                (["/nonexistent.pcap"], [], 1, "cannot open /nonexistent.pcap"), ([str(self.folder)], [], 1, "is a directory"),
                ([self.file(b"hello world")], [], 1, 'begins with 68 65 6c 6c 6f 20 77 6f 72 6c 64 "hello world"'),
                ([packed], [], 1, f"gzip -dc {packed} | knp replay -"), ([private], NOBODY, 3, "Permission denied"),
                ([], [], 2, "FILE"), ([private, "--set", "flows.idle_timeot=1s"], [], 2, "did you mean flows.idle_timeout?"),
                ([private, "--set", "detectors.scan.vertical.ports=70000"], [], 2, "must be 0 to 65535")):
            with self.subTest(words=words):
                done = self.run_knp(*arguments, before=before)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(words, done.stderr.decode())
                self.assertEqual(done.stdout, b"")

    # ---- the run -----------------------------------------------------------------------------------------------------

    def test_threshold_alert_opened_at_its_packet_and_closed(self):
        scan = [ethernet(captures.tcp(CLIENT, SERVER, 50000, 1 + port, 2)) for port in range(100)]
        lines, _ = self.replay(pcap(scan), "--set", "detectors.scan.vertical.ports=20")
        alerts = [line for line in lines if line["kind"] == "alert"]
        self.assertEqual(len({alert["id"] for alert in alerts}), 1)
        self.assertEqual((alerts[0]["state"], alerts[-1]["state"]), ("opened", "closed"))
        self.assertEqual(alerts[0]["type"], "scan.vertical")
        self.assertEqual(alerts[0]["time"], "2023-11-14T22:13:20.019000000Z")  # its twentieth port
        self.assertLessEqual(alerts[0]["packets_seen"], 21 + 64)
        self.assertEqual(lines[-1]["alerts"], 1)
        quiet, _ = self.replay(pcap(scan))
        self.assertEqual(quiet[-1]["alerts"], 0)

    def test_interval_statistics_in_capture_time(self):
        frames = [ethernet(udp(CLIENT, SERVER, 1, 2))] * 50
        lines, _ = self.replay(pcap(frames, step_ns=100_000_000), "--interval", "1s", "--live-flows")
        times = [line["time"] for line in lines if line["kind"] == "stats"]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(times), 5)  # after 1, 2, 3, 4 s, and the last
        self.assertIn(False, [flow["final"] for flow in self.flows(lines)])

    def test_interrupted_summary_says_so(self):
        content = pcap([ethernet(p) for p, _ in captures.conversation()])
        child = subprocess.Popen([self.knp, "replay", "-", "-o", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.addCleanup(child.stderr.close)
        child.stdin.write(content)
        child.stdin.flush()
        time.sleep(2)
        child.send_signal(signal.SIGINT)
        out = child.stdout.read()
        self.assertEqual(child.wait(timeout=PATIENCE), 0)
        child.stdin.close()
        child.stdout.close()
        lines = [json.loads(line) for line in out.splitlines()]
        self.assert_exact(lines)
        self.assertIs(lines[-1]["replay"]["interrupted"], True)
        self.assertEqual(lines[-1]["packets"], 8)

    def test_reader_gone_no_failure(self):
        frames = [ethernet(udp(CLIENT, SERVER, 1 + i % 60000, 2)) for i in range(200_000)]
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {self.knp} replay {self.file(pcap(frames))} -o json | head -n 1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_table_and_progress_on_a_terminal(self):
        path = self.file(pcap([ethernet(p) for p, _ in captures.conversation()] * 20_000))
        ours, theirs = pty.openpty()
        done = subprocess.run([self.knp, "replay", path], stdout=subprocess.PIPE, stderr=theirs, timeout=PATIENCE,
                              env=os.environ | {"TERM": "xterm"})
        os.close(theirs)
        drawn = os.read(ours, 65536).decode(errors="replace")
        os.close(ours)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(drawn, r"\d+%.*frames")
        self.assertTrue(drawn.endswith("\x1b[K"), "the line is left empty")
        for words in ("LARGEST FLOWS", "10.0.0.1:40000", "PROTOCOLS", "LEDGER", "every packet is accounted for", "160,000"):
            self.assertIn(words, done.stdout.decode())
        silent = self.run_knp(path)
        self.assertEqual(silent.stderr, b"")


if __name__ == "__main__":
    unittest.main()
