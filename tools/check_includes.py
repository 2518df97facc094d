#!/usr/bin/env python3
"""Checks who includes whom: the direction of the layers that ARCHITECTURE.md draws.

Run by `./dev lint` and `./dev test`, from anywhere: prints `file:line: what is wrong` and ends with status 1, or says how
many files are clean. `--self-test` proves on made-up files that each rule can fail.
"""
import argparse
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".c", ".cc", ".cpp"}

# A layer: which of our folders it may include, and which third-party headers. The C and C++ standard libraries, POSIX
# and <linux/...> are open to all but abi and bpf. The longest matching folder decides.
ABSL, FMT, JSON, CLI, LIBBPF, ELF = "absl/", "fmt/", "nlohmann/", "CLI/", "bpf/", "libelf|gelf"
PROMETHEUS = "prometheus/"
NDPI = "ndpi/"
OPENSSL = "openssl/"
CURL, SIMDJSON, YAML, SPDLOG, HTTPLIB = "curl/", "simdjson", "yaml-cpp/", "spdlog/", "httplib"
GRPC = "grpcpp/|google/protobuf/|grpc/"
RE2 = "re2/"
EVERYTHING = ["knp/", "abi/", "bpf/", "src/", "tests/", "bench/", "fuzz/", "proto/"]
LAYERS = {
    "abi": (["abi/"], []),
    "bpf": (["abi/", "bpf/"], [LIBBPF]),
    "include/knp": (["knp/"], [ABSL]),
    "src/base": (["knp/", "src/base/"], [ABSL, FMT]),
    "src/datapath": (["knp/", "abi/", "bpf/lib/", "src/base/", "src/datapath/"], [ABSL, FMT, LIBBPF, ELF]),
    "src/flow": (["knp/", "src/base/", "src/flow/"], [ABSL, FMT]),
    "src/dns": (["knp/", "src/base/", "src/dns/"], [ABSL, FMT]),
    "src/app": (["knp/", "src/base/", "src/app/"], [ABSL, FMT, NDPI]),
    "src/traffic": (["knp/", "src/base/", "src/traffic/"], [ABSL, FMT]),
    "src/replay": (["knp/", "src/base/", "src/datapath/", "src/monitor/", "src/replay/"], [ABSL, FMT]),
    "src/host": (["knp/", "src/base/", "src/datapath/", "src/host/"], [ABSL, FMT]),
    "src/identity": (["knp/", "src/base/", "src/identity/"], [ABSL, FMT, CURL, SIMDJSON, YAML]),
    "src/agent": (["knp/", "src/base/", "src/identity/", "src/export/", "src/cli/", "src/agent/", "proto/"],
                  [ABSL, FMT, JSON, CLI, YAML, SPDLOG, HTTPLIB, PROMETHEUS, GRPC]),
    # {own}: the detector's or sink's own folder; {shared}: what lies beside these folders, the interface and registry.
    "src/detect/": (["knp/", "src/base/", "{own}", "{shared}"], [ABSL, FMT]),
    "src/detect": (["knp/", "src/base/", "src/detect/"], [ABSL, FMT]),
    "src/export/": (["knp/", "src/base/", "{own}", "{shared}", "proto/"], [ABSL, FMT, JSON, PROMETHEUS, OPENSSL, GRPC, RE2]),
    "src/export": (["knp/", "src/base/", "src/export/"], [ABSL, FMT, JSON]),
    "src/monitor": (["knp/", "src/base/", "src/datapath/", "src/flow/", "src/dns/", "src/app/", "src/traffic/",
                     "src/host/", "src/identity/", "src/detect/", "src/export/", "src/monitor/"], [ABSL, FMT]),
    "src/cli": (["knp/", "src/base/", "src/export/", "src/cli/", "proto/"], [ABSL, FMT, JSON, CLI, GRPC]),
    "apps": (["knp/", "src/cli/", "src/agent/"], [ABSL, FMT, CLI]),
    "examples": (["knp/", "abi/", "bpf/", "examples/"], [ABSL, LIBBPF]),
    "tests": (EVERYTHING, None),
    "bench": (EVERYTHING, None),
    "fuzz": (EVERYTHING, None),
}
KERNEL_ONLY = {"abi": ["linux/", "asm/"], "bpf": ["linux/", "asm/", "bpf/"]}
# What bpf/lib needs when it is compiled for the host.
HOST_SIDE = {"bpf/lib/cursor.h": ["arpa/inet.h", "string.h"]}
THIRD_PARTY = [ABSL, FMT, JSON, CLI, LIBBPF, ELF, OPENSSL, NDPI, CURL, SIMDJSON, YAML, SPDLOG, HTTPLIB, GRPC, RE2, "gtest/",
               "gmock/", "boost/"]


def layer_of(path):
    """The layer's name and the folder that stands for {own}."""
    parts = path.split("/")
    if len(parts) >= 4 and "/".join(parts[:2]) in ("src/detect", "src/export"):
        return "/".join(parts[:2]) + "/", "/".join(parts[:3]) + "/"
    for length in (2, 1):
        name = "/".join(parts[:length])
        if len(parts) > length and name in LAYERS:
            return name, name + "/"
    return None, None


def matches(header, pattern):
    return any(header.startswith(p) for p in pattern.split("|"))


def problem(path, style, header, root):
    """Why `path` may not include `header`, or None."""
    layer, own = layer_of(path)
    if layer is None:
        return "belongs to no layer: add its folder to LAYERS in tools/check_includes.py"
    ours, third_party = LAYERS[layer]
    # An example is a project of its own, whose files lie side by side.
    if layer == "examples" and "/" not in header and (root / "examples" / header).is_file():
        return None
    if style == '"' or header.startswith("knp/"):
        if header.startswith("knp/") != (style == "<"):
            return 'public headers are included as <knp/...>, all others as "folder/..."'
        where = root / ("include/" + header if style == "<" else header)
        if header.startswith("proto/") and header.endswith(".pb.h"):  # generated beside the build
            where = root / (header.removesuffix(".pb.h").removesuffix(".grpc") + ".proto")
        if not where.is_file():
            return f'"{header}" is not there; name it from the root of the repository'
        for allowed in ours:
            if allowed == "{shared}":
                if header.startswith(layer) and header.count("/") == layer.count("/"):
                    return None
            elif header.startswith(own if allowed == "{own}" else allowed):
                return None
        return f"{layer.rstrip('/')} may not include {header}"
    if layer in KERNEL_ONLY:
        if any(header.startswith(p) for p in KERNEL_ONLY[layer]) or header in HOST_SIDE.get(path, []):
            return None
        return f"{layer} may include kernel headers only, not <{header}>"
    if third_party is None:
        return None
    for pattern in THIRD_PARTY:
        if matches(header, pattern) and pattern not in third_party:
            return f"{layer.rstrip('/')} may not include <{header}>"
    return None


def check(root):
    """All problems of the tree at `root` as (file, line, text), and the number of files read."""
    problems, files = [], 0
    for folder in ("abi", "bpf", "include", "src", "apps", "examples", "tests", "bench", "fuzz"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in SUFFIXES or not file.is_file():
                continue
            path = file.relative_to(root).as_posix()
            if path.startswith("tests/package/"):  # a project of its own, that sees the installed headers only
                continue
            files += 1
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                found = INCLUDE.match(line)
                if found and (text := problem(path, found[1], found[2], root)):
                    problems.append((path, number, text))
    return problems, files


GOOD = {
    "abi/knp_abi.h": "#include <linux/types.h>",
    "bpf/lib/cursor.h": '#include "abi/knp_abi.h"\n#include <bpf/bpf_helpers.h>\n#include <string.h>',
    "include/knp/types.h": "#include <absl/status/status.h>\n#include <vector>",
    "src/base/clock.h": "#include <fmt/format.h>\n#include <unistd.h>\n#include <knp/types.h>",
    "src/datapath/ring.cc": '#include <bpf/libbpf.h>\n#include "abi/knp_abi.h"\n#include "src/base/clock.h"',
    "src/flow/table.h": '#include "src/base/clock.h"',
    "src/detect/detector.h": "#include <knp/types.h>",
    "src/detect/scan/scan.h": '#include "src/detect/detector.h"',
    "src/detect/flood/flood.h": '#include "src/detect/flood/flood.h"',
    "src/detect/registry.cc": '#include "src/detect/scan/scan.h"',
    "src/monitor/monitor.cc": '#include "src/flow/table.h"\n#include "src/detect/detector.h"',
    "src/cli/knp.cc": "#include <CLI/CLI.hpp>\n#include <nlohmann/json.hpp>",
    "examples/b.h": "#include <linux/types.h>",
    "examples/b.cc": '#include "b.h"\n#include <knp/types.h>',
    "tests/unit/a_test.cc": '#include <gtest/gtest.h>\n#include "bpf/lib/cursor.h"',
}
BAD = [
    ("abi/a.h", "#include <stdint.h>"),
    ("abi/b.h", '#include "bpf/lib/cursor.h"'),
    ("bpf/lib/parse.h", "#include <string.h>"),
    ("bpf/lib/parse.h", '#include "src/base/clock.h"'),
    ("include/knp/a.h", "#include <fmt/format.h>"),
    ("include/knp/a.h", '#include "abi/knp_abi.h"'),
    ("include/knp/a.h", '#include "knp/types.h"'),
    ("src/base/a.h", '#include "src/flow/table.h"'),
    ("src/base/a.h", "#include <bpf/bpf.h>"),
    ("src/datapath/a.h", '#include "src/flow/table.h"'),
    ("src/flow/a.h", "#include <bpf/libbpf.h>"),
    ("src/flow/a.h", '#include "abi/knp_abi.h"'),
    ("src/flow/a.h", '#include "src/datapath/ring.cc"'),
    ("src/flow/a.h", '#include "table.h"'),
    ("src/detect/scan/a.h", '#include "src/detect/flood/flood.h"'),
    ("src/detect/scan/a.h", '#include "src/flow/table.h"'),
    ("src/detect/detector2.h", "#include <nlohmann/json.hpp>"),
    ("src/export/json/a.h", '#include "src/detect/detector.h"'),
    ("src/monitor/a.h", '#include "abi/knp_abi.h"'),
    ("src/monitor/a.h", "#include <bpf/libbpf.h>"),
    ("src/cli/a.h", '#include "src/datapath/ring.cc"'),
    ("src/cli/a.h", '#include "src/monitor/monitor.cc"'),
    ("apps/knp/main.cc", '#include "src/monitor/monitor.cc"'),
    ("examples/a.cc", '#include "src/base/clock.h"'),
    ("examples/a.cc", '#include "../src/base/clock.h"'),
    ("src/flow/a.h", "#include <ndpi/ndpi_api.h>"),
    ("src/newcomer/a.h", "#include <vector>"),
]


def self_test():
    def run(extra):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in {**GOOD, **extra}.items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text + "\n", encoding="utf-8")
            return check(root)[0]

    failures = [f"clean files are refused: {p}" for p in run({})]
    for path, text in BAD:
        found = run({path: text})
        if [p for p, _, _ in found] != [path]:
            failures.append(f"{path} with {text}: expected one problem there, got {found}")
    for failure in failures:
        print(f"check_includes self-test: {failure}", file=sys.stderr)
    if not failures:
        print(f"check_includes self-test: {len(BAD)} violations found as they should be")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true", help="check the rules themselves on made-up files")
    if parser.parse_args().self_test:
        return self_test()
    problems, files = check(pathlib.Path(__file__).resolve().parent.parent)
    for path, line, text in problems:
        print(f"{path}:{line}: {text}", file=sys.stderr)
    if not files:
        print("check_includes: no source files found", file=sys.stderr)
        return 1
    print(f"check_includes: {files} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
