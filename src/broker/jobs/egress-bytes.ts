// Estimates of what each thing that leaves a broker takes: its payload, and a flat part for the rest of it. A payload
// in R2 does not pass through the broker.
import type { Delivery } from "../../contract/broker.ts";
import type { JobView } from "../../contract/job-view.ts";
import type { StreamPage } from "../../contract/stream.ts";
import type { UsageBatch } from "../../contract/usage.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import {
  CHUNK_MAX_BYTES,
  ENVELOPE_FIELDS_MAX_BYTES,
  ERROR_TEXT_MAX_BYTES,
  GATHER_BYTES,
  JOBS_LISTED_MAX,
  PAYLOAD_INLINE_MAX_BYTES,
  PAYLOAD_ROW_MAX_BYTES,
  POST_LINES_MAX,
  STREAM_PAGE_CHUNK_BYTES,
  STREAM_PAGE_MAX_BYTES,
  WEBHOOK_PAYLOAD_MAX_BYTES,
  WORKERS_MAX,
} from "../../core/limits.ts";

/** Ids, times, addresses, an upstream with its sealed credential. */
const FLAT_BYTES = 1024;
/** A character of a text that is not Latin takes two bytes. */
const CHAR_BYTES = 2;
/** The same with an error text of the largest kind, once for RunPod's clients and once with its code. */
const FLAT_MOST_BYTES = FLAT_BYTES + 2 * CHAR_BYTES * ERROR_TEXT_MAX_BYTES;

export const VIEW_MOST_BYTES = PAYLOAD_ROW_MAX_BYTES + FLAT_MOST_BYTES;
export const HANDED_MOST_BYTES = PAYLOAD_ROW_MAX_BYTES + ENVELOPE_FIELDS_MAX_BYTES + FLAT_BYTES;
/** A list of jobs, each with a small output at most. */
export const LISTED_MOST_BYTES = JOBS_LISTED_MAX * (PAYLOAD_INLINE_MAX_BYTES + FLAT_MOST_BYTES);
/** A page of jobs without their outputs. Their rows are read whole, though a list shows only the beginning of an error. */
export const LIST_PAGE_MOST_BYTES = JOBS_LISTED_MAX * FLAT_MOST_BYTES;
/** A usage line names a job, its endpoint, a tier and some twenty numbers. */
const LINE_BYTES = 1024;
export const BATCH_MOST_BYTES = POST_LINES_MAX * LINE_BYTES + FLAT_BYTES;
/** A worker in the list: names, reason, and ids of its jobs, of which a list has at most as many as it may have workers. */
export const WORKER_BYTES = 2 * 1024;
export const WORKERS_MOST_BYTES = WORKERS_MAX * WORKER_BYTES;
export const DELIVERY_MOST_BYTES = 2 * PAYLOAD_ROW_MAX_BYTES + FLAT_MOST_BYTES;
/** A page may pass its limit by a row of the largest chunk, and by a row whose chunks are all of one byte. */
export const PAGE_MOST_BYTES =
  STREAM_PAGE_MAX_BYTES + CHUNK_MAX_BYTES + GATHER_BYTES * (1 + STREAM_PAGE_CHUNK_BYTES) + FLAT_BYTES;

function inlineBytes(payload: PayloadRef | null): number {
  return payload?.kind === "inline" ? payload.bytes.length : 0;
}

export function batchBytes({ lines }: UsageBatch): number {
  return FLAT_BYTES + lines.length * LINE_BYTES;
}

export function viewBytes({ output, error, failure }: JobView): number {
  return FLAT_BYTES + inlineBytes(output) + CHAR_BYTES * ((error?.length ?? 0) + (failure?.message.length ?? 0));
}

/** What a job of such a page takes, of whose row so many characters were read. */
export function listedBytes(chars: number): number {
  return FLAT_BYTES + CHAR_BYTES * chars;
}

export function handedBytes(input: PayloadRef, fields: Readonly<Record<string, string>>): number {
  const fieldsChars = Object.entries(fields).reduce((sum, [name, text]) => sum + name.length + text.length, 0);
  return FLAT_BYTES + inlineBytes(input) + fieldsChars;
}

export function deliveryBytes({ job, input }: Delivery): number {
  return viewBytes(job) + inlineBytes(input);
}

/** What a webhook's sender holds: the delivery, and what it reads from R2. A larger body goes without payloads. */
export function senderBytes(delivery: Delivery): number {
  const stored = [delivery.input, delivery.job.output].map((payload) =>
    payload?.kind === "r2" ? payload.sizeBytes : 0,
  );
  const sum = stored.reduce((total, bytes) => total + bytes, deliveryBytes(delivery));
  return Math.min(sum, WEBHOOK_PAYLOAD_MAX_BYTES);
}

export function pageBytes({ chunks }: StreamPage): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.length + STREAM_PAGE_CHUNK_BYTES, FLAT_BYTES);
}
