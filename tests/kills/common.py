"""What the kill runs share: steady load over kept connections, random kills from a seed, and a table of what must be true."""

import argparse
import http.client
import pathlib
import random
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e/network"))

import harness  # noqa: E402,F401


def options(description, kills):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Load:
    """Threads that each send one request after the other and count what came of them; they live through lost connections."""

    def __init__(self, url, lanes, send):
        self.address = urllib.parse.urlsplit(url)
        self.send = send
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.done, self.failed = 0, {}
        self.threads = [threading.Thread(target=self._lane, args=(i,), daemon=True) for i in range(lanes)]
        for thread in self.threads:
            thread.start()

    def _lane(self, lane):
        connection, number = None, 0
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=30)
                good, why = self.send(connection, lane, number)
            except (OSError, http.client.HTTPException) as error:
                connection, good, why = None, False, type(error).__name__
                time.sleep(0.02)
            number += 1
            with self.lock:
                if good:
                    self.done += 1
                else:
                    self.failed[why] = self.failed.get(why, 0) + 1
            if not good:
                time.sleep(0.01)

    def wait_for(self, more, timeout=30):
        """Until `more` requests have succeeded from now on."""
        goal, end = self.done + more, time.monotonic() + timeout
        while self.done < goal and time.monotonic() < end:
            time.sleep(0.005)
        return self.done >= goal

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def kill_at_random(load, victims, chance, kills, between):
    """`kills` times: waits until the load runs again and a little longer, and lets one of `victims` (name -> function that kills and
    restarts it) die. How often each did, and how often the load did not come back in time."""
    counts, stalls = dict.fromkeys(victims, 0), 0
    began = time.monotonic()
    for i in range(kills):
        stalls += not load.wait_for(between)
        time.sleep(chance.uniform(0, 0.15))
        name = chance.choice(list(victims))
        victims[name]()
        counts[name] += 1
        if sys.stderr.isatty() or (i + 1) % 50 == 0:
            print(f"\r{i + 1}/{kills} kills, {load.done} done, {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return counts, stalls


def verdict(facts, checks):
    """Prints both; 1 when a check does not hold."""
    for name, value in facts.items():
        print(f"{name:58}{value}")
    for name, good in checks.items():
        print(f"{name:58}{'yes' if good else 'NO'}")
    return 0 if all(checks.values()) else 1


def seeded(seed):
    print(f"seed {seed}")
    return random.Random(seed)
