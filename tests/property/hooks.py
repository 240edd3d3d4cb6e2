"""Keeps generated jobs small and short, gives half of the requests the id of something that exists, and tells what took the time."""
import atexit
import collections
import random
import re

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

SMALL = {"num_inference_steps": 1, "n": 1}
DEADLINE_MS = 2_000  # a job that nobody can do waits so long, and so does who listens to its events
WAIT = re.compile(r"wait=(\d+)")
took = collections.Counter()  # seconds, by operation
known = collections.defaultdict(lambda: collections.deque(maxlen=50))  # by the first part of the path
choice = random.Random(1)


def shrink(body):
    """A generated job that would take minutes becomes one of milliseconds; what is not one stays as it is."""
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("prompt"), str):
        body = {**body, **{name: value for name, value in SMALL.items() if isinstance(body.get(name, 0), (int, float))}}
        if "x" in str(body.get("size", "")):
            body["size"] = "64x64"
        if "seconds" in body or "num_frames" in body:
            body.pop("seconds", None)
            body["num_frames"] = 8
    if "pipeline" in body and isinstance(body.get("deadline_ms", 0), int):
        body = {**body, "deadline_ms": min(body.get("deadline_ms", DEADLINE_MS), DEADLINE_MS)}
    return body


def collection(path):
    return path.split("/")[2] if path.startswith("/v1/") else ""


@schemathesis.hook
def map_body(context, body):
    return shrink(body)


@schemathesis.hook
def map_headers(context, headers):
    if headers and isinstance(headers.get("Prefer"), str):
        return {**headers, "Prefer": WAIT.sub(lambda wait: f"wait={min(int(wait[1]), 1)}", headers["Prefer"])}
    return headers


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    ids = known[collection(context.operation.path)]
    if path_parameters and "id" in path_parameters and ids and choice.random() < 0.5:
        return {**path_parameters, "id": choice.choice(ids)}
    return path_parameters


@atexit.register
def tell_times():
    for operation, seconds in took.most_common(5):
        print(f"{seconds:8.1f} s  {operation}")


@schemathesis.hook
def after_call(context, case, response):
    took[f"{case.method} {context.operation.path if context.operation else case.path}"] += response.elapsed
    if case.method.upper() == "POST" and response.status_code in (200, 201, 202):
        try:
            made = response.json()
        except ValueError:
            return
        if isinstance(made, dict) and isinstance(made.get("id"), str):
            known[collection(case.path)].append(made["id"])
