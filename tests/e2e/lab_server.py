#!/usr/bin/env python3
"""The honest side of the detection laboratory: a web server, a name server and a sink for telemetry; and clients that are loud
without harm. Run inside a namespace of the tests' own.

    lab_server.py serve | clients ADDRESS PORT SECONDS | retries … | checks PREFIX … | probes … | names … | telemetry …
"""
import asyncio
import ipaddress
import random
import socket
import sys
import threading
import time

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n"


async def page(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PAGE)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


def datagrams(port, answers):
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sink.bind(("", port))
    while True:
        data, peer = sink.recvfrom(2048)
        if answers:
            sink.sendto(data[:2] + b"\x81\x80" + data[4:], peer)


async def serve():
    for port, answers in ((53, True), (8125, False)):
        threading.Thread(target=datagrams, args=(port, answers), daemon=True).start()
    server = await asyncio.start_server(page, "", 80, backlog=8192)
    print("ready", flush=True)
    await server.serve_forever()


def request(address, port, quiet=False):
    with socket.create_connection((address, port), 2) as client:
        if quiet:
            return
        client.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        client.recv(200)


def threads(count, until, work):
    def loop(number):
        while time.monotonic() < until:
            work(number)

    running = [threading.Thread(target=loop, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def refused(address, port):
    try:
        request(address, port)
    except OSError:
        pass


def names(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        labels = b"".join(bytes([len(part)]) + part for part in (b"host%d" % random.randint(0, 999), b"lab", b"test")) + b"\0"
        client.sendto(random.randbytes(2) + b"\x01\0\0\1\0\0\0\0\0\0" + labels + b"\0\1\0\1", (address, port))
        try:
            client.recv(500)
        except TimeoutError:
            pass


def main():
    what = sys.argv[1]
    if what == "serve":
        asyncio.run(serve())
        return
    where, port, until = sys.argv[2], int(sys.argv[3]), time.monotonic() + float(sys.argv[4])
    if what == "clients":
        threads(20, until, lambda _: request(where, port))
    elif what == "retries":
        threads(50, until, lambda _: (refused(where, port), time.sleep(0.05)))
    elif what == "checks":
        hosts = [str(host) for host in ipaddress.ip_network(where).hosts()][:200]
        # Half of them as a kubelet's TCP probe does: connected, and closed in order.
        threads(8, until, lambda number: [request(host, port, quiet=i % 2 == 0)
                                          for i, host in enumerate(hosts) if i % 8 == number])
    elif what == "probes":  # one closed port after the other, four a second
        while time.monotonic() < until:
            refused(where, port)
            port += 1
            time.sleep(0.25)
    elif what == "names":
        threads(8, until, lambda _: names(where, port))
    elif what == "telemetry":
        sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
        threads(2, until, lambda number: [sinks[number * 10 + i].sendto(b"requests:1|c", (where, port)) for i in range(10)]
                and time.sleep(0.002))


if __name__ == "__main__":
    main()
