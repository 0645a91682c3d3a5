// The environment of an unmodified RunPod worker (docs/wire.md 3.1): in the three forms that people pass to one, and for the machine of
// a fleet (src/fleet).
import { toTimeText } from "./time-text.ts";

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
  /** The machine of a fleet that the worker is to run on; absent: whoever starts it names it by RUNPOD_POD_ID. */
  readonly machine?: MachineOfFleet;
}

export interface MachineOfFleet {
  readonly instanceId: string;
  /** When the worker is to end, epoch ms. */
  readonly endsAtMs: number;
}

export const FORMATS = ["docker", "sh", "fields"] as const;
type Format = (typeof FORMATS)[number];

/** When a worker is to end: from then on it takes no more jobs, and it ends when its last one is done. */
const WORKER_ENDS_AT = "WAYBILL_WORKER_ENDS_AT";

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

/**
 * The variables by name. The worker itself replaces `$ID` and `$RUNPOD_POD_ID`, which must reach it unchanged. On a machine of a fleet
 * the addresses hold the id already, because a provider may set a RUNPOD_POD_ID of its own, as RunPod's pods have one.
 */
export function workerVariables({ base, endpointId, key, gpu, machine }: WorkerPlace): ReadonlyMap<string, string> {
  // The worker appends "&…", so each address must have a "?" already. Text that it would replace is escaped here.
  const tail = `?${new URLSearchParams({ gpu })}`;
  const endpoint = `${base}/v2/${endpointId}`;
  const worker = machine?.instanceId ?? "$RUNPOD_POD_ID";
  return new Map([
    ["RUNPOD_WEBHOOK_GET_JOB", `${endpoint}/job-take/${machine?.instanceId ?? "$ID"}${tail}`],
    ["RUNPOD_WEBHOOK_POST_OUTPUT", `${endpoint}/job-done/${worker}/$ID${tail}`],
    ["RUNPOD_WEBHOOK_POST_STREAM", `${endpoint}/job-stream/${worker}/$ID${tail}`],
    ["RUNPOD_WEBHOOK_PING", `${endpoint}/ping/${worker}${tail}`],
    ["RUNPOD_PING_INTERVAL", "10000"],
    ["RUNPOD_AI_API_KEY", key],
    ["RUNPOD_ENDPOINT_ID", endpointId],
    ...(machine === undefined ? [] : machineVariables(endpointId, machine)),
  ]);
}

/** What every worker of a fleet has in its environment, also one that is called and fetches no jobs. */
export function machineVariables(
  endpointId: string,
  { instanceId, endsAtMs }: MachineOfFleet,
): [name: string, value: string][] {
  return [
    ["RUNPOD_ENDPOINT_ID", endpointId],
    ["RUNPOD_POD_ID", instanceId],
    [WORKER_ENDS_AT, toTimeText(endsAtMs)],
  ];
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
