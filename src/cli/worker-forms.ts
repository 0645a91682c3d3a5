// The environment of an unmodified RunPod worker (docs/wire.md 3.1), and the three forms in which people hand it to one.

/** A form, and what to do with it. The lines are all that a file of it may hold. */
export interface WorkerForm {
  readonly lines: readonly string[];
  readonly hint: string;
}

export interface WorkerPlace {
  /** The broker's public address, without a slash at its end. */
  readonly base: string;
  readonly endpointId: string;
  readonly key: string;
  /** What the worker says its GPU is: shown to people, and never part of the bill. */
  readonly gpu: string;
}

export const FORMATS = ["docker", "sh", "fields"] as const;
type Format = (typeof FORMATS)[number];

/** A file of the kernel: at hand on every Linux, where `uuidgen` is not. */
const FRESH_UUID = "cat /proc/sys/kernel/random/uuid";

/** The variables by name. `$ID` and `$RUNPOD_POD_ID` are replaced by the worker itself and must reach it as they are. */
function workerVariables({ base, endpointId, key, gpu }: WorkerPlace): ReadonlyMap<string, string> {
  // The worker appends "&…", so that every address must have a "?" already. What it takes for tokens is escaped here.
  const tail = `?${new URLSearchParams({ gpu })}`;
  const endpoint = `${base}/v2/${endpointId}`;
  return new Map([
    ["RUNPOD_WEBHOOK_GET_JOB", `${endpoint}/job-take/$ID${tail}`],
    ["RUNPOD_WEBHOOK_POST_OUTPUT", `${endpoint}/job-done/$RUNPOD_POD_ID/$ID${tail}`],
    ["RUNPOD_WEBHOOK_POST_STREAM", `${endpoint}/job-stream/$RUNPOD_POD_ID/$ID${tail}`],
    ["RUNPOD_WEBHOOK_PING", `${endpoint}/ping/$RUNPOD_POD_ID${tail}`],
    ["RUNPOD_PING_INTERVAL", "10000"],
    ["RUNPOD_AI_API_KEY", key],
    ["RUNPOD_ENDPOINT_ID", endpointId],
  ]);
}

/** The variables in a form. */
export function inForm(format: Format, place: WorkerPlace): WorkerForm {
  const variables = [...workerVariables(place)];
  switch (format) {
    case "docker": {
      // Inside a container the address of this machine's loopback is the container itself.
      const network = /^(localhost|127\.|\[::1\])/.test(new URL(place.base).hostname) ? " --network host" : "";
      return {
        lines: variables.map(([name, value]) => `${name}=${value}`),
        hint: `docker run --rm --gpus all${network} --env-file worker.env -e RUNPOD_POD_ID="$(${FRESH_UUID})" IMAGE`,
      };
    }
    case "sh":
      return {
        lines: [
          ...variables.map(([name, value]) => `export ${name}=${quote(value)}`),
          `RUNPOD_POD_ID="$(${FRESH_UUID} 2>/dev/null || uuidgen)"`,
          "export RUNPOD_POD_ID",
        ],
        hint: ". ./worker.sh && python -u handler.py",
      };
    case "fields": {
      const width = Math.max(...variables.map(([name]) => name.length));
      return {
        lines: variables.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
        hint: "Each machine needs a RUNPOD_POD_ID of its own; RunPod pods and some other providers set it themselves.",
      };
    }
  }
}

/** One word of `sh`, whatever is in it. */
function quote(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
