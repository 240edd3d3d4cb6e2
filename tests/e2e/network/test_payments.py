"""Jobs that are paid: gateways and orchestrators with keys and a ledger file, and senders that pay badly."""

import contextlib
import functools
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_account import account
from test_commands import framegrid
from test_upscale import multipart

PAYER = pathlib.Path(os.environ.get("PAYER", harness.BINARY.parent / "tests/e2e/network/payer"))
ROUND_MS = 12_000  # 300 blocks: params live for 1.6 s
PRICE = 1  # wei a pixel; an echo is one
TICKET_EV = 1_000_000
SEGMENT_WEI = 426 * 240 * 60 * PRICE
PROFILES = [{"name": "240p", "width": 426, "height": 240, "bitrate": 400_000, "fps": 30}]


class Books:
    """Keys, a ledger and who has what in it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="framegrid-pay-")
        self.path = pathlib.Path(self.folder.name)
        self.password = self.path / "password"
        self.password.write_text("correct horse\n")
        self.ledger = self.path / "ledger.db"

    def key(self, name):
        file = self.path / f"{name}.json"
        if not file.exists():
            framegrid("key", "new", str(file), "--password-file", str(self.password))
        return file

    def address(self, name):
        return "0x" + json.loads(self.key(name).read_text())["address"]

    def args(self, name):
        return ["--ledger", f"sqlite:{self.ledger}", "--ledger-round-ms", str(ROUND_MS), "--key", str(self.key(name)),
                "--key-password-file", str(self.password)]

    def seller(self, i):
        return [*self.args(f"orchestrator-{i}"), "--price-per-unit", str(PRICE), "--ticket-ev", str(TICKET_EV),
                "--max-face-value", str(TICKET_EV * 2)]

    def query(self, text):
        with sqlite3.connect(self.ledger, timeout=10) as database:
            return database.execute(text).fetchall()

    def fund(self, name, deposit=10**18, reserve=10**17):
        framegrid("account", "fund", self.address(name), "--ledger", f"sqlite:{self.ledger}", "--deposit",
                  str(deposit), "--reserve", str(reserve))


def network(books, **options):
    return harness.Network(gateway_args=books.args("gateway"), orchestrator_args=books.seller, **options)


def fields(log, event):
    """Of every line of this event."""
    return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in log.splitlines() if f" {event} " in line]


def balances(log, event):
    return sorted((line["for"], line["wei"]) for line in fields(log, event))


def echo(net, body=b"x"):
    return net.request("POST", "/echo", body)


def won(books):
    """Wei of all tickets that won, and of those that were redeemed."""
    return tuple(sum(int(value) for (value,) in books.query(text)) for text in
                 ("SELECT face_value FROM tickets", "SELECT paid FROM redemptions"))


class PaymentsTest(unittest.TestCase):
    def setUp(self):
        self.books = Books()
        self.addCleanup(self.books.folder.cleanup)

    def test_jobs_are_paid_and_the_books_agree(self):
        books = self.books
        with network(books, orchestrators=2, workers=2) as net:
            books.fund("gateway")
            net.wait_usable()
            spent = 0
            for _ in range(50):
                status, headers, body = echo(net)
                self.assertEqual(status, 200, body)
                spent += int(headers["x-framegrid-wei"])
            self.assertEqual(spent, 50 * PRICE)
            data = harness.segment(2, "426x240")
            for seq in range(8):
                status, headers, body = net.push("show", seq, data, PROFILES)
                self.assertEqual(status, 200, body)
            metrics = net.request("GET", "/metrics")[2].decode()
            fees = float(re.search(r"^framegrid_gateway_fees_wei_total (\S+)", metrics, re.M).group(1))
            self.assertEqual(fees, spent + 8 * SEGMENT_WEI)
            # What was won is redeemed once its params have expired.
            self.assertTrue(wait(lambda: won(books)[0] == won(books)[1] > 0, 40), won(books))
            net.gateway.kill(signal.SIGTERM)
            net.gateway.popen.wait(10)
            for process in net.orchestrators:
                process.kill(signal.SIGTERM)
                process.popen.wait(10)
            ours = balances(net.gateway.log_text(), "gateway.balance")
            logs = [process.log_text() for process in net.orchestrators]
            theirs = sorted(sum((balances(log, "orchestrator.balance") for log in logs), []))
            self.assertTrue(ours)
            self.assertEqual(ours, theirs)
            redeemed = won(books)[1]
            rows = {address.hex(): row for address, *row in self.books.query(
                "SELECT address, deposit, reserve, earned FROM accounts")}
            deposit, reserve, _ = rows[books.address("gateway")[2:].lower()]
            self.assertEqual(10**18 + 10**17 - int(deposit) - int(reserve), redeemed)
            self.assertEqual(sum(int(row[2]) for row in rows.values()), redeemed)

    def test_a_dear_segment_takes_hundreds_of_tickets(self):
        books = self.books

        def seller(i):
            return [*books.args(f"orchestrator-{i}"), "--price-per-unit", "90", "--ticket-ev", str(TICKET_EV),
                    "--max-face-value", str(TICKET_EV * 2)]

        with harness.Network(gateway_args=books.args("gateway"), orchestrator_args=seller) as net:
            books.fund("gateway")
            net.wait_usable()
            status, _, body = net.push("dear", 0, harness.segment(2, "426x240"), PROFILES)
            self.assertEqual(status, 200, body)
            metrics = net.request("GET", "/metrics")[2].decode()
            sent = float(re.search(r"^framegrid_gateway_tickets_sent_total (\S+)", metrics, re.M).group(1))
            self.assertGreater(sent, SEGMENT_WEI * 90 // TICKET_EV - 1)
            self.assertLessEqual(sent, 600)

    @contextlib.contextmanager
    def network_with_keys(self):
        """Paid work for owners of API keys; its status is asked where no key is wanted."""
        admin = f"127.0.0.1:{harness.free_port()}"
        arguments = [*self.books.args("gateway"), "--auth", "keys", "--admin-listen", admin]
        with harness.Network(gateway_args=arguments, orchestrator_args=self.books.seller, workers=1) as net:
            net.status = lambda: json.loads(harness.request(f"http://{admin}/status")[2])
            self.books.fund("gateway")
            net.wait_usable()
            yield net

    def test_a_restart_forgets_nothing_that_a_key_has_spent(self):
        with self.network_with_keys() as net:
            made = framegrid("--json", "keys", "create", "--data", net.data.name, "--owner", "acme", "--scopes", "jobs:write",
                             "--wei-per-day", str(5 * PRICE))
            shown = {"Authorization": "Bearer " + json.loads(made.stdout)["key"]}

            def ask():
                status, _, body = net.request("POST", "/echo", b"x", shown)
                return status, b"wei_per_day" in body

            self.assertTrue(wait(lambda: ask()[0] != 401, 5))
            self.assertEqual([ask() for _ in range(2)], [(200, False)] * 2)
            net.restart_gateway()
            net.wait_usable()
            self.assertEqual([ask() for _ in range(4)], [(200, False)] * 2 + [(403, True)] * 2)
            net.gateway.kill()
            net.restart_gateway()
            net.wait_usable()
            self.assertEqual(ask(), (403, True))
            used = json.loads(framegrid("--json", "keys", "usage", "--data", net.data.name).stdout)
            self.assertEqual(used["data"], [{
                "object": "key_usage", "owner": "acme", "spent_today": str(5 * PRICE), "spent_total": str(5 * PRICE), "left_today": "0"}])
            self.assertRegex(framegrid("keys", "usage", "--owner", "acme", "--data", net.data.name).stdout,
                             rf"acme +{5 * PRICE} +0 +{5 * PRICE} +any\n")

    def test_a_balance_is_topped_up_while_the_gateway_runs(self):
        with self.network_with_keys() as net:
            keys = functools.partial(framegrid, "--json", "keys")
            at = ["--data", net.data.name]
            made = keys("create", *at, "--owner", "acme", "--scopes", "jobs:write", "--wei-total", str(2 * PRICE))
            shown = {"Authorization": "Bearer " + json.loads(made.stdout)["key"]}

            def ask():
                status, _, body = net.request("POST", "/echo", b"x", shown)
                return status, b"wei_total" in body

            self.assertTrue(wait(lambda: ask()[0] != 401, 5))
            self.assertTrue(wait(lambda: ask() == (403, True), 5))
            raised = json.loads(keys("topup", "acme", str(3 * PRICE), *at).stdout)
            self.assertEqual(raised["data"], [{
                "object": "key_usage", "owner": "acme", "spent_today": str(2 * PRICE), "spent_total": str(2 * PRICE), "left_total": str(3 * PRICE)}])
            self.assertTrue(wait(lambda: ask()[0] == 200, 5), "the running gateway hears of it")
            self.assertEqual([ask() for _ in range(3)], [(200, False)] * 2 + [(403, True)])
            for arguments, field in (("nobody", "1"), "owner"), (("acme", "much"), "amount"), (("acme", str(2**256 - 1)), "amount"):
                refused = framegrid("--json", "keys", "topup", *arguments, *at)
                self.assertEqual((refused.returncode != 0, json.loads(refused.stdout or refused.stderr)["error"]["field"]), (True, field))

    def test_a_crash_forgets_nothing_of_a_job_that_was_paid_and_not_over(self):
        with self.network_with_keys() as net:
            made = framegrid("--json", "keys", "create", "--data", net.data.name, "--owner", "acme",
                             "--scopes", "jobs:write,jobs:read", "--wei-per-day", str(10**9))
            shown = {"Authorization": "Bearer " + json.loads(made.stdout)["key"], "Content-Type": "application/json"}

            def spent():
                with sqlite3.connect(pathlib.Path(net.data.name) / "jobs.sqlite", timeout=10) as database:
                    rows = database.execute("SELECT total FROM spent WHERE owner = 'acme'").fetchall()
                return int(rows[0][0]) if rows else 0

            long = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "num_inference_steps": 1000}}
            self.assertTrue(wait(lambda: net.request("GET", "/v1/jobs", None, shown)[0] != 401, 5))
            status, _, body = net.request("POST", "/v1/jobs", json.dumps(long), shown)
            self.assertEqual(status, 202, body)
            path = "/v1/jobs/" + json.loads(body)["id"]
            self.assertTrue(wait(lambda: spent() > 0, 30), net.gateway.log_text())
            net.gateway.kill()
            lost = spent()
            self.assertGreater(lost, 0)
            net.restart_gateway()
            net.wait_usable()
            self.assertTrue(wait(lambda: spent() == 2 * lost, 30), "it is paid a second time")
            self.assertIn(net.request("DELETE", path, None, shown)[0], (200, 202))
            # Of what ended in order the store hears that it cost nothing; what the crash took stays.
            self.assertTrue(wait(lambda: spent() == lost, 30), spent())
            told = net.request("GET", path + "/events", None, shown)[2].decode()
            self.assertRegex(told, r"event: price\ndata: {[^\n]*\"wei\":\"%d\"" % lost)

    def test_the_bill_has_what_a_crash_took(self):
        with self.network_with_keys() as net:
            made = framegrid("--json", "keys", "create", "--data", net.data.name, "--owner", "acme",
                             "--scopes", "jobs:write,jobs:read")
            shown = {"Authorization": "Bearer " + json.loads(made.stdout)["key"], "Content-Type": "application/json"}
            self.assertTrue(wait(lambda: net.request("GET", "/v1/jobs", None, shown)[0] != 401, 5))
            document = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "num_inference_steps": 400}}
            status, _, body = net.request("POST", "/v1/jobs", json.dumps(document), shown)
            self.assertEqual(status, 202, body)
            path = "/v1/jobs/" + json.loads(body)["id"]
            stream = http.client.HTTPConnection(*net.url.split("//")[1].split(":"), timeout=30)
            stream.request("GET", path + "/events", headers=shown)
            kinds = (event["event"] for event in harness.read_events(stream.getresponse()))
            self.assertTrue(any(kind == "price" for kind in kinds), "it was paid")
            net.gateway.kill()
            net.gateway.popen.wait(10)
            stream.close()
            net.restart_gateway()
            net.wait_usable()

            def job():
                return json.loads(net.request("GET", path, None, shown)[2])

            self.assertTrue(wait(lambda: job()["state"] == "succeeded", 60), job())
            run = job()["run"]
            self.assertGreater(int(run["lost_wei"]), 0, run)
            self.assertEqual(int(run["wei"]), 2 * int(run["lost_wei"]), "twice the same work")
            prices = re.findall(r'event: price\ndata: {[^\n]*"wei":"(\d+)"', net.request("GET", path + "/events", None, shown)[2].decode())
            self.assertEqual(prices, [run["lost_wei"], run["wei"]])

    def test_both_sides_keep_receipts_that_agree(self):
        books = self.books
        folders = {name: books.path / "receipts" / name for name in ("gateway", "orchestrator-0")}

        def seller(i):
            return [*books.seller(i), "--receipts", str(folders["orchestrator-0"])]

        with harness.Network(gateway_args=[*books.args("gateway"), "--receipts", str(folders["gateway"])],
                             orchestrator_args=seller, orchestrators=1, workers=1) as net:
            books.fund("gateway")
            net.wait_usable()
            jobs = 40
            trace = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}  # of all: each has a receipt of its own nevertheless
            for i in range(jobs):
                self.assertEqual(net.request("POST", "/echo", b"same" if i % 2 else b"body %d" % i, trace)[0], 200)
            large = os.urandom(6 << 20)  # is never in memory as a whole
            document = {"pipeline": "echo", "inputs": {
                "data": json.loads(net.request("POST", "/v1/artifacts", large)[2])["id"]}}
            answer = net.request("POST", "/v1/jobs", json.dumps(document), {"Prefer": "wait=30"})[2]
            self.assertEqual(json.loads(answer)["run"]["wei"], str(PRICE), answer)
            jobs += 1
            picture = harness.clip("scene.png", ["-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1"]).read_bytes()
            form, kind = multipart({"prompt": "a sharp one", "model_id": "framegrid/sr-2x", "seed": "5"}, picture)
            status, headers, body = net.request("POST", "/upscale", form, {"Content-Type": kind})
            self.assertEqual(status, 200, body)
            upscaled = int(headers["x-framegrid-wei"])
            data = harness.segment(2, "426x240")
            for seq in range(4):
                status, _, body = net.push("show", seq, data, PROFILES)
                self.assertEqual(status, 200, body)
            metrics = net.request("GET", "/metrics")[2].decode()
            fees = int(float(re.search(r"^framegrid_gateway_fees_wei_total (\S+)", metrics, re.M).group(1)))
            for process in (net.gateway, *net.orchestrators):
                process.kill(signal.SIGTERM)
                process.popen.wait(10)
            self.assertEqual(fees, jobs * PRICE + 4 * SEGMENT_WEI + upscaled)
            jobs += 1
            both = [str(folder) for folder in folders.values()]
            found = json.loads(account("reconcile", *both).stdout)
            self.assertEqual(found["differences"], [])
            self.assertEqual((found["a"]["amount"], found["b"]["amount"]), (str(fees), str(fees)))
            lines = [json.loads(line) for file in folders["gateway"].iterdir()
                     for line in file.read_text().splitlines()]
            self.assertEqual(len(lines), jobs + 4)
            self.assertEqual(len({line["id"] for line in lines}), jobs + 4)
            digest = hashlib.sha256(large).hexdigest()
            for folder in folders.values():
                found = [json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
                self.assertEqual([line.get("output") for line in found if line.get("input") == digest], [digest])
            [still] = [line for line in lines if line["work"] == "upscale/framegrid/sr-2x"]
            self.assertEqual(still["input"], hashlib.sha256(picture).hexdigest())
            self.assertEqual(still["v"], 2)
            self.assertNotEqual(still["parameters"], "0" * 64)
            video = [line for line in lines if line["work"] == "transcoding"]
            self.assertEqual({line["input"] for line in video}, {hashlib.sha256(data).hexdigest()})
            self.assertNotIn("0" * 64, [line["output"] for line in lines])
            # An hour later, for these books: a start closes the hour that is over.
            open_file = next(folders["orchestrator-0"].iterdir())
            closed = open_file.with_name("2025-11-27T06.jsonl")
            open_file.rename(closed)
            again = net._orchestrator(net.uris[0].split("//")[1], 0)
            again.line("ready ")
            again.kill(signal.SIGTERM)
            again.popen.wait(10)
            again.stop()
            verify = ("verify", folders["orchestrator-0"], "--party", books.address("orchestrator-0"))
            report = json.loads(account(*verify).stdout)
            self.assertEqual((report["receipts"], report["amount"]), (jobs + 4, str(fees)))
            bytes_of = bytearray(closed.read_bytes())
            at = bytes_of.index(b'"output":"') + len(b'"output":"')
            bytes_of[at] = ord("1") if bytes_of[at] == ord("0") else bytes_of[at] ^ 1
            closed.write_bytes(bytes_of)
            self.assertEqual(account(*verify).returncode, 1)

    def test_a_killed_orchestrator_loses_no_winning_ticket(self):
        books = self.books
        with network(books, orchestrators=1, workers=1) as net:
            books.fund("gateway")
            net.wait_usable()
            stop = threading.Event()
            answered = []

            data = harness.segment(2, "426x240")

            def load(stream):
                seq = 0
                while not stop.is_set():
                    answered.append(net.push(stream, seq, data, PROFILES)[0])
                    seq += 1

            threads = [threading.Thread(target=load, args=(f"stream{i}",)) for i in range(3)]
            for thread in threads:
                thread.start()
            kept = set()
            for _ in range(3):
                victim = net.orchestrators[0]
                self.assertTrue(wait(lambda p=victim: fields(p.log_text(), "orchestrator.ticket_kept"), 30))
                victim.kill()
                victim.popen.wait(5)
                kept |= {line["hash"] for line in fields(victim.log_text(), "orchestrator.ticket_kept")}
                victim.stop()
                net.orchestrators[0] = net._orchestrator(net.uris[0].split("//")[1], 0)
                net.orchestrators[0].line("ready ")
            net.wait_usable()
            before = answered.count(200)
            self.assertTrue(wait(lambda: answered.count(200) > before + 5))
            stop.set()
            for thread in threads:
                thread.join()
            self.assertTrue(kept)
            stored = {row[0].hex() for row in books.query("SELECT hash FROM tickets")}
            self.assertLessEqual(kept, stored)
            hashes = [row[0].hex() for row in books.query("SELECT hash FROM redemptions")]
            self.assertEqual(len(hashes), len(set(hashes)))

    def test_prices_in_dollars_follow_a_feed(self):
        books = self.books
        feed = books.path / "usd"
        feed.write_text("2000\n")

        def seller(i):
            return [*books.seller(i), "--price", f"{books.address('gateway')}=0.000000001USD", "--usd-per-eth", "1000",
                    "--usd-per-eth-file", str(feed)]

        with harness.Network(gateway_args=books.args("gateway"), orchestrator_args=seller, orchestrators=1, workers=1) as net:
            books.fund("gateway")
            log = net.orchestrators[0].log_text
            self.assertTrue(wait(lambda: fields(log(), "orchestrator.usd_rate"), 10))
            net.wait_usable()
            status, headers, body = echo(net)
            self.assertEqual((status, headers.get("x-framegrid-wei")), (200, "500000"), body)
            for text in ("many", "0", "300000", ""):
                before = len(fields(log(), "orchestrator.usd_rate_refused"))
                feed.write_text(text)
                self.assertTrue(wait(lambda n=before: len(fields(log(), "orchestrator.usd_rate_refused")) > n, 10), text)
            feed.write_text("2500.5")
            self.assertTrue(wait(lambda: [line["digits"] for line in fields(log(), "orchestrator.usd_rate")] == ["2000", "25005"], 10))
            feed.unlink()
            self.assertTrue(wait(lambda: "cannot read" in log(), 10))

    def test_a_killed_node_loses_no_receipt(self):
        books = self.books
        folders = {name: books.path / "receipts" / name for name in ("gateway", "orchestrator-0")}

        def seller(i):
            return [*books.seller(i), "--receipts", str(folders["orchestrator-0"])]

        lanes, kills = 4, 4
        with harness.Network(gateway_args=[*books.args("gateway"), "--receipts", str(folders["gateway"])],
                             orchestrator_args=seller, orchestrators=1, workers=1) as net:
            books.fund("gateway")
            net.wait_usable()
            stop, answered, recovered = threading.Event(), [], {name: 0 for name in folders}

            def load():
                while not stop.is_set():
                    try:
                        answered.append(echo(net)[0])
                    except OSError:
                        time.sleep(0.02)  # the gateway is away

            threads = [threading.Thread(target=load) for _ in range(lanes)]
            for thread in threads:
                thread.start()

            def flows():
                before = answered.count(200)
                return wait(lambda: answered.count(200) > before + 200, 40)

            for _ in range(kills):
                for name, restart in (("gateway", net.restart_gateway), ("orchestrator-0", lambda: net.restart_orchestrator(0))):
                    self.assertTrue(flows())
                    victim = net.gateway if name == "gateway" else net.orchestrators[0]
                    victim.kill()
                    victim.popen.wait(5)
                    restart()
                    again = net.gateway if name == "gateway" else net.orchestrators[0]
                    recovered[name] += sum(int(line["receipts"]) for line in fields(again.log_text(), "receipts.recovered"))
            self.assertTrue(flows())
            stop.set()
            for thread in threads:
                thread.join()
            for process in (net.gateway, *net.orchestrators):
                process.kill(signal.SIGTERM)
                process.popen.wait(10)
            self.assertTrue(all(recovered.values()), recovered)
            found = json.loads(account("reconcile", *map(str, folders.values())).stdout)
            jobs, sold = found["a"]["receipts"], found["b"]["receipts"]
            kinds = [one["difference"] for one in found["differences"]]
            # Whatever the gateway has paid and knows of, the orchestrator has signed for; and each answer that a
            # client got is in both books. What was being answered when the gateway or the way to it went is only
            # in the orchestrator's.
            self.assertEqual(set(kinds) - {"only_in_b"}, set(), found["differences"][:5])
            self.assertEqual(sold - jobs, len(kinds))
            self.assertLessEqual(len(kinds), 2 * kills * lanes)
            self.assertGreaterEqual(jobs, answered.count(200))
            self.assertLessEqual(jobs, answered.count(200) + kills * lanes)
            for folder in folders.values():
                self.assertEqual([file.suffix for file in folder.iterdir() if file.suffix != ".jsonl"], [])

    def test_bad_payments_are_refused_with_their_reason(self):
        books = self.books
        with network(books, orchestrators=1, workers=0) as net:
            books.fund("payer")
            done = subprocess.run([PAYER, net.uris[0], books.key("payer"), books.password], capture_output=True,
                                  text=True, timeout=60)
            said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
            expected = {
                "unpaid": "expects 0 wei", "free": "expects", "good": "done",
                "replayed": "already seen", "cheaper": "recipientRand", "dearer face value": "recipientRand",
                "win probability": "recipientRand", "wrong recipient": "invalid ticket recipient",
                "forged": "invalid ticket signature", "too many": "601|too long", "expired": "expired",
                "good again": "done",
            }
            self.assertEqual(set(said), set(expected), done.stderr)
            for name, text in expected.items():
                self.assertRegex(said[name], text, name)

    def test_without_a_deposit_nothing_is_bought(self):
        with network(self.books, orchestrators=1, workers=0) as net:
            self.assertTrue(wait(lambda: net.status()["orchestrators"][0]["known"]))
            status, _, body = echo(net)
            self.assertEqual(status, 503, body)
            self.assertIn(b"insufficient sender reserve", body)


def wait(condition, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    unittest.main()
