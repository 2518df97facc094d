#!/usr/bin/env python3
"""A Kubernetes API server for the end-to-end tests: lists and watches of six kinds, of objects that are set over a line protocol
on stdin: `put KIND JSON`, `delete KIND NAME`. Prints "ready" once it listens. Python's standard library.

It does what the real one does that matters here (list, then watch from there, bookmarks); what it does wrong on purpose is
tested in tests/agent/, against a server in C++.
"""
import argparse
import http.server
import json
import queue
import sys
import threading
import urllib.parse

PATHS = {"/api/v1/pods": "Pod", "/api/v1/nodes": "Node", "/api/v1/services": "Service",
         "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice", "/apis/apps/v1/replicasets": "ReplicaSet",
         "/apis/batch/v1/jobs": "Job"}


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.version = 1
        self.objects = {kind: {} for kind in PATHS.values()}
        self.watchers = {kind: [] for kind in PATHS.values()}

    def put(self, kind, value):
        with self.lock:
            self.version += 1
            value.setdefault("metadata", {})["resourceVersion"] = str(self.version)
            value["kind"] = kind
            name = (value["metadata"].get("namespace"), value["metadata"]["name"])
            event = "MODIFIED" if name in self.objects[kind] else "ADDED"
            self.objects[kind][name] = value
            for watcher in self.watchers[kind]:
                watcher.put({"type": event, "object": value})

    def delete(self, kind, name):
        with self.lock:
            self.version += 1
            for key in [k for k in self.objects[kind] if k[1] == name]:
                value = self.objects[kind].pop(key)
                value["metadata"]["resourceVersion"] = str(self.version)
                for watcher in self.watchers[kind]:
                    watcher.put({"type": "DELETED", "object": value})


STORE = Store()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        kind = PATHS.get(url.path)
        if kind is None or self.headers.get("Authorization") != "Bearer e2e-token":
            body = json.dumps({"kind": "Status", "code": 404 if kind is None else 401}).encode()
            self.send_response(404 if kind is None else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        query = dict(urllib.parse.parse_qsl(url.query))
        if query.get("watch") in ("1", "true"):
            self.watch(kind, query)
        else:
            self.list(kind)

    def list(self, kind):
        with STORE.lock:
            body = json.dumps({"kind": kind + "List", "metadata": {"resourceVersion": str(STORE.version)},
                               "items": [{k: v for k, v in one.items() if k != "kind"}
                                         for one in STORE.objects[kind].values()]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def watch(self, kind, query):
        events = queue.Queue()
        since = int(query.get("resourceVersion") or 0)
        with STORE.lock:
            for one in STORE.objects[kind].values():
                if int(one["metadata"]["resourceVersion"]) > since:
                    events.put({"type": "ADDED", "object": one})
            STORE.watchers[kind].append(events)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while True:
                line = json.dumps(events.get()).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
        except OSError:
            pass
        finally:
            with STORE.lock:
                STORE.watchers[kind].remove(events)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        verb, kind, rest = line.rstrip("\n").split(" ", 2)
        if verb == "put":
            STORE.put(kind, json.loads(rest))
        else:
            STORE.delete(kind, rest)
        print("done", flush=True)


if __name__ == "__main__":
    main()
