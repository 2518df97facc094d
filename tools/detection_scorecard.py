#!/usr/bin/env python3
"""Runs every exercise of the detection laboratory, and prints a row each; the last line is the score.

    tools/detection_scorecard.py [--only REGEX] [--json FILE]
"""
import argparse
import json
import pathlib
import re
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import attack_lab  # noqa: E402
from wire import end_on_sigterm  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=".")
    parser.add_argument("--json")
    options = parser.parse_args()
    end_on_sigterm()
    rows = []
    for exercise in attack_lab.EXERCISES:
        if not re.search(options.only, exercise.name):
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
        packets = next(line["packets"] for line in lines if line["kind"] == "summary")
        rows.append({"name": exercise.name, "attack": exercise.must is not None, "wrong": wrong, "after_s": after,
                     "packets": packets, "raised": sorted(a["type"] for a in opened)})
        text = wrong or "ok"
        print(f"{exercise.name:34} {'' if after is None else f'{after:.2f} s':>8} {packets:>9} packets  "
              f"{', '.join(rows[-1]['raised']) or '-':40} {text}", flush=True)
    times = [row["after_s"] for row in rows if row["after_s"] is not None]
    good = sum(not row["wrong"] for row in rows)
    print(f"{good} of {len(rows)} exercises hold; time to detection: median {statistics.median(times or [0]):.2f} s, "
          f"worst {max(times or [0]):.2f} s; honest ones with an alarm "
          f"{sum(bool(row['wrong']) for row in rows if not row['attack'])} of {sum(not row['attack'] for row in rows)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(good != len(rows) or not rows)


if __name__ == "__main__":
    main()
