#!/usr/bin/env python3
"""A day of a paid network in a minute or more, over real processes: 3 orchestrators, 2 gateways, jobs of three kinds of price, rounds that
pass, kills of every node, clocks that jump an hour ahead and back while their node runs, and a full disk under the ledger. At the end every
wei is accounted for.

  tests/kills/payments_day.py --kills 60

The full disk needs root (a small tmpfs); without it that hour is left out, and the table says so."""

import contextlib
import pathlib
import subprocess
import tempfile
import time

from common import Load, harness, options, seeded, verdict
from test_account import account
from test_payments import Books, fields, wait, won

TICKET_EV = 10
PRICES = (1, 2, 3)  # wei for an echo, by orchestrator
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
DEPOSIT, RESERVE = 10**18, 10**17
HOUR_S = 3600


class SmallDisk:
    """A folder on a disk of its own, which can be filled."""

    SIZE = 24 << 20

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="framegrid-disk-")
        self.path = pathlib.Path(self.folder.name)
        self.is_small = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "framegrid-test", str(self.path)], capture_output=True).returncode == 0

    @contextlib.contextmanager
    def full(self):
        filler = self.path / "filler"
        # Unbuffered: what was written in part would be written again, and fail, when the file is closed.
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65536)
        try:
            yield
        finally:
            filler.unlink()

    def close(self):
        if self.is_small:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)  # SQLite connections close late
        self.folder.cleanup()


class DayBooks(Books):
    def __init__(self, disk):
        super().__init__()
        self.ledger = disk.path / "ledger.db"

    def seller(self, i):
        return [*self.args(f"orchestrator-{i}"), "--price-per-unit", str(PRICES[i]), "--ticket-ev", str(TICKET_EV), "--max-face-value", str(4 * TICKET_EV)]


class Day:
    def __init__(self, disk, chance):
        self.disk, self.chance = disk, chance
        self.books = DayBooks(disk)
        self.kept, self.paid, self.events = set(), [0, 0], []
        self.clocks = []
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        books = self.books
        for i in range(3):
            clock = books.path / f"clock-{i}"
            clock.write_text("+0\n")
            self.clocks.append(clock)
        self.net = harness.Network(gateway_args=books.args("gateway-0"), orchestrator_args=books.seller, orchestrators=0, workers=0, ai_capacity=0,
                                   extra_orchestrators=["https://127.0.0.1:1"])  # until the real ones stand
        self.stack.enter_context(self.net)
        for i in range(3):
            self.net.orchestrators.append(self.start_orchestrator("127.0.0.1:0", i))
            self.net.uris.append(self.net.orchestrators[i].line("ready ").split()[1])
        self.net.all_uris = list(self.net.uris)
        self.net.restart_gateway()
        for i in range(3):
            self.net.workers.append(self.net.start_worker(self.net.uris[i:] + self.net.uris[:i], f"worker-{i}"))
            self.net.workers[i].line("ready ")
        self.second = harness.Network(gateway_args=books.args("gateway-1"), orchestrators=0, workers=0, extra_orchestrators=self.net.uris)
        self.stack.enter_context(self.second)
        for name in ("gateway-0", "gateway-1"):
            books.fund(name, DEPOSIT, RESERVE)
        self.gateways = [self.net, self.second]
        for gateway in self.gateways:
            wait(lambda g=gateway: sum(node["known"] for node in g.status()["orchestrators"]) >= 3, 30)
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.books.folder.cleanup()

    def start_orchestrator(self, listen, i):
        """With a clock that a file sets while it runs; timers go on by the real one."""
        env = {**self.net.env, "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.clocks[i]), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return harness.Process([*self.net.common, "orchestrator", "--listen", listen, *self.net.drain, *self.books.seller(i)], env, f"orchestrator-{i}")

    def sender(self, which):
        def send(connection, _lane, _number):
            connection.request("POST", "/echo", b"x" * self.chance.randint(1, 2000))
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                self.paid[which] += int(answer.headers["x-framegrid-wei"])
            return answer.status == 200, answer.status

        return send

    def note_kept(self, process):
        self.kept |= {line["hash"] for line in fields(process.log_text(), "orchestrator.ticket_kept")}

    def kill_orchestrator(self, i):
        victim = self.net.orchestrators[i]
        victim.kill()
        victim.popen.wait(5)
        self.note_kept(victim)
        victim.stop()
        self.net.orchestrators[i] = self.start_orchestrator(self.net.uris[i].split("//")[1], i)
        self.net.orchestrators[i].line("ready ")

    def kill_gateway(self, which):
        gateway = self.gateways[which]
        gateway.gateway.kill()
        gateway.gateway.popen.wait(5)
        gateway.restart_gateway()

    def kill_worker(self, i):
        self.net.workers[i].kill()
        self.net.workers[i].popen.wait(5)
        self.net.restart_worker(i)

    def jump_clock(self, i):
        self.clocks[i].write_text(f"+{HOUR_S}\n")
        time.sleep(2)
        self.clocks[i].write_text("+0\n")

    def fill_disk(self):
        with self.disk.full():
            time.sleep(2)


def play(day, loads, kills):
    """The day's events in a random order: kills, with a clock that jumps and a disk that runs full in between."""
    plain = [(f"kill orchestrator-{i}", lambda i=i: day.kill_orchestrator(i)) for i in range(3)]
    plain += [(f"kill gateway-{i}", lambda i=i: day.kill_gateway(i)) for i in range(2)]
    plain += [(f"kill worker-{i}", lambda i=i: day.kill_worker(i)) for i in range(3)]
    rare = [(f"clock of orchestrator-{i} an hour ahead and back", lambda i=i: day.jump_clock(i)) for i in range(3)]
    rare += [("full disk", day.fill_disk)] * 2 if day.disk.is_small else []
    day.chance.shuffle(rare)
    counts, stalls = {}, 0
    for number in range(kills):
        name, act = rare[number // 5 % len(rare)] if number % 5 == 2 else day.chance.choice(plain)
        act()
        counts[name] = counts.get(name, 0) + 1
        stalls += not all(load.wait_for(20) for load in loads)
        time.sleep(day.chance.uniform(0, 0.3))
    return counts, stalls


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width) for i, (cell, width) in enumerate(zip(row, widths))))


def main():
    chosen = options(__doc__, 60)
    chance = seeded(chosen.seed)
    disk = SmallDisk()
    began = time.monotonic()
    try:
        with Day(disk, chance) as day:
            loads = [Load(gateway.url, 2, day.sender(i)) for i, gateway in enumerate(day.gateways)]
            counts, stalls = play(day, loads, chosen.kills)
            for load in loads:
                load.finish()
            books = day.books
            settled = wait(lambda: won(books)[0] == won(books)[1] > 0, 90)
            for process in day.net.orchestrators:
                day.note_kept(process)  # few kills may meet none of them
            for process in [day.net.gateway, day.second.gateway, *day.net.orchestrators]:
                process.stop()
            return report(day, loads, counts, stalls, settled, began)
    finally:
        disk.close()


def report(day, loads, counts, stalls, settled, began):
    books = day.books
    names = ["gateway-0", "gateway-1", *(f"orchestrator-{i}" for i in range(3))]
    accounts = {address.hex(): [int(value) for value in row] for address, *row in books.query("SELECT address, deposit, reserve, paid, earned FROM accounts")}
    sums = {kind: {address.hex(): 0 for (address,) in books.query("SELECT address FROM accounts")} for kind in ("sender", "recipient")}
    for sender, recipient, paid in books.query("SELECT sender, recipient, paid FROM redemptions"):
        sums["sender"][sender.hex()] = sums["sender"].get(sender.hex(), 0) + int(paid)
        sums["recipient"][recipient.hex()] = sums["recipient"].get(recipient.hex(), 0) + int(paid)
    rows = [("account", "left in deposit and reserve", "spent", "redeemed from it", "earned", "redeemed to it", "difference")]
    difference = 0
    for name in names:
        key = books.address(name)[2:].lower()
        deposit, reserve, _, earned = accounts.get(key, (0, 0, 0, 0))
        spent = DEPOSIT + RESERVE - deposit - reserve if name.startswith("gateway") else 0
        wrong = abs(spent - sums["sender"].get(key, 0)) + abs(earned - sums["recipient"].get(key, 0))
        difference += wrong
        rows.append((name, deposit + reserve, spent, sums["sender"].get(key, 0), earned, sums["recipient"].get(key, 0), wrong))
    table(rows)
    stored = [row[0].hex() for row in books.query("SELECT hash FROM tickets")]
    redeemed = [row[0].hex() for row in books.query("SELECT hash FROM redemptions")]
    winning, paid = won(books)
    check = account("check", "--ledger", f"sqlite:{books.ledger}")
    facts = {
        **dict(sorted(counts.items())),
        "full disk": counts.get("full disk", 0) if day.disk.is_small else "left out: no root",
        "jobs answered / not": f"{sum(load.done for load in loads)} / { {k: v for load in loads for k, v in load.failed.items()} }",
        "wei that clients were told": sum(day.paid),
        "winning tickets stored / redeemed": f"{len(stored)} / {len(redeemed)}",
        "times a gateway's load did not come back within 30 s": stalls,
        "seconds": round(time.monotonic() - began),
    }
    return verdict(facts, {
        "every winning ticket that was kept is stored": day.kept <= set(stored) and len(day.kept) > 0,
        "every stored ticket was redeemed once": settled and sorted(stored) == sorted(redeemed),
        "every wei is accounted for": difference == 0 and winning == paid,
        "the ledger's accounts follow from its entries": check.returncode == 0,
        "the loads always came back": stalls == 0,
    })


if __name__ == "__main__":
    raise SystemExit(main())
