#!/usr/bin/env python3
"""Replays captures with knp and holds what it counted against tshark: frames and bytes of the file, packets and bytes of
each TCP and UDP conversation, and the number of conversations of each pair of endpoints.

usage: compare_captures.py [--knp build/bin/knp] [--only REGEX] [--jobs N] [-v] FOLDER_OR_FILE...

Looks for .pcap, .pcapng, .cap and .trace, also packed by gzip or zstd. Prints a line for each difference and a table of
those that are explained, by reason. Exit status 1: a crash, a frame unaccounted for, or a difference without explanation.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CAPTURE = re.compile(r"\.(pcap|pcapng|cap|trace)(\.gz|\.zst)?$")
UNPACK = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-dcq"]}
FIELDS = ["frame.len", "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
          "tcp.stream", "tcp.flags.syn", "udp.srcport", "udp.dstport", "vlan.id"]
# Each packet as it is: no reassembly, every stream by its own frames.
PREFERENCES = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
               "tcp.analyze_sequence_numbers:FALSE", "tcp.relative_sequence_numbers:FALSE"]
# What may stand before the IP header for knp to find it, in tshark's names.
BELOW_IP = {"eth", "ethertype", "vlan", "sll", "raw", "null", "ppp", "chdlc", "ieee8021ad", "frame", "loop"}
KNOWN_LINKS = {"eth", "sll", "raw", "null", "ppp", "chdlc", "ip", "ipv6", "data", "loop", "_ws.malformed"}
IPV6_EXTENSIONS = {"ipv6.hopopts", "ipv6.routing", "ipv6.dstopts", "ipv6.fraghdr", "ah", "ipv6.mip6", "mipv6", "ipv6.hip", "shim6"}
HEADER_REASONS = ("l2_truncated", "vlan_depth", "ipv4_truncated", "ipv4_header", "ipv4_length", "ipv6_truncated",
                  "ipv6_header", "ipv6_length", "ipv6_extension", "ipv6_depth", "l4_truncated", "tcp_header", "snaplen")

MOST_LENGTH = 2**31 - 1  # tshark shows no longer frames
LONGEST_IDLE = "366d"  # the most that knp takes


class Failure(Exception):
    """What ends the comparison of a capture: a crash, a refusal."""


def run(command, limit, **options):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit, **options)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} took more than {limit} s")
    return done


# ---- tshark ----------------------------------------------------------------------------------------------------------

def first(value):
    return value.split(",", 1)[0]


def place_of(layers):
    """Where knp should put a frame: "tcp", "udp", "ip" (another protocol), or why it is no IP packet to it. "unread": tshark
    stops at an extension header."""
    if not layers or layers[0] not in KNOWN_LINKS:
        return "link_type"
    if "ip" not in layers and "ipv6" not in layers:
        return "no_ip"
    for i, layer in enumerate(layers):
        if layer in ("ip", "ipv6"):
            break
        if layer not in BELOW_IP:
            return f"below_ip:{layer}"
    if i and layers[i - 1] == "ppp" and layers[0] == "eth":
        return "below_ip:ppp"
    for layer in layers[i + 1:]:
        if layer not in IPV6_EXTENSIONS:
            return layer if layer in ("tcp", "udp") else "ip"
    return "unread" if layers[-1] in IPV6_EXTENSIONS - {"ipv6.fraghdr"} else "ip"


class Truth:
    """What tshark says of a capture."""

    def __init__(self):
        self.frames = self.bytes = 0
        self.places = collections.Counter()
        self.flows = {}  # (protocol, endpoint, endpoint) -> [packets, bytes, streams, vlans, streams without SYN]
        self.damaged = False
        self.huge = 0

    def add(self, row):
        length, layers = int(row["frame.len"]), row["frame.protocols"].split(":")
        self.frames += 1
        self.bytes += length
        self.huge += length == MOST_LENGTH
        place = place_of(layers)
        self.places[place] += 1
        if place not in ("tcp", "udp"):
            return
        outer = "ip" if "ip" in layers and ("ipv6" not in layers or layers.index("ip") < layers.index("ipv6")) else "ipv6"
        ports = [first(row[f"{place}.{side}port"]) for side in ("src", "dst")]
        ends = [first(row[f"{outer}.{side}"]) for side in ("src", "dst")]
        if not all(ports) or not all(ends):
            self.places[place] -= 1
            self.places["no_ports"] += 1
            return
        key = (place.upper(), *sorted(f"{ip} {port}" for ip, port in zip(ends, ports)))
        flow = self.flows.setdefault(key, [0, 0, set(), set(), 0])
        flow[0] += 1
        flow[1] += length
        if place == "tcp":
            # A stream that is not the first of its ends and begins without a SYN is a dissector's own idea.
            stream = first(row["tcp.stream"])
            flow[4] += bool(flow[2]) and stream not in flow[2] and first(row["tcp.flags.syn"]) in ("0", "False")
            flow[2].add(stream)
        else:
            flow[2].add("")
        flow[3].add(first(row["vlan.id"]))


def ask_tshark(path, limit):
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]
    for preference in PREFERENCES:
        command += ["-o", preference]
    for field in FIELDS:
        command += ["-e", field]
    done = run(command, limit)
    truth = Truth()
    for line in done.stdout.decode(errors="replace").splitlines():
        values = line.split("\t")
        if len(values) == len(FIELDS):
            truth.add(dict(zip(FIELDS, values)))
    complaint = done.stderr.decode(errors="replace")
    if done.returncode and "cut short" not in complaint and not truth.frames:
        raise Failure("tshark cannot read it: " + complaint.strip().splitlines()[-1][-160:])
    truth.damaged = done.returncode != 0
    return truth


# ---- knp -------------------------------------------------------------------------------------------------------------

def ask_knp(knp, path, limit):
    # Long timeouts: a conversation ends with the capture, as tshark's does.
    command = [knp, "replay", path, "-o", "json", "--set", f"flows.idle_timeout={LONGEST_IDLE}", "--set",
               f"flows.closed_timeout={LONGEST_IDLE}", "--set", "flows.capacity=1000000"]
    done = run(command, limit)
    complaint = done.stderr.decode(errors="replace").strip()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    damaged = done.returncode == 1 and "is damaged at offset" in complaint
    if damaged and not lines:  # at its first frame
        nothing = {"packets": 0, "bytes": 0}
        total = {"seen": nothing, "in_flows": nothing, "in_flight": nothing, "remainder": {}, "lost": {}}
        return {}, {**nothing, "ledger": {"total": total}}, damaged
    if done.returncode and not damaged:
        raise Failure(f"knp: exit {done.returncode}: {complaint[-240:]}")
    return {x["id"]: x for x in lines if x["kind"] == "flow"}, lines[-1], damaged


def check_ledger(summary, flows):
    """Problems of the ledger itself."""
    ledger = summary["ledger"]["total"]
    for unit in ("packets", "bytes"):
        rest = sum(x[unit] for part in ("remainder", "lost") for x in ledger[part].values())
        if ledger["in_flight"][unit] or ledger["seen"][unit] != ledger["in_flows"][unit] + rest:
            yield f"UNACCOUNTED: {unit} {json.dumps(ledger)}"
        told = sum(seen[unit] for flow in flows.values() for seen in flow["observations"])
        if told != ledger["in_flows"][unit]:
            yield f"UNACCOUNTED: flow records carry {told} {unit}, the ledger says {ledger['in_flows'][unit]}"


def conversations(flows):
    """As Truth.flows: by endpoints, of what was observed (inner flows of tunnels are not)."""
    tallies = {}
    for flow in flows.values():
        if flow["protocol"] not in ("TCP", "UDP") or not flow["observations"]:
            continue
        ends = [flow[side] for side in ("source", "destination")]
        key = (flow["protocol"], *sorted(f"{end['ip']} {end.get('port', 0)}" for end in ends))
        tally = tallies.setdefault(key, [0, 0, 0, False])
        tally[0] += sum(seen["packets"] for seen in flow["observations"])
        tally[1] += sum(seen["bytes"] for seen in flow["observations"])
        tally[2] += 1
        tally[3] |= flow["state"] == "timed_out"
    return tallies


# ---- both ------------------------------------------------------------------------------------------------------------

class Comparison:
    def __init__(self, name):
        self.name = name
        self.problems, self.explained = [], collections.Counter()
        self.frames = self.flows = 0

    def compare(self, truth, flows, summary, damaged):
        self.problems += check_ledger(summary, flows)
        self.frames, self.flows = truth.frames, len(truth.flows)
        if damaged and truth.damaged and truth.frames - summary["packets"] <= 1:
            self.explained["files that are damaged, as both tell"] += 1  # tshark may show a part of the record
            return
        if damaged:
            self.problems.append("knp calls the file damaged, tshark does not")
        if truth.huge:
            self.explained["files with lengths beyond what tshark can tell"] += 1
        elif (summary["packets"], summary["bytes"]) != (truth.frames, truth.bytes):
            self.problems.append(f"file: knp {summary['packets']} frames, {summary['bytes']} bytes; tshark {truth.frames}, "
                                 f"{truth.bytes}")
        remainder = summary["ledger"]["total"]["remainder"]
        refused = sum(remainder.get(reason, {"packets": 0})["packets"] for reason in HEADER_REASONS)
        self.compare_flows(truth, conversations(flows), refused, remainder)
        for place, count in truth.places.items():
            if count and place.startswith("below_ip"):
                self.explained[f"frames with {place[9:]} below IP: in the remainder as no IP"] += 1

    def compare_flows(self, truth, ours, refused, remainder):
        budget = refused  # frames whose headers knp refused may be missing from a conversation, each once
        unread = truth.places["unread"]  # and those that tshark gave up on may be more
        for key in sorted(set(truth.flows) | set(ours)):
            packets, size, streams, vlans, midway = truth.flows.get(key, (0, 0, set(), set(), 0))
            our_packets, our_size, our_count, idle = ours.get(key, (0, 0, 0, False))
            if truth.huge and packets == our_packets:
                size = our_size
            # Later fragments have no ports, for knp 0 and 0; tshark calls them data.
            if our_packets > packets and key[1].endswith(" 0") and key[2].endswith(" 0"):
                self.explained["later fragments, of which tshark does not tell the protocol"] += 1
                continue
            label = f"{key[0]} {key[1]} - {key[2]}"
            if (packets, size) != (our_packets, our_size):
                missing = packets - our_packets
                if 0 < missing <= budget:
                    budget -= missing
                    reasons = ", ".join(sorted(set(remainder) & set(HEADER_REASONS)))
                    self.explained[f"frames with bad or cut headers, in the remainder ({reasons})"] += 1
                elif 0 < -missing <= unread:
                    unread += missing
                    self.explained["packets behind IPv6 extension headers that tshark does not get past"] += 1
                else:
                    self.problems.append(f"{label}: knp {our_packets} packets, {our_size} bytes; tshark {packets}, {size}")
                continue
            if our_count in (len(streams), len(streams) * len(vlans)):
                continue
            if midway and our_count >= len(streams) - midway:
                self.explained["connections that a dissector of tshark's splits midway"] += 1
            elif idle:
                self.explained[f"conversations that were idle for longer than {LONGEST_IDLE}"] += 1
            else:
                self.problems.append(f"{label}: knp {our_count} conversations; tshark {len(streams)}")


def unpacked(path, folder):
    command = UNPACK.get(path.suffix)
    if not command:
        return str(path)
    target = os.path.join(folder, path.stem)
    with open(target, "wb") as file:
        subprocess.run([*command, str(path)], stdout=file, check=True)
    return target


def compare(path, options):
    comparison = Comparison(str(path))
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = unpacked(path, folder)
            comparison.compare(ask_tshark(plain, options.limit), *ask_knp(options.knp, plain, options.limit))
    except Failure as failure:
        comparison.problems.append(str(failure))
    except (subprocess.CalledProcessError, json.JSONDecodeError, KeyError, IndexError) as error:
        comparison.problems.append(f"{type(error).__name__}: {error}")
    return comparison


def captures(paths):
    for path in map(pathlib.Path, paths):
        if path.is_file():
            yield path
        for file in sorted(path.rglob("*")):
            if file.is_file() and CAPTURE.search(file.name):
                yield file


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knp", default="build/bin/knp")
    parser.add_argument("--only", default=".", help="captures whose path matches")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120, help="seconds for each program and capture")
    parser.add_argument("-v", action="store_true", help="a line for each capture that agrees, too")
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    chosen = [path for path in captures(options.paths) if re.search(options.only, str(path))]
    explained, different, frames, flows = collections.Counter(), 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda path: compare(path, options), chosen):
            explained += result.explained
            frames, flows, different = frames + result.frames, flows + result.flows, different + bool(result.problems)
            for problem in result.problems[:8]:
                print(f"{result.name}: {problem}", flush=True)
            if len(result.problems) > 8:
                print(f"{result.name}: … and {len(result.problems) - 8} more", flush=True)
            if options.v and not result.problems:
                print(f"{result.name}: equal{' but for what is explained' if result.explained else ''}", flush=True)
    for reason, count in explained.most_common():
        print(f"explained {count:6}  {reason}")
    print(f"{len(chosen)} captures, {frames} frames, {flows} TCP and UDP conversations: {len(chosen) - different} captures equal "
          f"to tshark, {different} not, {sum(explained.values())} differences explained")
    return 1 if different or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
