"""What the guest does, as scripts that init.sh sources, and what their output says. Fed by main.py, shown by report.py.
"""

import dataclasses
import json
import pathlib
import re
import shlex

# A suite is one program of the build; `seconds` is what it may take under emulation before it counts as hung.
SUITES = {"bpf": "bin/knp_bpf_tests", "netns": "bin/knp_netns_tests"}

# An emulated machine has about a tenth of a real one's speed: tests make so much less traffic (tests/support/scale.h).
EMULATED_SCALE = "0.1"

LEFT_OUT = pathlib.Path(__file__).with_name("left_out.txt")
LEFT_OUT_BRIEF = pathlib.Path(__file__).with_name("left_out_brief.txt")
BRIEF = {"netns": pathlib.Path(__file__).with_name("brief.txt")}  # suites of which --brief runs a choice

_PRELUDE = """\
token={token}
section() {{
  printf '\\n%s begin %s\\n' "$token" "$1"
  name=$1; shift
  "$@" </dev/null
  printf '\\n%s end %s %s\\n' "$token" "$name" "$?"
}}
export KNP_BUILD_DIR={build_dir} GTEST_COLOR=no
{exports}
cd /tmp
exec >/dev/ttyS1 2>&1
"""


@dataclasses.dataclass
class Suite:
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)  # (name, reason)
    seconds: float = 0.0
    trouble: str = ""  # why the suite as a whole is no success although no case failed


def _prelude(token, build_dir, environment):
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    return _PRELUDE.format(token=token, build_dir=shlex.quote(str(build_dir)), exports=exports)


def _patterns(file):
    lines = [line.strip() for line in file.read_text().splitlines()]
    return ":".join(line for line in lines if line and not line.startswith("#"))


def emulated_filters(brief=False):
    """A --gtest_filter for each suite: all but the cases of left_out.txt, for `brief` what BRIEF names of a suite, or all but
    left_out_brief.txt."""
    without = _patterns(LEFT_OUT)
    if not brief:
        return dict.fromkeys(SUITES, f"-{without}")
    return {name: f"{_patterns(BRIEF[name])}-{without}" if name in BRIEF else f"-{without}:{_patterns(LEFT_OUT_BRIEF)}"
            for name in SUITES}


def suites(token, build_dir, environment, gtest_filters):
    lines = ["section uname uname -r", f"section doctor {build_dir}/bin/knp doctor -o json"]
    for name, program in SUITES.items():
        chosen = f" --gtest_filter={shlex.quote(gtest_filters[name])}" if gtest_filters.get(name) else ""
        lines.append(f"section {name} {build_dir / program}{chosen}")
    return _prelude(token, build_dir, environment) + "\n".join(lines) + "\nsection done true\n"


def command(token, build_dir, environment, words):
    return _prelude(token, build_dir, environment) + f"section command {shlex.join(words)}\nsection done true\n"


def shell(build_dir, environment, rows, columns):
    lines = [
        _prelude("", build_dir, environment),
        f"stty -F /dev/ttyS1 sane -hupcl rows {rows} cols {columns}",
        "echo; echo \"Linux $(uname -r) under QEMU. knp and our tests are in the PATH; ip and tc are /sbin/ip and\"",
        "echo '/sbin/tc, for the shell has smaller ones of its own. exit powers the machine off.'",
        f"export PATH={build_dir}/bin:$PATH", "setsid -c ash </dev/ttyS1 >/dev/ttyS1 2>&1"
    ]
    return "\n".join(lines) + "\n"


def parse_gtest(text, status):
    """Counts cases by what gtest printed, so that a crash loses nothing that ran before it."""
    suite, running, reason_follows = Suite(), None, False
    reason = ""
    for line in text.splitlines():
        if match := re.match(r"\[ RUN      \] (\S+)", line):
            running, reason = match.group(1), ""
        elif re.search(r": Skipped$", line):
            reason_follows = True
        elif reason_follows:
            reason, reason_follows = line.strip(), False
        elif match := re.match(r"\[(       OK |  FAILED  |  SKIPPED )\] ([^ ,]+).*\(\d+ ms\)$", line):
            verdict, name = match.group(1).strip(), match.group(2)
            running = None
            if verdict == "OK":
                suite.passed += 1
            elif verdict == "FAILED":
                suite.failed.append(name)
            else:
                suite.skipped.append((name, reason))
    if running:
        suite.failed.append(running)
        suite.trouble = f"it ended within {running}" + (f" with status {status}" if status is not None else "")
    elif status is None:
        suite.trouble = "it did not end"
    elif status != 0 and not suite.failed:
        suite.trouble = f"its exit status is {status}"
    elif not suite.passed and not suite.failed:
        suite.trouble = "no case passed"
    return suite


def parse_doctor(section):
    if section is None or section.status is None:
        return None
    for line in section.text.splitlines():
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None
