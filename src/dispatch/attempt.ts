// One attempt as the dialects see it: what to call, how long, and where a result goes.
import type { Assignment, LeaseApi, Outcome } from "../contract/dispatch.ts";
import type { Upstream } from "../contract/settings.ts";
import { secretsInAddress } from "../core/access/address-secrets.ts";
import type { Reach } from "../core/access/reach.ts";
import { SecretForms } from "../core/access/secret-forms.ts";
import { EXECUTION_TIMEOUT_MIN_MS, LEASE_MS, POLICY_MAX_MS, RESULT_MAX_BYTES, TTL_MIN_MS } from "../core/limits.ts";
import type { OutputTap } from "../core/openai/output-usage.ts";
import { type CallRequest, type CallResult, callUrl } from "../outbound/call.ts";
import type { ValueOptions } from "../payload/envelope.ts";
import { jobParts } from "../payload/job-body.ts";
import { spliceBody } from "../payload/splice.ts";
import { type CallbackMaker, callbackSecrets, isHosted } from "./callback-url.ts";
import { type Answer, classifyBroken, classifyStatus, type Suspicion, storageFailed } from "./classify.ts";
import type { ClientLink } from "./client-link.ts";
import type { Clock } from "./clock.ts";
import type { Nudge } from "./nudge.ts";

/** A call is ended after this much silence while its body is sent or its answer is received. */
const IDLE_MS = 30_000;
const STORAGE_PAUSE_MS = 1_000;
/** What carrying a job needs. `leaseApi` returns a fresh stub each time. */
export interface CarryDeps extends CallbackMaker {
  readonly leaseApi: () => LeaseApi;
  readonly bucket: R2Bucket;
  readonly encryptionKey: string;
  readonly reach: Reach;
  readonly clock: Clock;
}

/** What reaches an attempt from outside while it runs. */
export interface AttemptLinks {
  readonly signal: AbortSignal;
  readonly nudge: Nudge;
  readonly client: ClientLink | null;
}

export class Attempt {
  readonly assignment: Assignment;
  readonly deps: CarryDeps;
  /** Fires when the lease is lost, or when a client whose leaving ends the job has gone. */
  readonly signal: AbortSignal;
  /** Fires when the upstream has called back. */
  readonly nudge: Nudge;
  /** The client whose own request carries the job and receives the answer as it comes; null when there is none. */
  readonly client: ClientLink | null;
  readonly url: string;
  readonly credential: string | null;
  readonly #secrets: SecretForms;
  readonly #callbackUrl: string | null;
  /** Reads the tokens and the error of an OpenAI answer out of the result; null: it is none, or other code reads them. */
  tap: OutputTap | null = null;
  readonly #endsAtMs: number;

  constructor(
    assignment: Assignment,
    deps: CarryDeps,
    credential: string | null,
    { signal, nudge, client, callbackUrl }: AttemptLinks & { readonly callbackUrl: string | null },
  ) {
    this.assignment = assignment;
    this.deps = deps;
    this.signal = signal;
    this.nudge = nudge;
    this.client = client;
    this.url = assignment.upstream.url.replace(/\/+$/, "");
    this.credential = credential;
    this.#secrets = upstreamSecrets(assignment.upstream, credential, callbackSecrets(assignment, callbackUrl));
    this.#callbackUrl = callbackUrl;
    this.#endsAtMs = deps.clock.now() + assignment.executionTimeoutMs;
  }

  /** Milliseconds until the execution timeout. */
  leftMs(): number {
    return this.#endsAtMs - this.deps.clock.now();
  }

  isOver(): boolean {
    return this.leftMs() <= 0;
  }

  /** Calls the upstream; the total deadline is the execution timeout, or `totalMs` where that is shorter. */
  call(request: Pick<CallRequest, "url" | "method"> & Partial<CallRequest>): Promise<CallResult> {
    const totalMs = Math.max(1, Math.min(request.totalMs ?? Number.POSITIVE_INFINITY, this.leftMs()));
    const headers = { ...upstreamHeaders(this.credential, this.assignment.jobId), ...request.headers };
    const defaults = { idleMs: IDLE_MS, signal: this.signal };
    return callUrl({ ...defaults, ...request, headers, totalMs, secrets: this.#secrets }, this.deps.reach);
  }

  /** Posts the job as `{"id","input",…other fields}`, with the input as raw bytes. Returns what takeAnswer returns. */
  async postJob<Made>(
    url: string,
    take: (answer: Answer) => Promise<Made>,
    deadlines: { readonly totalMs?: number } = {},
  ): Promise<Made | Outcome | Suspicion | null> {
    const fields = isHosted(this.assignment.upstream)
      ? { policy: policyFor(this.assignment), webhook: this.#callbackUrl }
      : null;
    const spliced = await spliceBody(jobParts(this.assignment, fields), this.deps.bucket);
    if (spliced.kind !== "ok") {
      const what = spliced.kind === "missing" ? "is not there any more" : spliced.message;
      return storageFailed(`the input could not be read from R2: ${what}`);
    }
    const result = await this.call({
      url,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: spliced.body,
      contentLength: spliced.sizeBytes,
      provable: true,
      ...deadlines,
    });
    return await this.takeAnswer(result, classifyStatus, take);
  }

  /** Returns what `take` makes of a good answer, or the meaning of another end; null: the lease was lost meanwhile. */
  async takeAnswer<Made>(
    result: CallResult,
    classify: typeof classifyStatus,
    take: (answer: Answer) => Promise<Made>,
  ): Promise<Made | Outcome | Suspicion | null> {
    if (result.kind === "aborted") return null;
    if (result.kind !== "response") return classifyBroken(result, this.isOver());
    try {
      return (await classify(result, this.deps.clock.now())) ?? (await take(result));
    } finally {
      result.close();
    }
  }

  /** Where and how a result is stored. A failing R2 is tried again until LEASE_MS after its first failure. */
  resultOptions(): ValueOptions {
    const { endpointId, jobId, lease } = this.assignment;
    const { clock, bucket } = this.deps;
    let untilMs: number | null = null;
    return {
      bucket,
      key: `${endpointId}/${jobId}/${lease}/output`,
      maxBytes: RESULT_MAX_BYTES,
      tap: (view) => this.tap?.push(view),
      retryStorage: async () => {
        untilMs ??= clock.now() + LEASE_MS;
        if (clock.now() + STORAGE_PAUSE_MS > untilMs || this.signal.aborted) return false;
        await clock.sleep(STORAGE_PAUSE_MS, this.signal);
        return true;
      },
    };
  }
}

/**
 * Makes a call that no tenant has a part in, and that may come twice. Returns its status; null if there was no answer, which proves
 * nothing. A server that closes its connection after an answer lets the next call on it fail, so what was reset is called once more: by
 * one such connection a job failed whose upstream redirects everybody.
 */
export async function askStatus(
  request: Pick<CallRequest, "url" | "method"> & Partial<CallRequest>,
  { credential, timeoutMs }: { readonly credential: string | null; readonly timeoutMs: number },
  reach: Reach,
): Promise<number | "aborted" | null> {
  const headers = { ...upstreamHeaders(credential, null), ...request.headers };
  const call = () => callUrl({ ...request, headers, totalMs: timeoutMs, idleMs: timeoutMs }, reach);
  const first = await call();
  const result = first.kind === "reset" ? await call() : first;
  if (result.kind === "aborted") return "aborted";
  if (result.kind === "redirect") return result.status;
  if (result.kind !== "response") return null;
  // The body is not needed, and it may be endless.
  result.close();
  return result.status;
}

/** The headers of every call to an upstream. */
export function upstreamHeaders(credential: string | null, jobId: string | null): Record<string, string> {
  return {
    accept: "application/json",
    "user-agent": "Waybill/1",
    ...(jobId === null ? {} : { "x-waybill-job": jobId }),
    ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
  };
}

/** Secrets that the upstream gets or its address contains, and no tenant may see. `more`: those of this call alone. */
export function upstreamSecrets(
  { url }: Pick<Upstream, "url">,
  credential: string | null,
  more: readonly string[] = [],
): SecretForms {
  return new SecretForms([...(credential === null ? [] : [credential]), ...secretsInAddress(url), ...more]);
}

/** Without it a hosted upstream would end the job by its own defaults, perhaps sooner than we have promised. */
function policyFor({ executionTimeoutMs, ttlLeftMs }: Assignment): string {
  const within = (ms: number, minMs: number) => Math.min(Math.max(Math.ceil(ms), minMs), POLICY_MAX_MS);
  return JSON.stringify({
    executionTimeout: within(executionTimeoutMs, EXECUTION_TIMEOUT_MIN_MS),
    ttl: within(ttlLeftMs, TTL_MIN_MS),
  });
}
