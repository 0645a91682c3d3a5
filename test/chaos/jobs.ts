// The jobs of a chaos run: what is submitted, by a client that repeats a submit with its Idempotency-Key until it is
// answered, and the worker that does them. Both live outside the broker and survive its kills.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { callBroker } from "../running/broker.ts";
import { rawInput } from "../running/mock-worker.ts";

/** One job as its client knows it. */
export interface ClientJob {
  readonly idempotencyKey: string;
  readonly body: string;
  /** SHA-256 of the raw bytes of the input: the right output. */
  readonly sha256: string;
  /** Set when a submit was answered. */
  id?: string;
}

export interface Client {
  readonly url: string;
  readonly key: string;
}

const RETRY_MS = 100;
/** A call that hangs on a killed broker is given up after this. */
const CALL_MAX_MS = 10_000;
/** Shortest and longest time that the worker spends on a job. */
const WORK_MIN_MS = 1_000;
const WORK_SPREAD_MS = 1_500;

/** Job number `n` of a run, of at least 100 bytes. */
export function makeJob(run: string, n: number): ClientJob {
  const input = JSON.stringify({ run, n, pad: "x".repeat(100 + n), one: "1.0" });
  const sha256 = createHash("sha256").update(input).digest("hex");
  return { idempotencyKey: `${run}-${n}`, body: `{"input":${input}}`, sha256 };
}

/** The worker's handler: answers the SHA-256 of the raw input after 1 to 2.5 s. Stops when the broker hangs up. */
export async function digestInput(body: Buffer, hungUp: AbortSignal): Promise<string> {
  const sha256 = createHash("sha256").update(rawInput(body)).digest();
  await sleep(WORK_MIN_MS + (sha256.readUInt16BE() / 65_536) * WORK_SPREAD_MS, undefined, { signal: hungUp });
  return JSON.stringify({ sha256: sha256.toString("hex") });
}

/** Submits a job, again and again until the broker answers. Sets its id; throws when a repeat gives another id. */
export async function submitJob(client: Client, job: ClientJob, givenUp: AbortSignal): Promise<void> {
  while (!givenUp.aborted) {
    const answer = await callJson(client, "/v2/chaos/run", job.body, { "Idempotency-Key": job.idempotencyKey });
    const id = answer?.get("id");
    if (typeof id === "string") {
      if (job.id !== undefined && job.id !== id)
        throw new Error(`${job.idempotencyKey} made two jobs: ${job.id}, ${id}`);
      job.id = id;
      return;
    }
    await sleep(RETRY_MS);
  }
}

/** One call; undefined when the broker is down or answers with anything but 200. */
export async function callJson(
  client: Client,
  path: string,
  body?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, unknown> | undefined> {
  try {
    const signal = AbortSignal.timeout(CALL_MAX_MS);
    const response = await callBroker(`${client.url}${path}`, client.key, { body, headers, signal });
    const text = await response.text();
    return response.status === 200 ? new Map(Object.entries(JSON.parse(text))) : undefined;
  } catch {
    return undefined;
  }
}

/** Does something for each item, so many at once. */
export async function forEachAtOnce<T>(
  items: readonly T[],
  atOnce: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of left) await act(item);
    }),
  );
}
