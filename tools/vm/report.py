"""The tables: features and test suites of each kernel, on the terminal and as docs/kernels.md. Fed by main.py."""

import dataclasses
import datetime
import textwrap

import jobs


@dataclasses.dataclass
class Column:
    name: str  # uname -r, or what the user called a kernel that did not come so far
    doctor: dict | None
    suites: dict
    seconds: float = 0.0
    trouble: str = ""  # the machine as a whole: it hung, the kernel crashed

    @property
    def ok(self):
        if self.trouble or self.doctor is None or not self.doctor["can_run"]:
            return False
        ran = [self.suites.get(name) for name in jobs.SUITES]
        return all(suite and not suite.failed and not suite.trouble for suite in ran)


def _features(columns):
    """Feature rows in the doctor's order, of all kernels."""
    rows = {}
    for column in columns:
        for feature in (column.doctor or {}).get("features", []):
            rows.setdefault(feature["name"], feature)
    return rows


def _answer(column, name):
    for feature in (column.doctor or {}).get("features", []):
        if feature["name"] == name:
            return feature["available"] + (", off" if feature.get("disabled") else "")
    return "?"


def _verdict(column, name):
    suite = column.suites.get(name)
    if suite is None:
        return "did not run"
    parts = [f"{suite.passed} passed"]
    if suite.failed or suite.trouble:
        parts.append(f"{max(len(suite.failed), 1)} FAILED")
    if suite.skipped:
        parts.append(f"{len(suite.skipped)} skipped")
    return ", ".join(parts)


def _rows(columns):
    yield ["", *[column.name for column in columns]]
    yield ["knp can run", *[_can_run(column) for column in columns]]
    for name in _features(columns):
        yield [name, *[_answer(column, name) for column in columns]]
    for name in jobs.SUITES:
        yield [f"{name} tests", *[_verdict(column, name) for column in columns]]
    yield ["took", *[f"{column.seconds:.0f} s" for column in columns]]


def _can_run(column):
    return "?" if column.doctor is None else "yes" if column.doctor["can_run"] else "NO"


def terminal(columns):
    rows = list(_rows(columns))
    wrapped = [[textwrap.wrap(cell, 22) or [""] for cell in row] for row in rows]
    widths = [max(len(line) for row in wrapped for line in row[i]) for i in range(len(rows[0]))]
    lines = []
    for row in wrapped:
        for i in range(max(len(cell) for cell in row)):
            lines.append("  ".join((cell[i] if i < len(cell) else "").ljust(width)
                                   for cell, width in zip(row, widths)).rstrip())
    for column in columns:
        lines += [f"{column.name}: {text}" for text in _troubles(column)]
    return "\n".join(lines)


def _troubles(column):
    if column.trouble:
        yield column.trouble
    if column.doctor is None:
        yield "`knp doctor` said nothing"
    yield from (f"{name}: did not run" for name in jobs.SUITES if name not in column.suites)
    for name, suite in column.suites.items():
        yield from (f"{name}: FAILED {case}" for case in suite.failed)
        if suite.trouble:
            yield f"{name}: {suite.trouble}"


# ---- docs/kernels.md -----------------------------------------------------------------------------------------------


def markdown(columns, how):
    good = [column for column in columns if column.ok]
    if len(good) == len(columns):
        headline = f"KubeNetProbe runs, and its BPF and network tests pass, on all {len(columns)} kernels tried here."
    else:
        headline = f"KubeNetProbe's BPF and network tests pass on {len(good)} of the {len(columns)} kernels tried here."
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    parts = [
        "# Kernels", headline,
        f"Written by `./dev vm all` on {today}: {how} The features are\n"
        "what `knp doctor` found by trying, not what the version would suggest.",
        "## What each kernel has", _feature_table(columns), _without(columns),
        "## Tests", _test_table(columns), _skips(columns)
    ]
    failures = [f"- {column.name}: {text}" for column in columns for text in _troubles(column)]
    if failures:
        parts += ["## What failed", "\n".join(failures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows):
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    head, *body = rows
    return "\n".join("|" + "|".join(f" {cell} " for cell in row) + "|" for row in [head, ["--"] * len(head), *body])


def _feature_table(columns):
    features = _features(columns)
    rows = [["feature", "upstream since", *[column.name for column in columns]]]
    rows += [[name, feature["since"], *[_answer(column, name) for column in columns]]
             for name, feature in features.items()]
    return _table(rows)


def _without(columns):
    missing = [[name, feature["without_it"]] for name, feature in _features(columns).items()
               if any(_answer(column, name) != "yes" for column in columns)]
    return "What is done where one is missing:\n\n" + _table([["without", "instead"], *missing]) if missing else ""


def _test_table(columns):
    rows = [["suite", *[column.name for column in columns]]]
    rows += [[f"`tests/{name}`", *[_verdict(column, name) for column in columns]] for name in jobs.SUITES]
    rows.append(["boot and all suites", *[f"{column.seconds:.0f} s" for column in columns]])
    return _table(rows)


def _skips(columns):
    reasons = {}
    for column in columns:
        for name, suite in column.suites.items():
            for _, reason in suite.skipped:
                counts = reasons.setdefault(f"{name}: {reason or 'no reason given'}", {})
                counts[column.name] = counts.get(column.name, 0) + 1
    if not reasons:
        return ""
    lines = [f"- {reason} ({', '.join(f'{count} on {name}' for name, count in counts.items())})"
             for reason, counts in reasons.items()]
    return "Cases are skipped only where a probe says that the kernel lacks what they are about:\n\n" + "\n".join(lines)
