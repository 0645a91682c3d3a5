"""What runs in a pod: `fleet_worker.py FOLDER RUNNER MODE`. Its environment is the pod's alone, so the test tells it its own things here.

The first line that it prints is the environment that it was given.
"""

import json
import os
import sys

print(json.dumps(dict(os.environ)))
os.environ.update(WAYBILL_TEST_FOLDER=sys.argv[1], WAYBILL_TEST_RUNNER=sys.argv[2])

import runpod
import worker

if __name__ == "__main__":
    runpod.serverless.start(worker.config(sys.argv[3], 1))
