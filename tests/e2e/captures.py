"""Frames and capture files made from nothing, for replay_e2e_test.py: TCP and UDP over IPv4, in pcap and pcapng of every
kind. Python's standard library."""
import struct

ETHERNET, RAW, COOKED, COOKED2, NULL = 1, 101, 113, 276, 0
CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
MACS = bytes.fromhex("020000000002020000000001")
START = 1_700_000_000


def ipv4(protocol, source, destination, payload, total=None):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, total or 20 + len(payload), 0, 0x4000, 64, protocol, 0, source,
                       destination) + payload


def udp(source, destination, sport, dport, payload=b""):
    return ipv4(17, source, destination, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def tcp(source, destination, sport, dport, flags, seq=0, ack=0, payload=b""):
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 1024, 0, 0)
    return ipv4(6, source, destination, header + payload)


def ethernet(packet, ether_type=0x0800):
    return MACS + struct.pack("!H", ether_type) + packet


def link(packet, kind, outgoing=False):
    """An IPv4 packet behind a link header of this kind."""
    if kind == ETHERNET:
        return ethernet(packet)
    if kind == COOKED:
        return struct.pack("!HHH8sH", 4 if outgoing else 0, 1, 6, MACS[:8], 0x0800) + packet
    if kind == COOKED2:
        return struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 4 if outgoing else 0, 6, MACS[:8]) + packet
    if kind == NULL:
        return struct.pack("<I", 2) + packet
    return packet


def conversation(port=40000):
    """A TCP connection from its SYN to its last ACK: (packet, from the server) in order."""
    c, s = (CLIENT, SERVER, port, 80), (SERVER, CLIENT, 80, port)
    return [(tcp(*c, 0x02, 100), False), (tcp(*s, 0x12, 500, 101), True), (tcp(*c, 0x10, 101, 501), False),
            (tcp(*c, 0x18, 101, 501, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"), False),
            (tcp(*s, 0x18, 501, 138, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(500)), True), (tcp(*c, 0x11, 138, 1020), False),
            (tcp(*s, 0x11, 1020, 139), True), (tcp(*c, 0x10, 139, 1021), False)]


def pcap(frames, kind=ETHERNET, order="<", nanoseconds=False, step_ns=1_000_000, snaplen=0):
    """A pcap of frames, or of (frame, nanoseconds since START)."""
    out = [struct.pack(order + "IHHiIII", 0xa1b23c4d if nanoseconds else 0xa1b2c3d4, 2, 4, 0, 0, snaplen or 262144, kind)]
    for i, frame in enumerate(frames):
        frame, at = frame if isinstance(frame, tuple) else (frame, i * step_ns)
        kept = frame[:snaplen or None]
        out.append(struct.pack(order + "IIII", START + at // 10**9, at % 10**9 // (1 if nanoseconds else 1000), len(kept),
                               len(frame)) + kept)
    return b"".join(out)


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def pcapng(frames, interfaces=(("eth0", ETHERNET),), order="<", step_ns=1_000_000):
    """A pcapng of (frame, interface, direction: 0 unknown, 1 in, 2 out), times in nanoseconds."""
    out = block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    for name, kind in interfaces:
        out += block(order, 1, struct.pack(order + "HHI", kind, 0, 0) + option(order, 2, name.encode()) +
                     option(order, 9, b"\x09") + option(order, 0, b""))
    for i, (frame, interface, direction) in enumerate(frames):
        at = START * 10**9 + i * step_ns
        out += block(order, 6, struct.pack(order + "IIIII", interface, at >> 32, at & 0xffffffff, len(frame), len(frame)) +
                     frame + bytes(-len(frame) % 4) + option(order, 2, struct.pack(order + "I", direction)) +
                     option(order, 0, b""))
    return out
