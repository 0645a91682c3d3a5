// The status of a job of a local endpoint, in the form of a deployed one.
import type { QueueReason } from "../../contract/job-view.ts";
import { statusParts } from "../../core/job/status-parts.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { PAYLOAD_INLINE_MAX_BYTES } from "../../core/limits.ts";
import { type LocalAnswer, rawAnswer } from "./answer.ts";
import type { LocalEndpoint } from "./endpoint.ts";
import type { LocalJob } from "./job.ts";

export function statusAnswer(endpoint: LocalEndpoint, job: LocalJob): LocalAnswer {
  return rawAnswer(200, statusText(endpoint, job));
}

/** As after a cancel: without the output. */
export function statusWithoutOutput(endpoint: LocalEndpoint, job: LocalJob): LocalAnswer {
  return rawAnswer(200, textOf(endpoint, job, null));
}

/** All jobs, without the large outputs, which each job's own status has. */
export function requestsAnswer(endpoint: LocalEndpoint): LocalAnswer {
  const texts = endpoint.newest().map((job) => {
    const { output } = job.state;
    const isSmall = output !== null && Buffer.byteLength(output) <= PAYLOAD_INLINE_MAX_BYTES;
    return textOf(endpoint, job, isSmall ? output : null);
  });
  return rawAnswer(200, `{"requests":[${texts.join()}]}`);
}

export function statusText(endpoint: LocalEndpoint, job: LocalJob): string {
  return textOf(endpoint, job, job.state.output);
}

function textOf(endpoint: LocalEndpoint, job: LocalJob, output: string | null): string {
  const { id, error, state } = job;
  const queue = state.status === "IN_QUEUE" ? explain(endpoint, job) : null;
  const payload: PayloadRef | null = output === null ? null : { kind: "inline", bytes: Buffer.from(output) };
  const parts = statusParts({ ...state, id, error, retries: 0, output: payload, queue });
  return parts.map((part) => (typeof part === "string" ? part : (output ?? ""))).join("");
}

function explain(endpoint: LocalEndpoint, job: LocalJob): object {
  const reason: QueueReason = endpoint.hasRoom ? "STARTING" : "ALL_BUSY";
  const detail = endpoint.hasRoom
    ? "A slot is free; the job is about to start."
    : "All slots of all workers and upstreams are busy.";
  return { position: endpoint.positionOf(job), reason, detail, since: job.queuedAtMs };
}
