#!/usr/bin/env python3
"""Open event streams of durable jobs: what 10,000 of them cost the gateway, and whether each hears everything."""

import os
import re
import resource
import selectors
import socket
import sys
import time
import urllib.parse

from common import harness, report
from test_jobs import submit

LISTENERS = int(os.environ.get("LISTENERS", "10000"))
JOBS = 50
STEPS = 10
DOCUMENT = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "num_inference_steps": STEPS}}


class Listener:
    """One GET of a job's events over HTTP/1.1, read as it comes."""

    def __init__(self, address, path):
        self.socket = socket.create_connection(address)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.text = b""
        self.over = False

    def read(self):
        try:
            piece = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        self.text += piece
        self.over = not piece or self.text.endswith(b"0\r\n\r\n")

    def numbers(self):
        return [int(n) for n in re.findall(rb"(?m)^id: ?(\d+)", self.text)]


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # children inherit it
    if hard < LISTENERS + 500:
        sys.exit(f"{LISTENERS} listeners need more than {hard} open files")
    with harness.Network(1, 1, ai_capacity=4, log_level="warn",
                         gateway_args=["--jobs-running", "1"]) as network:
        network.wait_usable()
        parts = urllib.parse.urlsplit(network.url)
        address = (parts.hostname, parts.port)
        jobs = [submit(network, {**DOCUMENT, "parameters": {**DOCUMENT["parameters"], "seed": i + 1}})["id"]
                for i in range(JOBS)]
        before = harness.rss_mb(network.gateway.pid)
        began = time.monotonic()
        listeners = []
        selector = selectors.DefaultSelector()
        for i in range(LISTENERS):
            listener = Listener(address, f"/v1/jobs/{jobs[i % JOBS]}/events")
            selector.register(listener.socket, selectors.EVENT_READ, listener)
            listeners.append(listener)
        opened = time.monotonic() - began
        peak = harness.rss_mb(network.gateway.pid)
        left, end, look = len(listeners), time.monotonic() + 600, 0
        while left and time.monotonic() < end:
            for key, _ in selector.select(1):
                key.data.read()
                if key.data.over:
                    selector.unregister(key.data.socket)
                    left -= 1
            if time.monotonic() > look:
                peak, look = max(peak, harness.rss_mb(network.gateway.pid)), time.monotonic() + 0.5
        wrong = 0
        kinds = (b"succeeded", b"failed", b"cancelled")
        for listener in listeners:
            numbers = listener.numbers()
            whole = numbers == list(range(1, len(numbers) + 1)) and any(b"event: " + k in listener.text for k in kinds)
            wrong += not whole
            listener.socket.close()
        events = sum(len(listener.numbers()) for listener in listeners)
    grown = peak - before
    return report("listeners", {"listeners": LISTENERS, "opened_s": round(opened, 1), "events": events,
                                "gateway_mb_before": round(before), "gateway_mb_peak": round(peak),
                                "grown_mb": round(grown), "bytes_each": round(grown * 1048576 / LISTENERS),
                                "with_gaps_or_no_end": wrong},
                  "peak < 200 MB, every listener hears each event and the end", peak < 200 and wrong == 0)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
