#!/usr/bin/env python3
"""Ten times as many durable jobs as a network can do: how much of its peak still gets done, and how long those wait who
are refused."""

import asyncio
import json
import os
import re
import time
import urllib.parse

from common import harness, percentile, report

SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "10"))
ROUNDS = 3
QUEUE = 100
CONNECTIONS = 32
BODY = json.dumps({"pipeline": "text-to-image",
                   "parameters": {"prompt": "a red circle", "num_inference_steps": 2}}).encode()


def ended(network):
    text = network.request("GET", "/metrics")[2].decode()
    return sum(int(n) for n in re.findall(r'framegrid_jobs_ended_total\{state="succeeded"\} (\d+)', text))


async def post(reader, writer):
    writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head).group(1)))
    return int(head.split()[1]), head


async def offer(address, rate, seconds):
    """Sends `rate` jobs a second; (statuses, milliseconds of refusals from the time a job was due, answers without
    Retry-After). A connection that is busy makes jobs wait for their turn, and that counts, too."""
    statuses, refusals, unexplained = {}, [], 0
    due = asyncio.Queue()

    async def sender():
        nonlocal unexplained
        writer = None
        while (at := await due.get()) is not None:
            if writer is None:  # one that says nothing for long would be closed
                reader, writer = await asyncio.open_connection(*address)
            status, head = await post(reader, writer)
            statuses[status] = statuses.get(status, 0) + 1
            if status == 429:
                refusals.append((time.monotonic() - at) * 1000)
                unexplained += b"retry-after" not in head.lower()
        if writer is not None:
            writer.close()

    senders = [asyncio.create_task(sender()) for _ in range(CONNECTIONS)]
    began = time.monotonic()
    for i in range(int(rate * seconds)):
        at = began + i / rate
        if (early := at - time.monotonic()) > 0:
            await asyncio.sleep(early)
        due.put_nowait(at)
    for _ in senders:
        due.put_nowait(None)
    await asyncio.gather(*senders)
    return statuses, refusals, unexplained


def done_per_s(network, address, rate, seconds):
    """Jobs that ended per second while `rate` a second were offered."""
    before, began = ended(network), time.monotonic()
    outcome = asyncio.run(offer(address, rate, seconds))
    return (ended(network) - before) / (time.monotonic() - began), *outcome


def main():
    peak, goodput, answers, refusals, unexplained = 0.0, 0.0, {}, [], 0
    with harness.Network(1, 1, capacity=1, ai_capacity=2, log_level="warn",
                         gateway_args=["--jobs-queued", str(QUEUE), "--jobs-running", "4"]) as network:
        network.wait_usable()
        parts = urllib.parse.urlsplit(network.url)
        address = (parts.hostname, parts.port)
        done_per_s(network, address, 40, 5)  # models are loaded, the queue is full
        guess, *_ = done_per_s(network, address, 40, SECONDS)
        for _ in range(ROUNDS):
            # A rate just above what gets done keeps the queue from running dry: that is the peak. In turns, because
            # machines have other work as well.
            calm, *_ = done_per_s(network, address, max(1.5 * guess, 1), SECONDS)
            stormy, statuses, late, silent = done_per_s(network, address, 10 * max(calm, 1), SECONDS)
            peak, goodput, unexplained = peak + calm / ROUNDS, goodput + stormy / ROUNDS, unexplained + silent
            refusals += late
            for status, count in statuses.items():
                answers[status] = answers.get(status, 0) + count
        alive = network.gateway.popen.poll() is None
    if not peak or not refusals:
        raise SystemExit("the machine is too busy to measure: nothing got done, or nothing was refused")
    share, p99 = goodput / peak, percentile(refusals, 0.99)
    return report("overload", {"peak_per_s": round(peak, 1), "offered_per_s": round(10 * peak),
                               "goodput_per_s": round(goodput, 1), "share": round(share, 3), "answers": answers,
                               "refusal_p50_ms": round(percentile(refusals, 0.5), 2), "refusal_p99_ms": round(p99, 2),
                               "without_retry_after": unexplained},
                  "goodput >= 90% of peak, refusals p99 < 50 ms, no crash",
                  share >= 0.9 and p99 < 50 and alive and not unexplained)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
