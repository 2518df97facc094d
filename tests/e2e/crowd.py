#!/usr/bin/env python3
"""The two sides of processes_e2e_test.py, each run inside a namespace: `crowd.py serve …` answers at many ports, TCP and UDP;
`crowd.py live …` is as many short processes, one a port. Each process tells the socket PATH its port before it begins, and
the kernel adds to that which process it is, in the numbers of whoever reads it.
"""
import argparse
import ctypes
import os
import selectors
import socket
import sys

PR_SET_NAME = 15
SENDER = "knp-sender"
AT_ONCE = 4
# By the port's place in the row. Half connect by TCP; the other half sends UDP, on connected sockets and on others.
KINDS = ("curl", "bash", "curl", SENDER)


def kind_of(index):
    return KINDS[index % len(KINDS)]


def serve(options):
    selector = selectors.DefaultSelector()
    for port in range(options.port, options.port + options.number):
        tcp = socket.create_server((options.address, port), backlog=16)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((options.address, port))
        selector.register(tcp, selectors.EVENT_READ)
        selector.register(udp, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj.type == socket.SOCK_DGRAM:
                data, who = key.fileobj.recvfrom(64)
                key.fileobj.sendto(data, who)
                continue
            connection, _ = key.fileobj.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")
            connection.close()


def life(options, index):
    """Of one process; does not return to its caller's code."""
    port = options.port + index
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.connect(options.path)
        teller.send(str(port).encode())
    kind = kind_of(index)
    if kind == "curl":
        os.execvp("curl", ["curl", "-sS", "--max-time", "10", "-o", "/dev/null", f"http://{options.address}:{port}/"])
    if kind == "bash":  # which reads a byte at a time, and a datagram's others are gone
        os.execvp("bash", ["bash", "-c", f"exec 3<>/dev/udp/{options.address}/{port}; echo hello >&3; "
                                         "read -r -t 10 -N 1 first <&3 && [[ $first == h ]]"])
    ctypes.CDLL(None).prctl(PR_SET_NAME, SENDER.encode(), 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(10)
        sender.sendto(b"hello", (options.address, port))
        os._exit(0 if sender.recvfrom(64)[0] == b"hello" else 1)


def live(options):
    running, failed = 0, 0
    for index in range(options.number):
        if os.fork() == 0:
            try:
                life(options, index)
            finally:
                os._exit(1)
        running += 1
        if running == AT_ONCE:
            failed += os.wait()[1] != 0
            running -= 1
    for _ in range(running):
        failed += os.wait()[1] != 0
    print(failed)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for name, run in (("serve", serve), ("live", live)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("address")
        command.add_argument("port", type=int)
        command.add_argument("number", type=int)
        if run is live:
            command.add_argument("path")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    sys.exit(main())
