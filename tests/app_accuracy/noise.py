#!/usr/bin/env python3
"""How often the classifier names what is nothing: made-up payloads on well-known and other ports, over TCP and UDP.

usage: noise.py PROGRAM [SEED [FLOWS_A_PORT]]

PROGRAM is build/bin/knp_classify_samples. Kinds of payloads: random bytes; zeros; text; a few small numbers; random bytes
behind their own size, as framed protocols have it (big- and little-endian).
"""
import collections
import random
import struct
import subprocess
import sys

WELL_KNOWN = list(range(1, 1200)) + [
    1433, 1521, 1720, 1723, 1883, 1900, 2000, 2049, 3074, 3128, 3306, 3389, 3478, 3702, 4343, 4500, 4569, 5000, 5004, 5060,
    5222, 5228, 5353, 5355, 5432, 5540, 5683, 5900, 5938, 6343, 6379, 6667, 6881, 6969, 7000, 8000, 8009, 8080, 8333, 8443,
    8801, 8888, 9042, 9092, 9100, 9200, 9300, 10000, 10050, 11211, 13000, 17500, 20000, 27015, 27017, 30303, 44818, 47808,
    51413, 51820]
SIZES = [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 100, 128, 200, 300, 500, 512, 1000, 1200, 1400]
KINDS = {
    "random": random.randbytes,
    "zeros": bytes,
    "text": lambda size: bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz ABC0123.:/\r\n", k=size)),
    "small numbers": lambda size: bytes(random.choices([0, 0, 0, 0, 1, 2, 3, 4, 5, 16, 32, 128, 255], k=size)),
    "framed, 16 bits": lambda size: (struct.pack(">H", size) + random.randbytes(size))[:size],
    "framed, 32 bits": lambda size: (struct.pack("<I", size) + random.randbytes(size))[:size],
}


def samples(flow, protocol, port, kind):
    """Four samples, back and forth, as classify_samples.cc reads them."""
    size, sequence, client = random.choice(SIZES), [1000, 9000], random.randrange(32768, 61000)
    here, there = b"\x0a\0\0\1", b"\x0a\0\0\2"
    for i in range(4):
        data, opener = KINDS[kind](size), 1 - i % 2
        ends = (here, there, client, port) if opener else (there, here, port, client)
        yield struct.pack("<QQBBBx16s16sHHIII", flow, 1000, protocol, opener, 4, *ends, sequence[opener], size, size) + data
        sequence[opener] += size
        if random.random() < 0.3:
            size = random.randrange(1, 1400)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    program = subprocess.Popen(sys.argv[1:2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    named, flows, ports = collections.Counter(), 0, WELL_KNOWN + random.sample(range(1200, 65536), 1500)
    for kind in KINDS:
        for protocol in (6, 17):
            for port in ports * repeats:
                flows += 1
                program.stdin.write(b"".join(samples(0, protocol, port, kind)) + b"\xff" * 68)
                program.stdin.flush()
                while (line := program.stdout.readline()) not in (b"\n", b""):
                    if name := line.decode().split("\t")[1]:
                        named[name, kind, "TCP" if protocol == 6 else "UDP"] += 1
    program.stdin.close()
    print(program.stderr.read().decode(), end="")
    program.wait()
    print(f"{flows} flows of noise, {sum(named.values())} named")
    for what, count in named.most_common():
        print(f"  {count:6} {', '.join(what)}")


if __name__ == "__main__":
    main()
