"""What the tests of connections talk to, and how: a name server, a web server, a TLS server, and their clients. A program,
run inside a namespace: `services.py serve ADDRESS`, `services.py use ADDRESS`. Python's standard library and openssl(1).
"""
import http.client
import http.server
import os
import pathlib
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

NAMES = {"shop.example": "10.201.0.2", "slow.example": "10.201.0.2"}
SILENT = "silent.example"
NXDOMAIN = 3
ANSWER = b"x" * 20000


def question(name, kind=1):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)


def query(number, name, kind=1):
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question(name, kind)


def name_of(message):
    at, parts = 12, []
    while message[at]:
        parts.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(parts), message[12:at + 5]


def answer(message):
    """None: stays silent."""
    number, = struct.unpack_from("!H", message)
    name, asked = name_of(message)
    if name == SILENT:
        return None
    if name == "slow.example":
        time.sleep(0.03)
    if name not in NAMES:
        return struct.pack("!HHHHHH", number, 0x8180 | NXDOMAIN, 1, 0, 0, 0) + asked
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + socket.inet_aton(NAMES[name])
    return struct.pack("!HHHHHH", number, 0x8180, 1, 1, 0, 0) + asked + record


class NamesOverUdp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        if reply := answer(data):
            sock.sendto(reply, self.client_address)


class NamesOverTcp(socketserver.StreamRequestHandler):
    def handle(self):
        while len(head := self.rfile.read(2)) == 2:
            reply = answer(self.rfile.read(struct.unpack("!H", head)[0]))
            if reply:
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(0.02 if self.path == "/slow" else 0)
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


def certificate(folder):
    run = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key", "-out", f"{folder}/cert",
           "-subj", "/CN=shop.example", "-days", "1"]
    subprocess.run(run, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
    context.set_alpn_protocols(["http/1.1"])
    return context


def serve(address):
    class Udp(socketserver.ThreadingUDPServer):
        daemon_threads = True

    class Tcp(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True

    with tempfile.TemporaryDirectory() as folder:
        secure = Tcp((address, 8443), Page)
        secure.socket = certificate(folder).wrap_socket(secure.socket, server_side=True)
    # The web server stands where no web server is expected: nothing may be told from the port.
    for server in (Udp((address, 53), NamesOverUdp), Tcp((address, 53), NamesOverTcp), Tcp((address, 7777), Page), secure):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def use(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(1)
    for number, name in enumerate(["shop.example", "slow.example", "nowhere.example"], 1):
        sock.sendto(query(number, name), (address, 53))
        sock.recv(512)
    sock.sendto(query(9, SILENT), (address, 53))
    with socket.create_connection((address, 53), 5) as stream:
        message = query(77, "shop.example")
        stream.sendall(struct.pack("!H", len(message)))
        time.sleep(0.01)
        stream.sendall(message)  # the length came alone
        stream.recv(512)
    for path in ("/", "/slow", "/missing"):
        web = http.client.HTTPConnection(address, 7777, timeout=5)
        web.request("GET", path, headers={"Host": "shop.example"})
        web.getresponse().read()
        web.close()
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((address, 8443), 5) as plain:
        with context.wrap_socket(plain, server_hostname="shop.example") as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
            while secure.recv(65536):
                pass
    try:
        socket.create_connection((address, 9), 1)
    except ConnectionRefusedError:
        pass


if __name__ == "__main__":
    {"serve": serve, "use": use}[sys.argv[1]](sys.argv[2])
