"""`framegrid account`: an embedded ledger and books of receipts on the command line."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import harness

SENDER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def account(*arguments):
    return subprocess.run([str(harness.BINARY), "--json", "account", *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)


def receipt(number, units=3):
    """A line as the program writes it; 5/2 wei for each unit."""
    amount = str(units * 5 // 2) if units % 2 == 0 else f"{units * 5}/2"
    return (f'{{"id":"{number:064x}","at_ms":1764223200000,"payer":"0x{1:040x}","payee":"0x{2:040x}",'
            f'"work":"transcoding","price":"5/2","units":{units},"amount":"{amount}","model":"{0:064x}",'
            f'"input":"{3:064x}","output":"{4:064x}"}}\n')


class AccountTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.ledger = f"sqlite:{self.path}/ledger.sqlite"

    def ok(self, *arguments):
        done = account(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads(done.stdout)

    def refused(self, *arguments):
        done = account(*arguments)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr + done.stdout

    def test_money_goes_in_and_waits_to_come_out(self):
        self.assertIn("no ledger", self.refused("ls", "--ledger", self.ledger))
        self.assertIn("say how much", self.refused("fund", SENDER, "--ledger", self.ledger))
        funded = self.ok("fund", SENDER, "--deposit", "700000000000000000", "--reserve", 10**18, "--ledger", self.ledger)
        self.assertEqual(funded["address"], SENDER)
        self.assertEqual(funded["deposit"], "700000000000000000")
        self.ok("fund", SENDER.lower(), "--deposit", 5, "--ledger", self.ledger)
        self.assertEqual(self.ok("show", SENDER, "--ledger", self.ledger)["funded"], "1700000000000000005")
        accounts = self.ok("ls", "--ledger", self.ledger)["data"]
        self.assertEqual([one["reserve"] for one in accounts], ["1000000000000000000"])
        self.assertIn("no unlock request", self.refused("withdraw", SENDER, "--ledger", self.ledger))
        self.assertEqual(self.ok("unlock", SENDER, "--ledger", self.ledger)["withdraw_round"], 3)
        self.assertIn("account is locked", self.refused("withdraw", SENDER, "--ledger", self.ledger))
        self.assertNotIn("withdraw_round", self.ok("lock", SENDER, "--ledger", self.ledger))
        self.assertIn("nothing was earned", self.refused("collect", SENDER, "--ledger", self.ledger))
        self.assertEqual(self.ok("usage", "--ledger", self.ledger)["data"], [])
        self.assertEqual(self.ok("check", "--ledger", self.ledger)["held"], "1700000000000000005")
        self.assertIn("40 hex digits", self.refused("show", "0x12", "--ledger", self.ledger))

    def test_books_are_checked_and_compared(self):
        self.assertEqual(account("verify", self.path / "none").returncode, 1)
        books = {"a": [receipt(1), receipt(2), receipt(3)], "b": [receipt(1), receipt(2, 4), receipt(4)]}
        for name, lines in books.items():
            (self.path / name).mkdir()
            (self.path / name / "2025-11-27T06.jsonl").write_text("".join(lines))
        self.assertEqual(self.ok("verify", self.path / "a"), {
            "object": "receipts", "party": "", "hours": 0, "receipts": 0, "amount": "0", "open_receipts": 3})
        self.assertIn("nobody yet", self.refused("verify", self.path / "a", "--party", SENDER))
        self.assertEqual(self.ok("reconcile", self.path / "a", self.path / "a")["differences"], [])
        done = account("reconcile", self.path / "a", self.path / "b")
        self.assertEqual(done.returncode, 1)
        found = json.loads(done.stdout)
        self.assertEqual([(int(d["id"], 16), d["difference"], d["a"], d["b"]) for d in found["differences"]], [
            (2, "amount", "15/2", "10"), (3, "only_in_a", "15/2", "0"), (4, "only_in_b", "0", "15/2")])
        self.assertEqual((found["a"]["amount"], found["b"]["amount"]), ("45/2", "25"))
        (self.path / "a" / "2025-11-27T06.jsonl").write_text(receipt(1).replace('"units":3', '"units":4'))
        self.assertIn("the amount is not what units and price make", self.refused("verify", self.path / "a"))


if __name__ == "__main__":
    unittest.main()
