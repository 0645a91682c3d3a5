"""Calls of RunPod's Python package: `manage.py KEY`, with a JSON list of calls in each line of the standard input, and a line of outcomes for each.

A call is [name, {keywords}]: a function of the package, or of what a name with a dot is taken from.
"""

import asyncio
import inspect
import json
import sys

import runpod

runpod.api_key = sys.argv[1]


def rest(method, path, body=None):
    """What the package has no function of its own for, by its own transport."""
    from runpod.api.rest import run_rest_request

    return run_rest_request(method, path, json=body)


def job(endpoint, job_input):
    """Runs a job as the README of the package shows it."""
    started = runpod.Endpoint(endpoint).run({"input": job_input})
    output = started.output(timeout=60)
    return {"id": started.job_id, "status": started.status(), "output": output}


started = {}


def run(endpoint, job_input):
    """Starts a job, whose output is for a later call."""
    new = runpod.Endpoint(endpoint).run({"input": job_input})
    started[new.job_id] = new
    return new.job_id


def output(job_id):
    value = started[job_id].output(timeout=100)
    return {"status": started[job_id].status(), "output": value}


def health(endpoint):
    return runpod.Endpoint(endpoint).health()


def run_sync(endpoint, job_input):
    return runpod.Endpoint(endpoint).run_sync({"input": job_input}, timeout=60)


def queue(name, job_input):
    """A job of an endpoint that is named in a header, as runpod.Queue runs it."""
    from runpod.apps.targets import QueueClient, SENTINEL_ID

    headers = {"Authorization": f"Bearer {sys.argv[1]}", "X-Flash-App": "app", "X-Flash-Endpoint": name}
    client = QueueClient(SENTINEL_ID, lambda: headers)
    return client.invoke({"input": job_input}, timeout=60)


def apps(method, **keywords):
    from runpod.apps.api import AppsApiClient

    return getattr(AppsApiClient(api_key=sys.argv[1]), method)(**keywords)


OWN = {"rest": rest, "job": job, "run": run, "output": output, "health": health, "run_sync": run_sync, "queue": queue, "apps": apps}


def outcome(name, keywords):
    try:
        value = (OWN.get(name) or getattr(runpod, name))(**keywords)
        return {"value": asyncio.run(value) if inspect.iscoroutine(value) else value}
    except Exception as error:  # pylint: disable=broad-except
        status = getattr(error, "status_code", None)
        return {"raised": type(error).__name__, "text": str(error), "status": status, "errors": getattr(error, "errors", None)}


for line in sys.stdin:
    print(json.dumps([outcome(name, keywords) for name, keywords in json.loads(line)], default=sorted), flush=True)
