#!/usr/bin/env python3
"""What paying for every job costs: jobs that do nothing, on a network without and with payments, with a gateway whose key is a
signer's, and with receipts on both sides, in turns. Tickets pay for many such jobs; with `--ticket-ev 1` (env TICKET_EV=1) each job needs one."""

import hashlib
import os
import signal
import statistics
import tempfile

from common import harness, report
from overhead import h2load, sequential_ms
from test_payments import PRICE, ROUND_MS, Books, network
from test_payments import TICKET_EV as TICKET_EV_USUAL

JOBS = int(os.environ.get("JOBS", "15000"))
TURNS = int(os.environ.get("TURNS", "5"))
TICKET_EV = int(os.environ.get("TICKET_EV", TICKET_EV_USUAL))
KEY = "a caller's key"


def start_signer(books):
    callers, key_file = books.path / "callers.toml", books.path / "caller.key"
    callers.write_text(f'[[caller]]\nname = "one"\nkey_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n'
                       'wei_per_day_max = "1000000000000000000"\n')
    key_file.write_text(KEY)
    signer = harness.Process(
        ["--log-level", "warn", "signer", "--key", str(books.key("remote")), "--key-password-file", str(books.password),
         "--callers", str(callers), "--data", str(books.path / "signer"), "--listen", "127.0.0.1:0"], name="signer")
    url = signer.line("ready ").split()[1]
    return signer, ["--ledger", f"sqlite:{books.ledger}", "--ledger-round-ms", str(ROUND_MS), "--signer", url,
                    "--signer-key-file", str(key_file)]


def seller(books, i):
    return [*books.args(f"orchestrator-{i}"), "--price-per-unit", str(PRICE), "--ticket-ev", str(TICKET_EV),
            "--max-face-value", str(TICKET_EV * 2)]


def main():
    books, apart, kept = Books(), Books(), Books()
    receipts = lambda name: [*Books.args(kept, name), "--receipts", str(kept.path / "receipts" / name)]  # noqa: E731
    kept.args = receipts
    kept.seller = lambda i: seller(kept, i)
    books.seller = lambda i: seller(books, i)
    apart.seller = lambda i: seller(apart, i)
    signer, remote_args = start_signer(apart)
    with harness.Network(1, 1, ai_capacity=0, log_level="warn") as free, \
            network(books, orchestrators=1, workers=1, ai_capacity=0, log_level="warn") as paid, \
            network(kept, orchestrators=1, workers=1, ai_capacity=0, log_level="warn") as noted, \
            harness.Network(1, 1, ai_capacity=0, log_level="warn", gateway_args=remote_args,
                            orchestrator_args=apart.seller) as remote, \
            tempfile.NamedTemporaryFile() as data:
        books.fund("gateway")
        apart.fund("remote")
        kept.fund("gateway")
        data.write(b"x" * 100)
        data.flush()
        rates = {free: [], paid: [], remote: [], noted: []}
        for net in rates:
            net.wait_usable()
            sequential_ms(net.url, "/echo", 300)
        for _ in range(TURNS):
            for net, found in rates.items():
                found.append(h2load(net.url, "/echo", JOBS, data.name)[0])
        ratio, remote_ratio, noted_ratio = (statistics.median(b / a for a, b in zip(rates[one], rates[other]))
                                            for one, other in ((free, paid), (paid, remote), (paid, noted)))
    signer.kill(signal.SIGTERM)
    signer.stop()
    return report("payments", {"jobs_per_s": round(max(rates[free])), "paid_jobs_per_s": round(max(rates[paid])),
                               "remote_signer_jobs_per_s": round(max(rates[remote])), "median_ratio": round(ratio, 3),
                               "remote_signer_ratio": round(remote_ratio, 3), "receipts_jobs_per_s": round(max(rates[noted])),
                               "receipts_ratio": round(noted_ratio, 3)}, "at most 5% fewer jobs", ratio >= 0.95)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
