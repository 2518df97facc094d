"""Reads pcap and pcapng files and makes the payload samples of them that the kernel would. For app_accuracy.py."""
import struct
import sys

ETHERNET, RAW, RAW_BSD, LOOP, NULL, SLL, SLL2, PPP, CHDLC, IPV4, IPV6 = 1, 101, 12, 108, 0, 113, 276, 9, 104, 228, 229


def pcap(data):
    """(link type, seconds, frame, original length)"""
    magic = data[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1e9 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e6
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        seconds, part, size, length = struct.unpack(order + "IIII", data[at:at + 16])
        yield link, seconds + part / unit, data[at + 16:at + 16 + size], length
        at += 16 + size


def pcapng(data):
    at, order, links = 0, "<", []
    while at + 12 <= len(data):
        kind = struct.unpack(order + "I", data[at:at + 4])[0]
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        size = struct.unpack(order + "I", data[at + 4:at + 8])[0]
        if size < 12:
            return
        body = data[at + 8:at + size - 4]
        if kind == 1:
            links.append(option_of(body, order))
        elif kind == 6:
            interface, high, low, kept, length = struct.unpack(order + "IIIII", body[:20])
            link, unit = links[interface]
            yield link, (high << 32 | low) / unit, body[20:20 + kept], length
        elif kind == 3 and links:
            length = struct.unpack(order + "I", body[:4])[0]
            yield links[0][0], 0, body[4:4 + length], length
        at += size


def option_of(body, order):
    link, unit, at = struct.unpack(order + "H", body[:2])[0], 1e6, 8
    while at + 4 <= len(body):
        code, size = struct.unpack(order + "HH", body[at:at + 4])
        if code == 0:
            break
        if code == 9 and size >= 1:
            unit = float(2 ** (body[at + 4] & 0x7F)) if body[at + 4] & 0x80 else 10.0 ** body[at + 4]
        at += 4 + (size + 3) // 4 * 4
    return link, unit


def ip_of(link, frame):
    """The IP packet in a frame, or nothing."""
    if link in (RAW, RAW_BSD, IPV4, IPV6, 14):
        return frame
    if link in (NULL, LOOP):
        return frame[4:]
    if link == SLL:
        kind, at = struct.unpack(">H", frame[14:16])[0] if len(frame) >= 16 else 0, 16
    elif link == SLL2:
        kind, at = struct.unpack(">H", frame[:2])[0] if len(frame) >= 20 else 0, 20
    elif link == CHDLC:
        kind, at = struct.unpack(">H", frame[2:4])[0] if len(frame) >= 4 else 0, 4
    elif link == PPP:
        at = 4 if frame[:2] == b"\xff\x03" else 2
        return frame[at:] if frame[at - 2:at] in (b"\x00\x21", b"\x00\x57") else b""
    elif link == ETHERNET:
        kind, at = struct.unpack(">H", frame[12:14])[0] if len(frame) >= 14 else 0, 14
    else:
        return b""
    while kind in (0x8100, 0x88A8) and len(frame) >= at + 4:
        kind, at = struct.unpack(">H", frame[at + 2:at + 4])[0], at + 4
    return frame[at:] if kind in (0x0800, 0x86DD) else b""


def transport_of(ip):
    """(version, protocol, source, destination, L4 bytes in hand, L4 length), or nothing; no tunnels, no fragments."""
    if len(ip) < 20:
        return None
    if ip[0] >> 4 == 4:
        header = (ip[0] & 15) * 4
        total = struct.unpack(">H", ip[2:4])[0] or len(ip)
        if struct.unpack(">H", ip[6:8])[0] & 0x3FFF or total < header or header < 20:
            return None
        return 4, ip[9], ip[12:16], ip[16:20], ip[header:min(total, len(ip))], total - header
    if ip[0] >> 4 == 6 and len(ip) >= 40:
        left, kind, at = struct.unpack(">H", ip[4:6])[0], ip[6], 40
        while kind in (0, 43, 60) and len(ip) >= at + 8:
            size = (ip[at + 1] + 1) * 8
            kind, at, left = ip[at], at + size, left - size
        return 6, kind, ip[8:24], ip[24:40], ip[at:at + left], left
    return None


class Flow:
    def __init__(self, number, opener):
        self.number, self.opener, self.samples, self.syn = number, opener, [0, 0], False


def samples(path):
    """The flows of a capture, and its samples: {key: Flow}, [(flow, from opener, fields of classify_samples.cc)]."""
    data = open(path, "rb").read()
    reader = pcapng if data[:4] == b"\x0a\x0d\x0d\x0a" else pcap
    flows, out = {}, []
    for link, seconds, frame, _ in reader(data):
        found = transport_of(ip_of(link, frame))
        if not found:
            continue
        version, protocol, source, destination, l4, length = found
        if protocol == 6 and len(l4) >= 20:
            sport, dport, sequence = struct.unpack(">HHI", l4[:8])
            header, flags = (l4[12] >> 4) * 4, l4[13]
            sequence = (sequence + (flags >> 1 & 1)) & 0xFFFFFFFF
        elif protocol == 17 and len(l4) >= 8:
            sport, dport, length = struct.unpack(">HHH", l4[:6])
            header, flags, sequence = 8, 0, 0
        else:
            continue
        here, there = (source, sport), (destination, dport)
        key = (protocol, *sorted((here, there)))
        flow = flows.get(key)
        if flow is None:
            flow = flows[key] = Flow(len(flows), there if protocol == 6 and flags & 0x12 == 0x12 else here)
        payload, true_length = l4[header:length], length - header
        from_opener = int(here == flow.opener)
        if true_length <= 0 or not payload or flow.samples[from_opener] >= 4:
            continue
        cut = 1536 if flow.samples[from_opener] < 2 else 256
        flow.samples[from_opener] += 1
        payload = payload[:cut]
        out.append(struct.pack("<QQBBBx16s16sHHIII", flow.number, int(seconds * 1e9) & (2 ** 63 - 1), protocol,
                               from_opener, version, source, destination, sport, dport, sequence, true_length,
                               len(payload)) + payload)
    return flows, out


if __name__ == "__main__":
    for name in sys.argv[1:]:
        found, taken = samples(name)
        print(name, len(found), "flows", len(taken), "samples")
