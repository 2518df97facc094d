#!/usr/bin/env python3
"""How often the classifier is right: puts captures through it and compares with what newer nDPI says of each flow.

usage: app_accuracy.py CAPTURES RESULTS PROGRAM [--details FILE]

CAPTURES  folder of NAME.pcap, NAME.pcapng: tests/cfgs/default/pcap of nDPI's repository
RESULTS   folder of NAME.out: tests/cfgs/default/result of the same
PROGRAM   build/bin/knp_classify_samples

The truth is nDPI's of that repository where it says that it inspected the content (Confidence: DPI).
"""
import argparse
import collections
import ipaddress
import pathlib
import re
import subprocess
import sys

import captures

LINE = re.compile(r"^\t\d+\t(TCP|UDP) (\S+):(\d+) <?->? (\S+):(\d+) (?:\[VLAN: \d+\])?\[proto: ([\d.]+)/([^\]]+)\]"
                  r".*?\[Confidence: ([^\]]+)\]")
# What newer nDPI calls otherwise: its name, that of 4.2.
RENAMED = {"DCERPC": "DCE_RPC", "FacebookMessenger": "Messenger", "RESP": "Redis", "S7Comm": "s7comm", "Sina": "Sina(Weibo)",
           "SinaWeibo": "Sina(Weibo)", "Z3950": "Z39.50"}
# What is true of a protocol or application, too, but says less: 4.2 has no name for the former.
BROADER = {"HTTP_Proxy": {"HTTP"}, "HTTP_Connect": {"HTTP"}, "SOAP": {"HTTP"}, "Ookla": {"HTTP"}, "MapleStory": {"HTTP"},
           "IMAPS": {"TLS", "IMAP"}, "POPS": {"TLS", "POP3"}, "SMTPS": {"TLS", "SMTP"}, "FTPS": {"TLS", "FTP_CONTROL"},
           # One conversation of WebRTC is STUN, then DTLS, then SRTP.
           "SRTP": {"STUN", "RTP", "DTLS"}, "DTLS": {"STUN"},
           "ApplePush": {"TLS"}, "TruPhone": {"Jabber"},
           "GoogleMeet": {"Google"}, "GoogleChat": {"Google"}, "FbookReelStory": {"Facebook"}}
# Lower protocols whose sub-protocol we leave out on purpose: it is what a message is about, not what uses it.
NO_APPLICATION = {"DNS", "MDNS", "LLMNR", "NetBIOS"}


def truths(path):
    """{key: (protocol, application) or None if two flows of that key differ}, of inspected flows; and all keys."""
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        proto, a, aport, b, bport, _, name, confidence = match.groups()
        try:
            ends = [(ipaddress.ip_address(ip.strip("[]")).packed, int(port)) for ip, port in ((a, aport), (b, bport))]
        except ValueError:  # a damaged capture's
            continue
        key = (6 if proto == "TCP" else 17, *sorted(ends))
        lower, _, upper = name.partition(".")
        lower, upper = RENAMED.get(lower, lower), RENAMED.get(upper, upper)
        if lower == upper or lower in NO_APPLICATION:
            upper = ""
        truth = (lower, upper) if confidence == "DPI" else ("", confidence + ": " + name)
        found[key] = truth if found.get(key, truth) == truth else None
    return found


def holds(truth, named):
    """Whether the protocol and the application that were named are true."""
    if named in ((truth[1], ""), (truth[0], truth[0])):
        return True, True
    return [name == true or name in BROADER.get(true, ()) for name, true in zip(named, truth)]


def judge(truth, named):
    if not named[0]:
        return "unknown"
    if named == truth:
        return "right"
    protocol, application = holds(truth, named)
    if protocol and (application or not named[1]):
        return "less specific"
    if named[0] == truth[0] and not truth[1]:
        return "more specific"
    return "wrong"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=pathlib.Path)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("program")
    parser.add_argument("--details", type=argparse.FileType("w"))
    options = parser.parse_args()
    program = subprocess.Popen([options.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    total, by_protocol, mistakes, untold = collections.Counter(), collections.defaultdict(collections.Counter), {}, {}
    used, no_truth, words = 0, collections.Counter(), collections.Counter()
    for capture in sorted(options.captures.iterdir()):
        result = options.results / (capture.name + ".out")
        if not result.exists():
            continue
        flows, taken = captures.samples(capture)
        program.stdin.write(b"".join(taken) + b"\xff" * 68)
        program.stdin.flush()
        told = {}
        while (line := program.stdout.readline()) not in (b"\n", b""):
            fields = line.decode().rstrip("\n").split("\t")
            told[int(fields[0])] = fields[1:]
        truth_of = truths(result)
        used += 1
        for key, flow in flows.items():
            if flow.number not in told:
                continue
            truth, fields = truth_of.get(key), told[flow.number]
            named = (fields[0], fields[1])
            if truth is None or not truth[0]:
                no_truth["named" if named[0] else "unknown"] += 1
                if named[0]:
                    untold.setdefault((named, truth and truth[1]), []).append(capture.name)
                verdict = "no truth"
            else:
                verdict = judge(truth, named)
                total[verdict] += 1
                by_protocol[truth[0]][verdict] += 1
                for what, word, true in zip(("protocol", "application"), named, holds(truth, named)):
                    words[what, true] += word != ""
                if verdict in ("wrong", "more specific"):
                    mistakes.setdefault((verdict, truth, named), []).append(capture.name)
            if options.details:
                print(capture.name, key[0], key[1][1], key[2][1], verdict, truth, *fields, sep="\t", file=options.details)
    program.stdin.close()
    program.wait()
    report(used, total, words, by_protocol, mistakes, untold, no_truth)


def report(used, total, words, by_protocol, mistakes, untold, no_truth):
    flows = sum(total.values())
    named = flows - total["unknown"]
    print(f"{used} captures, {flows} flows with a known truth, {named} named ({100 * named / flows:.1f} %)")
    for verdict in ("right", "less specific", "more specific", "wrong"):
        print(f"  {verdict:14} {total[verdict]:6}  {100 * total[verdict] / named:6.2f} % of the named")
    print(f"  {'unknown':14} {total['unknown']:6}  {100 * total['unknown'] / flows:6.2f} % of all")
    for what in ("protocol", "application"):
        told = words[what, True] + words[what, False]
        print(f"names of a{'n' if what[0] == 'a' else ''} {what} given: {told}, true {words[what, True]} "
              f"({100 * words[what, True] / told:.2f} %)")
    print(f"flows without a known truth: {no_truth['named']} named, {no_truth['unknown']} unknown")
    print("\nMistakes (truth, named, flows, captures):")
    for (verdict, truth, name), where in sorted(mistakes.items(), key=lambda item: -len(item[1])):
        print(f"  {verdict:14} {'.'.join(filter(None, truth)):30} {'.'.join(filter(None, name)):30} {len(where):4} "
              f"{' '.join(sorted(set(where))[:3])}")
    print("\nNamed, where the truth was not told by content (named, truth, flows, captures):")
    for (name, truth), where in sorted(untold.items(), key=lambda item: -len(item[1])):
        print(f"  {'.'.join(filter(None, name)):30} {truth!s:40} {len(where):4} {' '.join(sorted(set(where))[:3])}")
    print("\nBy protocol (flows, right, less or more specific, wrong, unknown):")
    for protocol, verdicts in sorted(by_protocol.items(), key=lambda item: -sum(item[1].values())):
        partly = verdicts["less specific"] + verdicts["more specific"]
        print(f"  {protocol:24} {sum(verdicts.values()):5} {verdicts['right']:5} {partly:5} {verdicts['wrong']:5} "
              f"{verdicts['unknown']:5}")


if __name__ == "__main__":
    sys.exit(main())
