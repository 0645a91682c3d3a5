// Submits that are sent again under an Idempotency-Key: they find their first job, for as long as it is kept.
import { createHash } from "node:crypto";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { LocalEndpoint } from "./endpoint.ts";
import type { LocalJob } from "./job.ts";

interface Submitted {
  readonly sha256: string;
  readonly jobId: string;
}

export class Repeats {
  readonly #endpoint: LocalEndpoint;
  readonly #byKey = new Map<string, Submitted>();

  constructor(endpoint: LocalEndpoint) {
    this.#endpoint = endpoint;
  }

  /** The job of an earlier submit with this key; null: there is none. Refuses the key of another body. */
  find(key: string, body: Uint8Array): Result<LocalJob | null> {
    const submitted = this.#byKey.get(key);
    const job = submitted === undefined ? null : this.#endpoint.find(submitted.jobId);
    if (submitted === undefined || job === null) return ok(null);
    return submitted.sha256 === sha256Of(body) ? ok(job) : fail({ kind: "idempotency_mismatch" });
  }

  keep(key: string, body: Uint8Array, job: LocalJob): void {
    for (const [known, { jobId }] of this.#byKey) {
      if (this.#endpoint.find(jobId) === null) this.#byKey.delete(known);
    }
    this.#byKey.set(key, { sha256: sha256Of(body), jobId: job.id });
  }
}

function sha256Of(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex");
}
