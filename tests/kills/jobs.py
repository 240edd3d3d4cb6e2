#!/usr/bin/env python3
"""SIGKILL of the gateway at random moments under a stream of durable jobs: no accepted job may be lost, none may end twice, every webhook
must be delivered with one id, and a repeated idempotency key must name the same job.

  tests/kills/jobs.py --kills 1000"""

import json
import pathlib
import sqlite3
import time

from common import Load, harness, kill_at_random, options, seeded, verdict
from test_jobs import Hook
from test_payments import wait

FINAL = ("succeeded", "failed", "cancelled", "expired")


class Run:
    def __init__(self, net, hook):
        self.net, self.hook = net, hook
        self.accepted = {}  # job -> idempotency key
        self.unsure = {}    # key -> what to ask again: the answer was lost with the connection
        self.differing = 0  # keys that named another job when they were sent again

    def send(self, connection, lane, number):
        # Every third key is sent again, as a client does that has lost the answer.
        key = f"{lane}-{number - 1 if number % 3 == 2 else number}"
        body = json.dumps({"pipeline": "echo", "webhook": self.hook.url})
        self.unsure[key] = body
        connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json", "Idempotency-Key": key})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201, 202):
            return False, answer.status
        job = json.loads(text)["id"]
        if self.accepted.setdefault(job, key) != key:
            self.differing += 1
        self.unsure.pop(key, None)
        return True, 0

    def kill(self):
        self.net.gateway.kill()
        self.net.gateway.popen.wait(5)
        self.net.restart_gateway()

    def ask_again(self):
        """The keys whose answers were lost; each names one job, whether it was accepted before or now."""
        for key, body in list(self.unsure.items()):
            status, _, text = self.net.request("POST", "/v1/jobs", body, {"Content-Type": "application/json", "Idempotency-Key": key})
            assert status in (200, 201, 202), text
            self.accepted.setdefault(json.loads(text)["id"], key)


def main():
    chosen = options(__doc__, 1000)
    chance = seeded(chosen.seed)
    hook = Hook()
    began = time.monotonic()
    with harness.Network(gateway_args=["--fetch-anywhere"], ai_capacity=0) as net:
        net.wait_usable()
        run = Run(net, hook)
        load = Load(net.url, 3, run.send)
        counts, stalls = kill_at_random(load, {"gateway": run.kill}, chance, chosen.kills, 10)
        load.finish()
        net.wait_usable()
        run.ask_again()
        database = sqlite3.connect(pathlib.Path(net.data.name, "jobs.sqlite"), timeout=30)

        def ends():
            return database.execute("SELECT job, kind FROM events WHERE kind IN (?, ?, ?, ?)", FINAL).fetchall()

        def told():
            return {json.loads(body)["data"]["id"] for _, body in list(hook.messages)}

        all_ended = wait(lambda: len({job for job, _ in ends()}) >= len(run.accepted), 120)
        ended = ends()
        all_told = wait(lambda: {job for job, _ in ended} <= told(), 120)
        database.close()
    hook.shutdown()
    ids = {}
    for headers, body in hook.messages:
        ids.setdefault(json.loads(body)["data"]["id"], set()).add(headers["webhook-id"])
    kinds = [kind for _, kind in ended]
    facts = {
        "kills": counts["gateway"],
        "requests answered / failed": f"{load.done} / {load.failed}",
        "times the load did not come back within 30 s": stalls,
        "jobs accepted / ended / that succeeded": f"{len(run.accepted)} / {len(ended)} / {kinds.count('succeeded')}",
        "webhook messages": len(hook.messages),
        "seconds": round(time.monotonic() - began),
    }
    checks = {
        "every accepted job ended, and succeeded": all_ended and kinds.count("succeeded") == len(ended),
        "no job ended twice": len({job for job, _ in ended}) == len(ended),
        "no job that nobody asked for": {job for job, _ in ended} == set(run.accepted),
        "each key named one job": run.differing == 0 and len(set(run.accepted.values())) == len(run.accepted),
        "each webhook was delivered, with one id": all_told and all(len(of_job) == 1 for of_job in ids.values()),
        "the load always came back": stalls == 0,
    }
    return verdict(facts, checks)


if __name__ == "__main__":
    raise SystemExit(main())
