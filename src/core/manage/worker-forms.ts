// The environment of an unmodified RunPod worker (docs/wire.md 3.1), in the three forms that people pass to one.

/** A form, and a hint on its use. A file of this form may hold only the lines. */
export interface WorkerForm {
  readonly lines: readonly string[];
  readonly hint: string;
}

export interface WorkerPlace {
  /** The broker's public address, without a slash at its end. */
  readonly base: string;
  readonly endpointId: string;
  readonly key: string;
  /** The GPU that the worker reports: shown to people, and never part of the bill. */
  readonly gpu: string;
}

export const FORMATS = ["docker", "sh", "fields"] as const;
type Format = (typeof FORMATS)[number];

/** This file of the kernel exists on every Linux, while `uuidgen` does not. */
const FRESH_UUID = "cat /proc/sys/kernel/random/uuid";

/** A base as it is used, or why it cannot be, as the rest of a sentence. */
export type CheckedBase =
  | { readonly ok: true; readonly base: string }
  | { readonly ok: false; readonly problem: string };

/** The address at which workers reach the broker. `local`: on a machine of one's own plain http: will do. */
export function checkBase(text: string, local: boolean): CheckedBase {
  // Node 20, which the command line runs on, has no URL.parse.
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol))
    return { ok: false, problem: "must be an http(s): URL" };
  if (!local && url.protocol === "http:") {
    return { ok: false, problem: "must be an https: URL: each call carries the key" };
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { ok: false, problem: "must be an address without a user, a query or a fragment" };
  }
  return { ok: true, base: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
}

/** The variables by name. The worker itself replaces `$ID` and `$RUNPOD_POD_ID`, which must reach it unchanged. */
export function workerVariables({ base, endpointId, key, gpu }: WorkerPlace): ReadonlyMap<string, string> {
  // The worker appends "&…", so each address must have a "?" already. Text that it would replace is escaped here.
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
      // Inside a container the loopback address is the container itself, not this machine.
      const network = /^(localhost|127\.|\[::1\])/.test(new URL(place.base).hostname) ? " --network host" : "";
      return {
        lines: variables.map(([name, value]) => `${name}=${value}`),
        hint: `docker run --rm --gpus all${network} --env-file worker.env -e RUNPOD_POD_ID="$(${FRESH_UUID})" IMAGE`,
      };
    }
    case "sh":
      return {
        lines: [
          ...variables.map(([name, value]) => `export ${name}=${quoteForShell(value)}`),
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

/** Quotes a value as one word of `sh`, whatever characters it contains. */
export function quoteForShell(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
