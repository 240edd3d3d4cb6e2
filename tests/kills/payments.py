#!/usr/bin/env python3
"""SIGKILL of a gateway or an orchestrator at random moments while jobs are paid: no winning ticket may be lost or paid twice, and both
sides' books must agree to the wei.

  tests/kills/payments.py --kills 1000"""

import json
import shutil
import signal
import tempfile
import time

from common import Load, harness, kill_at_random, options, seeded, verdict
from test_account import account
from test_payments import Books, balances, echo, fields, wait, won

TICKET_EV = 10  # wei; an echo is one, so that one job in ten buys a ticket, and one ticket in two wins


LANES = 3


class Seller(Books):
    def args(self, name):
        return [*super().args(name), "--receipts", str(self.path / "receipts" / name)]

    def seller(self, i):
        return [*self.args(f"orchestrator-{i}"), "--price-per-unit", "1", "--ticket-ev", str(TICKET_EV), "--max-face-value", str(2 * TICKET_EV)]

    def receipts(self, name):
        """Of a book that is in order: what each job's receipt says but its time."""
        check = account("verify", self.path / "receipts" / name)
        lines = [json.loads(line) for file in (self.path / "receipts" / name).glob("*.jsonl") for line in file.read_text().splitlines()]
        found = {line.pop("id"): {**line, "at_ms": 0} for line in lines if "close" not in line}
        return found if check.returncode == 0 else {}


class Run:
    def __init__(self, books, net):
        self.books, self.net = books, net
        self.kept = set()  # hashes of tickets that an orchestrator said it has kept
        self.paid = 0      # wei of answered jobs, as the gateway told the client
        self.noted = 0     # receipts that a killed node had not written yet

    def send(self, connection, _lane, _number):
        connection.request("POST", "/echo", b"x")
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            self.paid += int(answer.headers["x-framegrid-wei"])
        return answer.status == 200, answer.status

    def kill_gateway(self):
        self.net.gateway.kill()
        self.net.gateway.popen.wait(5)
        self.net.restart_gateway()
        self.count_noted(self.net.gateway)

    def count_noted(self, process):
        self.noted += sum(int(line["receipts"]) for line in fields(process.log_text(), "receipts.recovered"))

    def kill_orchestrator(self, i):
        victim = self.net.orchestrators[i]
        victim.kill()
        victim.popen.wait(5)
        self.kept |= {line["hash"] for line in fields(victim.log_text(), "orchestrator.ticket_kept")}
        self.net.restart_orchestrator(i)
        self.count_noted(self.net.orchestrators[i])

    def stop_all(self):
        """An orderly stop; what each side says the other still has."""
        processes = [self.net.gateway, *self.net.orchestrators]
        for process in processes:
            process.kill(signal.SIGTERM)
            process.popen.wait(20)
        for process in self.net.orchestrators:
            self.kept |= {line["hash"] for line in fields(process.log_text(), "orchestrator.ticket_kept")}
        theirs = sum((balances(process.log_text(), "orchestrator.balance") for process in self.net.orchestrators), [])
        return balances(self.net.gateway.log_text(), "gateway.balance"), sorted(theirs)


def restart_all(net):
    net.restart_gateway()
    for i in range(len(net.orchestrators)):
        net.restart_orchestrator(i)
    net.wait_usable()


def main():
    chosen = options(__doc__, 1000)
    chance = seeded(chosen.seed)
    books = Seller()
    began = time.monotonic()
    with harness.Network(gateway_args=books.args("gateway"), orchestrator_args=books.seller, orchestrators=2, workers=2, ai_capacity=0) as net:
        books.fund("gateway")
        net.wait_usable()
        run = Run(books, net)
        load = Load(net.url, LANES, run.send)
        counts, stalls = kill_at_random(
            load, {"gateway": run.kill_gateway, "orchestrator-0": lambda: run.kill_orchestrator(0), "orchestrator-1": lambda: run.kill_orchestrator(1)},
            chance, chosen.kills, 20)
        load.finish()
        # What a killed node had on credit is gone with it, on its own side. From here on both sides live: their balances must agree.
        run.stop_all()
        restart_all(net)
        answered = sum(echo(net)[0] == 200 for _ in range(200))
        settled = wait(lambda: won(books)[0] == won(books)[1] > 0, 60)
        ours, theirs = run.stop_all()
    stored = [row[0].hex() for row in books.query("SELECT hash FROM tickets")]
    redeemed = [row[0].hex() for row in books.query("SELECT hash FROM redemptions")]
    rows = {address.hex(): [int(value) for value in row] for address, *row in books.query("SELECT address, deposit, reserve, earned FROM accounts")}
    deposit, reserve, _ = rows[books.address("gateway")[2:].lower()]
    earned = sum(row[2] for row in rows.values())
    spent = 10**18 + 10**17 - deposit - reserve
    winning, paid = won(books)
    bought = books.receipts("gateway")
    sold = {}
    for i in range(2):
        sold |= books.receipts(f"orchestrator-{i}")
    check = account("check", "--ledger", f"sqlite:{books.ledger}")
    facts = {
        "kills": ", ".join(f"{name} {count}" for name, count in counts.items()),
        "jobs answered / failed": f"{load.done} / {load.failed}",
        "times the load did not come back within 30 s": stalls,
        "wei of answered jobs": run.paid,
        "winning tickets stored / redeemed": f"{len(stored)} / {len(redeemed)}",
        "wei: won / redeemed / left the payer / earned": f"{winning} / {paid} / {spent} / {earned}",
        "winning tickets that logs name": len(run.kept),
        "receipts: gateway / orchestrators / of kills": f"{len(bought)} / {len(sold)} / {run.noted}",
        "seconds": round(time.monotonic() - began),
    }
    checks = {
        "every winning ticket that was kept is stored": run.kept <= set(stored) and len(run.kept) > 0,
        "every stored ticket was redeemed once": settled and sorted(stored) == sorted(redeemed) and len(set(redeemed)) == len(redeemed),
        "won = redeemed = spent = earned": winning == paid == spent == earned,
        "the ledger's accounts follow from its entries": check.returncode == 0,
        "each answered job has a receipt": load.done + answered <= len(bought) <= load.done + answered + LANES * sum(counts.values()),
        "each receipt of the gateway is the orchestrator's, too": all(sold.get(name) == line for name, line in bought.items()),
        "the orchestrators' others are answers that were lost": len(sold) - len(bought) <= LANES * sum(counts.values()),
        "last balances agree on both sides": answered == 200 and len(ours) > 0 and ours == theirs,
        "the load always came back": stalls == 0,
    }
    if not all(checks.values()):
        facts |= {f"tickets in state {state}: {note or '(none)'}"[:57]: count for state, note, count in books.query(
            "SELECT state, CASE state WHEN 1 THEN '' ELSE note END AS why, COUNT(*) FROM tickets GROUP BY state, why")}
        facts["the ledger and the receipts are kept in"] = shutil.move(books.path, tempfile.mkdtemp(prefix="framegrid-kills-"))
    return verdict(facts, checks)


if __name__ == "__main__":
    raise SystemExit(main())
