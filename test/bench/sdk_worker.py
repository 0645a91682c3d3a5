"""The worker of the part `sdk`: its handler does nothing, as that of sdk-worker.ts."""

import runpod

runpod.serverless.start({"handler": lambda job: {}})
