#!/usr/bin/env python3
"""What paying for every job costs: jobs that do nothing, on a network without and with payments, in turns."""

import statistics
import tempfile

from common import harness, report
from overhead import h2load, sequential_ms
from test_payments import Books, network

JOBS = 15000
TURNS = 5


def main():
    books = Books()
    with harness.Network(1, 1, ai_capacity=0, log_level="warn") as free, \
            network(books, orchestrators=1, workers=1, ai_capacity=0, log_level="warn") as paid, \
            tempfile.NamedTemporaryFile() as data:
        books.fund("gateway")
        data.write(b"x" * 100)
        data.flush()
        rates = {free: [], paid: []}
        for net in rates:
            net.wait_usable()
            sequential_ms(net.url, "/echo", 300)
        for _ in range(TURNS):
            for net, found in rates.items():
                found.append(h2load(net.url, "/echo", JOBS, data.name)[0])
        ratios = [b / a for a, b in zip(rates[free], rates[paid])]
    ratio = statistics.median(ratios)
    return report("payments", {"jobs_per_s": round(max(rates[free])), "paid_jobs_per_s": round(max(rates[paid])),
                               "median_ratio": round(ratio, 3)}, "at most 5% fewer jobs", ratio >= 0.95)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
