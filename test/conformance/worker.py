"""The handlers of RunPod's workers under test: `worker.py MODE [JOBS_AT_ONCE]`, and each job's input says what becomes of it."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
import time

import runpod

FOLDER = os.environ["WAYBILL_TEST_FOLDER"]
RUNNER = int(os.environ["WAYBILL_TEST_RUNNER"])


def watch_runner():
    """The tests may be killed where they cannot clean up: then this group, heartbeat process and all, ends by itself."""
    while True:
        try:
            os.kill(RUNNER, 0)
        except ProcessLookupError:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        time.sleep(1)


def start_watch():
    threading.Thread(target=watch_runner, daemon=True).start()


def mark(name, what):
    """Leaves a file for the test to see, whole or not at all."""
    path = os.path.join(FOLDER, f"{name}.{what}")
    with open(path + ".part", "w") as file:
        json.dump({"worker": os.environ["RUNPOD_POD_ID"], "atMs": int(time.time() * 1000)}, file)
    os.rename(path + ".part", path)


def is_released(name):
    return os.path.exists(os.path.join(FOLDER, f"{name}.release"))


def plain(job):
    job_input = job["input"]
    kind = job_input["kind"]
    if kind == "value":
        return {"echo": job_input, "é": [1, None, "ü"]}
    if kind == "none":
        return None
    if kind == "true":
        return True
    if kind == "empty":
        return {}
    if kind == "error":
        return {"error": "soft failure", "extra": 1}
    if kind == "error alone":
        return {"error": "soft failure"}
    if kind == "raise":
        raise ValueError("boom é")
    if kind == "nan":
        return {"x": float("nan"), "list": [1, float("inf"), float("-inf")]}
    if kind == "unserialisable":
        return {1, 2}
    if kind == "refresh":
        return {"refresh_worker": True, "x": 1}
    if kind == "progress":
        runpod.serverless.progress_update(job, {"percent": 50})
        while not is_released(job_input["name"]):
            time.sleep(0.05)
        return "done"
    raise ValueError(f"unknown kind {kind}")


CHUNKS = ["t1", {"text": "t2"}, 3]


def chunks(job):
    yield from CHUNKS
    if job["input"].get("kind") == "raise":
        raise ValueError("broke off")


async def chunks_async(job):
    for chunk in CHUNKS:
        await asyncio.sleep(0.05)
        yield chunk


met = 0


async def meet(count):
    """Ends when so many of these run at the same time."""
    global met
    met += 1
    deadline = time.monotonic() + 30
    while met < count and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return {"met": met}


async def hold(name):
    """Runs until the test says so, and tells the test what happens to it."""
    mark(name, "started")
    try:
        while not is_released(name):
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        mark(name, "cancelled")
        raise
    mark(name, "ended")
    return "held"


async def digest(job_input):
    """SHA-256 of the input, as the client wrote it, after a quarter to one second."""
    text = json.dumps(job_input, separators=(",", ":"), ensure_ascii=False)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    await asyncio.sleep(0.25 + int(sha256[:4], 16) / 65536 * 0.75)
    return {"sha256": sha256}


async def at_once(job):
    job_input = job["input"]
    kind = job_input.get("kind", "digest")
    if kind == "meet":
        return await meet(job_input["count"])
    if kind == "hold":
        return await hold(job_input["name"])
    return await digest(job_input)


def add_hook(mode):
    """A prestart hook (runpod 2.0 and later) that fails at once, or that ends well or fails when the test says so."""
    name = "hook-" + os.environ["RUNPOD_POD_ID"]

    def load_model():
        mark(name, "started")
        while mode != "hook fails at once" and not is_released(name):
            time.sleep(0.05)
        if mode != "hook":
            raise RuntimeError("no GPU")

    runpod.serverless.register_prestart_hook(load_model)


def config(mode, jobs_at_once):
    if mode in ("hook", "hook fails", "hook fails at once"):
        add_hook(mode)
        return {"handler": at_once}
    if mode == "refresh at once":
        return {"handler": at_once, "refresh_worker": True, "concurrency_modifier": lambda _: jobs_at_once}
    if mode == "plain":
        return {"handler": plain}
    if mode == "refresh":
        return {"handler": plain, "refresh_worker": True}
    if mode == "list":
        return {"handler": chunks, "return_aggregate_stream": True}
    if mode == "chunks":
        return {"handler": chunks_async}
    if mode == "async":
        return {"handler": at_once, "concurrency_modifier": lambda _: jobs_at_once}
    raise SystemExit(f"unknown mode {mode}")


start_watch()
# The newest version's heartbeat is a process of its own, and threads do not follow a fork.
os.register_at_fork(after_in_child=start_watch)

if __name__ == "__main__":
    runpod.serverless.start(config(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1))
