#!/usr/bin/env python3
"""Real attackers and honest clients against `knp monitor`, live: the quick exercises of the detection laboratory, a slow scan
inside a flood, and the same attack as one alert. Needs root; tools that are missing are skipped, and said so.
"""
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import attack_lab  # noqa: E402
from monitor_e2e_test import Monitor  # noqa: E402
from wire import end_on_sigterm  # noqa: E402


class DetectionTest(unittest.TestCase):
    def setUp(self):
        self.laboratory = attack_lab.Laboratory()
        self.addCleanup(self.laboratory.close)

    def balanced(self, lines):
        total = next(line for line in lines if line["kind"] == "summary")["ledger"]["total"]
        kept = total["in_flows"]["packets"] + sum(row["packets"] for part in ("remainder", "lost") for row in total[part].values())
        self.assertEqual((total["seen"]["packets"], 0), (kept, total["in_flight"]["packets"]))

    def test_slow_scan_inside_a_flood_is_found_and_both_are_told_apart(self):
        wire, mac = self.laboratory.wire, self.laboratory.mac
        monitor = Monitor(wire)
        flood = wire.start(wire.far, sys.executable, str(attack_lab.HERE / "attacks.py"), "syn", "far0", mac, attack_lab.NEAR,
                           "--rate", "60000", "--seconds", "12")
        time.sleep(1)
        # Forty closed ports, four a second, of another address.
        scan = wire.start(wire.far, sys.executable, str(attack_lab.HERE / "lab_server.py"), "probes", attack_lab.NEAR, "1000", "10")
        scan.wait(30)
        flood.wait(30)
        status, lines, err = monitor.end()
        self.assertEqual(status, 0, err)
        self.balanced(lines)
        opened = [line for line in lines if line["kind"] == "alert" and line["state"] == "opened"]
        text = json.dumps([[a["type"], a["summary"]] for a in opened], indent=1)
        self.assertEqual([a["type"] for a in opened if a["type"].startswith("ddos.")], ["ddos.syn"], text)
        scans = [a for a in opened if a["type"].startswith("scan.")]
        self.assertEqual([a["source"]["ip"] for a in scans], ["10.201.0.2"], text)
        self.assertNotIn("source", next(a for a in opened if a["type"] == "ddos.syn"), text)

    def test_alert_is_explained(self):
        exercise = next(e for e in attack_lab.EXERCISES if e.name == "SYN 300/s")
        lines, _ = self.laboratory.do(exercise)
        self.balanced(lines)
        alerts = [line for line in lines if line["kind"] == "alert" and line["type"] == "ddos.syn"]
        self.assertEqual([a["state"] for a in alerts if a["state"] != "updated"], ["opened", "closed"])
        self.assertEqual(len({a["id"] for a in alerts}), 1)
        last = alerts[-1]
        self.assertEqual(last["target"]["ip"], attack_lab.NEAR)
        self.assertGreaterEqual(last["rule"]["observed"], last["rule"]["threshold"])
        evidence = last["evidence"]
        self.assertEqual(evidence["ports"], [80])
        self.assertGreater(evidence["counts"]["sources"], 1000)
        self.assertTrue(evidence["samples"] and evidence["series"] and evidence["facts"] and last["summary"])


def exercise_test(exercise):
    def test(self):
        if not attack_lab.Laboratory.can(exercise):
            self.skipTest(f"{attack_lab.Laboratory.tool(exercise)} is not here")
        lines, began = self.laboratory.do(exercise)
        wrong, _, opened = attack_lab.judge(exercise, lines, began)
        self.assertEqual(wrong, "", json.dumps(opened, indent=1)[:4000])
        self.balanced(lines)
    return test


for number, each in enumerate(attack_lab.EXERCISES):
    if each.quick:
        setattr(DetectionTest, f"test_exercise_{number:02}_{''.join(c if c.isalnum() else '_' for c in each.name)}",
                exercise_test(each))

if __name__ == "__main__":
    end_on_sigterm()
    unittest.main(verbosity=2)
