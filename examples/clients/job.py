#!/usr/bin/env python3
"""Submits a durable job, follows it, and fetches its picture. Standard library only.

usage: FRAMEGRID_URL=http://127.0.0.1:9935 FRAMEGRID_API_KEY=... job.py "a red circle" circle.png
"""
import json
import os
import sys
import urllib.request
import uuid

BASE = os.environ.get("FRAMEGRID_URL", "http://127.0.0.1:9935")


def call(path, body=None, headers=None):
    """An open answer; `path` may be a whole URL."""
    request = urllib.request.Request(
        path if "://" in path else BASE + path, json.dumps(body).encode() if body else None, headers or {})
    if key := os.environ.get("FRAMEGRID_API_KEY"):
        request.add_header("Authorization", f"Bearer {key}")
    return urllib.request.urlopen(request, timeout=60)


def follow(job):
    """Prints what happens, until the job is over."""
    with call(job["urls"]["events"]) as events:
        for line in events:
            name, _, value = line.decode().rstrip().partition(": ")
            if name == "event":
                print(value)


def main(prompt, path):
    # The same key again is the same job: after a lost connection, simply run this again with it.
    document = {"pipeline": "text-to-image", "parameters": {"prompt": prompt}}
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    with call("/v1/jobs", document, headers) as answer:
        job = json.load(answer)
    follow(job)
    with call(job["urls"]["self"]) as answer:
        job = json.load(answer)
    if job["state"] != "succeeded":
        sys.exit(f"{job['state']}: {job.get('error')}")
    with call(job["outputs"][0]["url"]) as picture, open(path, "wb") as out:
        out.write(picture.read())


if __name__ == "__main__":
    main(*sys.argv[1:])
