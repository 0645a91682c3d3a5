"""RunPod's Python client classes against a broker: `client.py KEY NOBODY`, with the address in RUNPOD_ENDPOINT_BASE_URL.

NOBODY is an endpoint without workers, which no other call empties: a queue may be purged twice in ten seconds.
"""

import asyncio
import sys

import aiohttp
import runpod
from runpod import AsyncioEndpoint

CHUNKS = ["t1", {"text": "t2"}, 3]
NOBODY = sys.argv[2]
WORKER_COUNTS = {"idle", "initializing", "ready", "running", "throttled", "unhealthy"}


def check(what, found, wanted):
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"


def check_health(health, waiting):
    check("the counts of workers", set(health["workers"]), WORKER_COUNTS)
    check("the waiting jobs", health["jobs"]["inQueue"], waiting)


def blocking():
    endpoint = runpod.Endpoint("plain")
    job = endpoint.run({"kind": "value"})
    check("an output", job.output(timeout=60)["echo"], {"kind": "value"})
    check("its status", job.status(), "COMPLETED")
    check("run_sync", endpoint.run_sync({"input": {"kind": "value", "n": 1}}, timeout=60)["echo"]["n"], 1)
    failed = endpoint.run({"kind": "error"})
    check("what stands beside an error", failed.output(timeout=60), {"extra": 1})
    check("the status of a failure", failed.status(), "FAILED")
    check("a stream", list(runpod.Endpoint("chunks").run({"n": 1}).stream()), CHUNKS)

    nobody = runpod.Endpoint(NOBODY)
    waiting = [nobody.run({"n": n}) for n in (1, 2, 3)]
    check("a waiting job", waiting[0].status(), "IN_QUEUE")
    check("a cancel", waiting[0].cancel()["status"], "CANCELLED")
    check("a cancelled job", waiting[0].status(), "CANCELLED")
    check_health(nobody.health(), 2)
    check("a purge", nobody.purge_queue(), {"removed": 2, "status": "completed"})
    check("a purged job", waiting[1].status(), "CANCELLED")

    try:
        runpod.Endpoint("plain", api_key="wrong").health()
    except RuntimeError as error:
        assert "401" in str(error), error
    else:
        raise AssertionError("a wrong key was accepted")


async def with_asyncio():
    async with aiohttp.ClientSession() as session:
        endpoint = AsyncioEndpoint("plain", session)
        job = await endpoint.run({"kind": "value"})
        check("an output", (await job.output(timeout=60))["echo"], {"kind": "value"})
        check("its status", await job.status(), "COMPLETED")
        streaming = await AsyncioEndpoint("chunks", session).run({"n": 1})
        check("a stream", [chunk async for chunk in streaming.stream()], CHUNKS)

        nobody = AsyncioEndpoint(NOBODY, session)
        waiting = [await nobody.run({"n": n}) for n in (1, 2, 3)]
        check("a waiting job", await waiting[0].status(), "IN_QUEUE")
        check("a cancel", (await waiting[0].cancel())["status"], "CANCELLED")
        check_health(await nobody.health(), 2)
        check("a purge", await nobody.purge_queue(), {"removed": 2, "status": "completed"})


if __name__ == "__main__":
    runpod.api_key = sys.argv[1]
    blocking()
    asyncio.run(with_asyncio())
    print("all as it should be")
