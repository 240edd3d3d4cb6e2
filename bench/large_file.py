#!/usr/bin/env python3
"""A large file: upload, a job that gives it back, and download, beside nginx that takes and gives the same file. The job is
another trip there and back, to the orchestrator and over TLS: nginx makes that one, too, for comparison.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from common import harness, median, report

BYTES = int(os.environ.get("FRAMEGRID_BENCH_BYTES", 1 << 30))
ROUNDS = 3
RATIO_MIN = 0.70
GROWTH_MAX = 32 << 20
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

# As Debian ships it, with the WebDAV module's PUT instead of its pages.
CONFIG = """
daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
  sendfile on; tcp_nopush on; access_log off; client_max_body_size 0;
  client_body_temp_path {folder}/part; proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl; root {folder}/files;
    location / {{ dav_methods PUT DELETE; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder):
    """The URLs of one that keeps files in `folder`: plain, and with TLS."""
    (folder / "files").mkdir()
    os.chmod(folder, 0o777)
    os.chmod(folder / "files", 0o777)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=localhost", "-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")],
                   check=True, capture_output=True)
    port, tls_port = harness.free_port(), harness.free_port()
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, tls_port=tls_port))
    process = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
    finally:
        process.terminate()
        process.wait()


def curl(*arguments):
    """(seconds, what it printed)"""
    began = time.monotonic()
    done = subprocess.run(["curl", "-sS", "--fail-with-body", *arguments], capture_output=True, check=True)
    return time.monotonic() - began, done.stdout


def memory(pid, name="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(name)


class Peak:
    """The highest resident size of a process while the block runs."""

    def __init__(self, pid):
        self.pid, self.bytes, self.over = pid, memory(pid), threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self):
        while not self.over.wait(0.01):
            self.bytes = max(self.bytes, memory(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def through_nginx(urls, source, back):
    plain, tls = urls
    up, _ = curl("-T", str(source), plain + "/file")
    down, _ = curl("-o", str(back), plain + "/file")
    curl("-X", "DELETE", plain + "/file")
    hop = sum(curl("-k", *arguments, tls + "/hop")[0] for arguments in (("-T", str(source)), ("-o", str(back))))
    curl("-k", "-X", "DELETE", tls + "/hop")
    return {"upload": up, "download": down, "hop": hop}


def through_framegrid(network, source, back):
    up, answer = curl("-X", "POST", "-T", str(source), network.url + "/v1/artifacts")
    file = json.loads(answer)
    began = time.monotonic()
    document = json.dumps({"pipeline": "echo", "inputs": {"data": file["id"]}})
    _, answer = curl("--json", document, "-H", "Prefer: wait=120", network.url + "/v1/jobs")
    job = time.monotonic() - began
    result = json.loads(answer)
    if result["state"] != "succeeded":
        raise RuntimeError(answer.decode())
    artifact = result["outputs"][0]["artifact"]
    down, _ = curl("-o", str(back), f"{network.url}/v1/artifacts/{artifact}/content")
    for one in (file["id"], artifact):
        curl("-X", "DELETE", f"{network.url}/v1/artifacts/{one}")
    return {"upload": up, "job": job, "download": down}


def warm_up(folder, source):
    """Memory that a virtual machine has never used is slow at its first use: files that are gone again leave it ready."""
    copies = [folder / f"warm-{i}" for i in range(4)]
    for copy in copies:
        shutil.copyfile(source, copy)
    for copy in copies:
        copy.unlink()


def change(source):
    """Other bytes, so that nobody knows them already. Their SHA-256."""
    with open(source, "r+b") as file:
        file.write(os.urandom(32))
        os.fsync(file.fileno())
    return sha256(source)


def clear(network):
    """The gateway keeps bytes that have no record any more for ten minutes; the next round shall find the disk as this one."""
    for path in pathlib.Path(network.data.name).glob("objects/??/??/*"):
        path.unlink()


def make_file(path):
    with open("/dev/urandom", "rb") as random, open(path, "wb") as file:
        left = BYTES
        while left > 0:
            left -= file.write(random.read(min(left, 1 << 20)))
        os.fsync(file.fileno())


def run(folder):
    source, back = folder / "source", folder / "back"
    make_file(source)
    warm_up(folder, source)
    legs = {"nginx": [], "framegrid": []}
    with nginx(folder / "nginx") as urls, \
            harness.Network(1, 1, ai_capacity=0, log_level="warn") as network:
        network.wait_usable()
        before = memory(network.gateway.pid)
        with Peak(network.gateway.pid) as peak:
            for _ in range(ROUNDS):
                digest = change(source)
                legs["nginx"].append(through_nginx(urls, source, back))
                back.unlink()
                legs["framegrid"].append(through_framegrid(network, source, back))
                if sha256(back) != digest:
                    raise RuntimeError("other bytes came back")
                back.unlink()
                clear(network)
        most = max(peak.bytes, memory(network.gateway.pid, "VmHWM"))
    return legs, most - before


def main():
    if NGINX is None:
        print("large_file: there is no nginx to compare with (Debian: apt-get install nginx-light)", file=sys.stderr)
        return True
    with tempfile.TemporaryDirectory(prefix="framegrid-large-") as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        (folder / "nginx").mkdir()
        legs, growth = run(folder)
    seconds = {who: {leg: median([r[leg] for r in rounds]) for leg in rounds[0]} for who, rounds in legs.items()}
    copies = [sum(r[leg] for leg in ("upload", "download")) for r in legs["nginx"]]
    ours = [sum(r.values()) for r in legs["framegrid"]]
    ratio = median(copies) / median(ours)
    same_way = median([sum(r.values()) for r in legs["nginx"]]) / median(ours)
    figures = {f"{who}_{leg}_s": round(s, 2) for who, part in seconds.items() for leg, s in part.items()}
    return report("large_file", {"bytes": BYTES, **figures,
                                 "nginx_s": round(median(copies), 2), "framegrid_s": round(median(ours), 2),
                                 "ratio": round(ratio, 2), "ratio_the_same_way": round(same_way, 2),
                                 "growth_mb": round(growth / 1e6, 1)},
                  "ratio >= 0.70, gateway memory growth < 32 MB", ratio >= RATIO_MIN and growth < GROWTH_MAX)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
