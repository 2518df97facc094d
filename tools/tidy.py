#!/usr/bin/env python3
"""clang-tidy over every C++ file of a build, several in one go.

Most of clang-tidy's time goes into the headers of others, anew for each file. Files of one folder and the same compiler
flags are therefore read together, as one that includes them; where they do not get along (a name of both their unnamed
namespaces), the batch is halved until they do. A file that is alone is read as it is.

usage: tools/tidy.py BUILD_FOLDER [--jobs N] [--batch N] [PATH_PREFIX...]
Exit status: 0 clean, 1 something found, 2 wrong usage.
"""

import argparse
import concurrent.futures
import itertools
import json
import pathlib
import shlex
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS_OF_ONE_FILE = ("-o", "-MF", "-MT", "-MQ", "-c")


def flags_of(entry):
    """The compiler's flags without those that name the file itself."""
    words = entry.get("arguments") or shlex.split(entry["command"])
    kept, skip = [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in FLAGS_OF_ONE_FILE:
            skip = word != "-c"
        elif word not in (entry["file"], "-MD", "-MMD"):
            kept.append(word)
    return tuple(kept)


def batches(entries, size):
    groups = {}
    for entry in entries:
        groups.setdefault((str(pathlib.Path(entry["file"]).parent), flags_of(entry)), []).append(entry["file"])
    for (_, flags), files in sorted(groups.items()):
        files.sort()
        for start in range(0, len(files), size):
            yield flags, files[start:start + size]


class Run:
    def __init__(self, build):
        self._scratch = build / "tidy"
        self._scratch.mkdir(exist_ok=True)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.found = False

    def check(self, flags, files):
        checks = []
        if len(files) == 1:
            source = pathlib.Path(files[0])
        else:
            checks = ["--checks=-bugprone-suspicious-include"]  # added to those of .clang-tidy
            # Only in files of such names does clang analyse the paths of functions that are included.
            source = self._scratch / f"UnifiedSource{next(self._numbers)}.cc"
            source.write_text("".join(f'#include "{file}"\n' for file in files))
        done = subprocess.run(["clang-tidy", "--quiet", str(source), "--config-file", str(ROOT / ".clang-tidy"), *checks, "--",
                               *flags, "-Wno-unknown-warning-option"], capture_output=True, text=True, check=False)
        if len(files) > 1 and "[clang-diagnostic-error]" in done.stdout:
            middle = len(files) // 2
            self.check(flags, files[:middle])
            self.check(flags, files[middle:])
            return
        with self._lock:
            if done.returncode != 0 or "warning:" in done.stdout:
                self.found = True
                print(done.stdout + done.stderr, flush=True)
            print(f"looked at {len(files)}: {', '.join(str(pathlib.Path(file).relative_to(ROOT)) for file in files)}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("prefixes", nargs="*")
    options = parser.parse_intermixed_args()
    commands = json.loads((options.build / "compile_commands.json").read_text())
    entries, seen = [], set()
    for entry in commands:
        file = entry["file"]
        if not file.endswith(".cc") or file in seen or not pathlib.Path(file).is_relative_to(ROOT):
            continue
        relative = str(pathlib.Path(file).relative_to(ROOT))
        if options.prefixes and not any(relative.startswith(prefix) for prefix in options.prefixes):
            continue
        seen.add(file)
        entries.append(entry)
    if not entries:
        parser.error("no file of this build begins so")
    run = Run(options.build)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda batch: run.check(*batch), batches(entries, options.batch)))
    print(f"{len(seen)} files")
    return 1 if run.found else 0


if __name__ == "__main__":
    sys.exit(main())
