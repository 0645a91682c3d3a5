// A job as the broker stores it, and the one place that turns a row into a job.
import * as z from "zod";
import { openAiCallOf, originOf } from "../../contract/openai-origin.ts";
import { failureOfText } from "../../core/job/failure.ts";
import type { Job, StoredBytes } from "../../core/job/job.ts";
import type { OpenAiRequest } from "../../core/openai/request.ts";

/** A job as the broker keeps it. */
export interface StoredJob {
  readonly job: Job;
  readonly fields: Readonly<Record<string, string>>;
  readonly webhook: { readonly url: string; readonly sealedSecret: string } | null;
  readonly idempotencyKey: string | null;
  readonly inputPlace: Place;
  readonly outputPlace: Place | null;
}

/** What the sweep needs of a job. */
export type SweptJob = Pick<StoredJob, "job" | "idempotencyKey" | "inputPlace" | "outputPlace">;

/** Where a payload stands. `row`: in the table payloads. */
export type Place =
  | { readonly kind: "inline" | "row" }
  | { readonly kind: "r2"; readonly key: string; readonly sizeBytes: number };

/** What a start needs of a job. */
export interface StartRow {
  readonly job: Job;
  readonly webhookHost: string | null;
}

/** The columns of a job as they are selected; `JOB_COLUMNS` of jobs.ts. */
export type JobRow = {
  facts: string;
  webhook: string | null;
  idempotency_key: string | null;
  fields: string;
  input_place: string;
  output_place: string | null;
};

/** `measured`: `[input, output, chunks]` in bytes as JSON, of a row of a release that did not store them; else null. */
export type StartColumns = { facts: string; webhook: string | null; measured: string | null };

export function toStartRow({ facts, webhook, measured }: StartColumns): StartRow {
  const job = parseJob(facts);
  const url = webhook === null ? null : webhookSchema.parse(JSON.parse(webhook)).url;
  const stored = measured === null ? job.stored : parseMeasured(measured);
  return { job: { ...job, stored }, webhookHost: url === null ? null : new URL(url).host };
}

const measuredSchema = z.tuple([z.int(), z.int(), z.int()]);

export function parseMeasured(measured: string): StoredBytes {
  const [input, output, chunks] = measuredSchema.parse(JSON.parse(measured));
  return { input, output, chunks };
}

const webhookSchema = z.object({ url: z.string(), sealedSecret: z.string() });

/** Fields that rows of the first release lack. */
const ADDED_LATER: Pick<
  Job,
  "round" | "failedOn" | "undelivered" | "startFailures" | "formerWorkers" | "origin" | "stored" | "history"
> = {
  origin: null,
  stored: null,
  history: [],
  round: 0,
  failedOn: null,
  undelivered: 0,
  startFailures: 0,
  formerWorkers: [],
};

const LEASE_ADDED_LATER = { workerKeyId: null, byClient: false, graceUntilMs: 0 };

/** What release 0.1 wrote: an error text in place of `failure`, and an OpenAI route's call in place of `origin`. */
interface OlderFacts {
  readonly error?: string | null;
  readonly request?: OpenAiRequest | null;
}

/** Names that release 0.1 wrote for `holderId`: `upstreamId` in a lease, also a worker's; `slotsId` in a former one. */
interface OlderNames {
  readonly upstreamId?: string;
  readonly slotsId?: string;
}

function withHolder<T extends { readonly holderId: string }>({ upstreamId, slotsId, ...named }: T & OlderNames) {
  return { ...named, holderId: named.holderId ?? upstreamId ?? slotsId };
}

/** The text of a job's facts. The older names stand beside ours, or after a rollback that release could not start on a lease. */
export function toFacts(job: Job): string {
  const lease = job.lease === null ? null : { ...job.lease, upstreamId: job.lease.holderId };
  const formerWorkers = job.formerWorkers.map((former) => ({ ...former, slotsId: former.holderId }));
  return JSON.stringify({ ...job, lease, formerWorkers, request: openAiCallOf(job.origin) ?? undefined });
}

/** `facts` is written by toFacts alone: the one boundary where its text becomes a Job again. */
export function parseJob(facts: string): Job {
  const { error, request, ...job } = { ...ADDED_LATER, ...JSON.parse(facts) } as Job & OlderFacts;
  const failure = error === undefined ? job.failure : error === null ? null : failureOfText(error);
  const origin = originOf({ origin: job.origin, request: request ?? null });
  const formerWorkers = job.formerWorkers.map(withHolder);
  const lease = job.lease === null ? null : { ...LEASE_ADDED_LATER, ...withHolder(job.lease) };
  return { ...job, origin, failure, formerWorkers, lease } as Job;
}

/** zod's record is not used: it drops a field named `__proto__`, which a client may send and the worker must get. */
function parseFields(text: string): Readonly<Record<string, string>> {
  const fields: object = JSON.parse(text);
  return Object.fromEntries(Object.entries(fields).map(([name, raw]) => [name, String(raw)]));
}

export function toStoredJob(row: JobRow): StoredJob {
  return {
    job: parseJob(row.facts),
    fields: parseFields(row.fields),
    webhook: row.webhook === null ? null : webhookSchema.parse(JSON.parse(row.webhook)),
    idempotencyKey: row.idempotency_key,
    ...toPlaces(row),
  };
}

/** Places are written by jobs.ts alone, and read several times a job: a schema would cost more than the query. */
function parsePlace(text: string): Place {
  return JSON.parse(text) as Place;
}

export function toPlaces(
  row: Pick<JobRow, "input_place" | "output_place">,
): Pick<StoredJob, "inputPlace" | "outputPlace"> {
  return {
    inputPlace: parsePlace(row.input_place),
    outputPlace: row.output_place === null ? null : parsePlace(row.output_place),
  };
}
