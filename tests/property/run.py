#!/usr/bin/env python3
"""Calls every route of a real gateway with what its OpenAPI document allows, and with what it does not: no answer may be a 5xx,
have a status that the document does not list, or a body that does not fit.

usage: tests/property/run.py [--calls N] [--seed N] [--processes N]      status 77: schemathesis cannot be installed
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e/network"))
import harness  # noqa: E402

VERSION = "4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def schemathesis():
    """The program, installed once into an environment of its own; None: it cannot be."""
    where = pathlib.Path(os.environ.get("FRAMEGRID_SCHEMATHESIS", ROOT / "build/schemathesis"))
    program = where / "bin/schemathesis"
    if not program.exists() or VERSION not in subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False).stdout:
        try:
            venv.create(where, clear=True, with_pip=True)
        except subprocess.CalledProcessError:  # Debian's Python without python3-venv
            return None
        done = subprocess.run([where / "bin/pip", "install", "-q", "--disable-pip-version-check",
                               f"schemathesis=={VERSION}"], check=False)
        if done.returncode:
            return None
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--calls", type=int, default=1500, help="about so many in all, besides one of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="each takes a part of the calls and a seed of its own")
    options = parser.parse_args()
    program = schemathesis()
    if program is None:
        return 77
    document = json.loads((ROOT / "framegrid/rest/openapi.json").read_text())
    operations = sum(method != "parameters" for path in document["paths"].values() for method in path)
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    with harness.Network(1, 1, ai_capacity=2) as network:
        network.wait_usable()
        command = [
            program, "run", f"{network.url}/openapi.json", "--checks", CHECKS, "--continue-on-failure", "--no-color",
            "--suppress-health-check", "all", "--request-timeout", "60", "--warnings", "off",
            "--generation-database", "none", "--max-examples",
            str(max(1, options.calls // operations // options.processes))]
        # One thread each: Python's parser is not safe with several, and Hypothesis uses it.
        runs = [subprocess.Popen(
            [*command, "--seed", str(options.seed + i), "--phases", "examples,coverage,fuzzing" if i == 0 else "fuzzing"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for i in range(options.processes)]
        told = [run.communicate()[0] for run in runs]
        print("\n".join(text[-20000:] for text in told))
        if network.gateway.popen.poll() is not None:
            print("the gateway is gone:", network.gateway.popen.returncode, network.gateway.log_text()[-2000:])
            return 1
    ran = all("Test cases:" in text for text in told)
    return max(run.returncode for run in runs) if ran else 1


if __name__ == "__main__":
    sys.exit(main())
