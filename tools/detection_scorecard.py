#!/usr/bin/env python3
"""The scorecard of detection: every exercise of the laboratory, live, and the captures of ../shared/cases, if they are there;
a row each, the score last. With --document it also puts docs/detection.md together, from docs/detection.d and the score.

    tools/detection_scorecard.py [--only REGEX] [--document]
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import attack_lab  # noqa: E402
from monitor_e2e_test import KNP  # noqa: E402
from wire import end_on_sigterm  # noqa: E402

CASES = ROOT.parent / "shared" / "cases"
PARTS = ("alerts", "scans", "floods", "anomalies")


def exercises(only):
    rows = []
    for exercise in attack_lab.EXERCISES:
        if not re.search(only, exercise.name):
            continue
        if not attack_lab.Laboratory.can(exercise):
            print(f"{exercise.name:34} skipped: its tool is not here", flush=True)
            continue
        laboratory = attack_lab.Laboratory()
        try:
            lines, began = laboratory.do(exercise)
        finally:
            laboratory.close()
        wrong, after, opened = attack_lab.judge(exercise, lines, began)
        summary = next(line for line in lines if line["kind"] == "summary")
        rows.append({"name": exercise.name, "attack": exercise.must is not None, "wrong": wrong, "after_s": after,
                     "packets": summary["packets"], "seconds": summary["duration_s"],
                     "raised": sorted(a["type"] for a in opened)})
        print(f"{exercise.name:34} {'' if after is None else f'{after:.2f} s':>8} {summary['packets']:>9} packets  "
              f"{', '.join(rows[-1]['raised']) or '-':40} {wrong or 'ok'}", flush=True)
    return rows


def replay(case, folder):
    """(seconds that it took, lines) of a capture of ../shared/cases."""
    source = CASES / case["pcap"]
    path = pathlib.Path(folder) / "capture"
    with path.open("wb") as out:
        subprocess.run(["gzip" if source.suffix == ".gz" else "zstd", "-dc", source], stdout=out, stderr=subprocess.DEVNULL,
                       check=True)
    start = time.monotonic()
    done = subprocess.run([KNP, "replay", path, "-o", "json"], capture_output=True, text=True, check=True)
    return time.monotonic() - start, [json.loads(line) for line in done.stdout.splitlines()]


def captures():
    """What ../shared/cases/judge says, and how fast each attack was found."""
    if not (CASES / "judge").exists():
        return None
    verdict = subprocess.run([CASES / "judge", "--knp", KNP], capture_output=True, text=True).stdout.splitlines()[-1]
    times, packets, took, quiet, alarms = [], 0, 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for case in json.loads((CASES / "cases.json").read_text()):
            seconds, lines = replay(case, folder)
            opened = [line for line in lines if line["kind"] == "alert" and line["state"] == "opened"]
            summary = next(line for line in lines if line["kind"] == "summary")
            packets, took = packets + summary["packets"], took + seconds
            if case["must"]:
                times += [attack_lab.seconds(a["time"]) - case["t0"] for a in opened
                          if attack_lab.under(a["type"], case["must"])][:1]
            else:
                quiet += summary["duration_s"]
                alarms += sum(not attack_lab.under(a["type"], case["may"]) for a in opened)
    return {"verdict": verdict, "times": times, "packets_per_second": packets / took, "quiet_s": quiet, "alarms": alarms}


def spread(times):
    return f"median {statistics.median(times or [0]):.2f} s, worst {max(times or [0]):.2f} s"


def document(rows, score, cases):
    out = ["# Detection", "",
           "What is told, why, and what is not seen. Written by `./dev bench` from docs/detection.d and from what it measured.", "",
           *[line for part in PARTS for line in (ROOT / "docs" / "detection.d" / f"{part}.md").read_text().splitlines() + [""]],
           "## Scorecard", "",
           f"Live, real tools against `knp monitor` on a veth pair (tests/e2e/attack_lab.py), time from the tool's start: {score}", "",
           "| exercise | raised | after | packets | |", "|--|--|--:|--:|--|"]
    for row in rows:
        after = "" if row["after_s"] is None else f"{row['after_s']:.2f} s"
        out.append(f"| {row['name']} | {', '.join(row['raised']) or 'nothing'} | {after} | {row['packets']:,} | "
                   f"{row['wrong'] or ('found' if row['attack'] else 'quiet')} |")
    if cases:
        hours = cases["quiet_s"] / 3600
        out += ["", f"Captures of ../shared/cases: {cases['verdict']}. Time to detection, in capture time: {spread(cases['times'])}.",
                f"False alarms of the benign ones: {cases['alarms']} in {hours:.2f} hours of capture.",
                f"Replayed at {cases['packets_per_second']:,.0f} packets a second, starting the program and writing JSON included."]
    (ROOT / "docs" / "detection.md").write_text("\n".join(out) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=".")
    parser.add_argument("--document", action="store_true")
    options = parser.parse_args()
    end_on_sigterm()
    rows = exercises(options.only)
    good, honest = sum(not row["wrong"] for row in rows), [row for row in rows if not row["attack"]]
    score = (f"{good} of {len(rows)} exercises hold; time to detection: "
             f"{spread([row['after_s'] for row in rows if row['after_s'] is not None])}; honest ones with an alarm: "
             f"{sum(bool(row['wrong']) for row in honest)} of {len(honest)}.")
    print(score)
    cases = captures()
    if cases:
        print(f"captures: {cases['verdict']}; {spread(cases['times'])}; {cases['packets_per_second']:,.0f} packets/s")
    if options.document:
        document(rows, score, cases)
    sys.exit(good != len(rows) or not rows)


if __name__ == "__main__":
    main()
