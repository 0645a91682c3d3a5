// What the OpenAPI document says of one operation: of the management API, whose calls are checked by it, and of the routes of jobs and
// workers, which scan their bodies and never parse them.
import type * as z from "zod";
import type { Scope } from "../../contract/identity.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** RunPod's management API, or ours. */
export type Plane = "v1" | "v2";

/** Those, and the APIs of clients and workers. Each has a form of its errors. */
export type DescribedPlane = Plane | "jobs" | "openai" | "workers" | "lb" | "graphql";

/** Is it of the management API, whose calls are checked against their description? */
export function isManaged(plane: DescribedPlane): boolean {
  return plane === "v1" || plane === "v2";
}

export interface AnswerDoc {
  readonly description: string;
  /** Null: an answer without a body, or one that is no JSON. */
  readonly schema: z.ZodType | null;
  /** Of an answer that is a stream; without it JSON. */
  readonly mediaType?: "text/event-stream" | "application/x-ndjson";
  /** Media types that it may have in place of JSON, whose form has no schema. */
  readonly otherTypes?: readonly string[];
}

/** What the description says of an operation. */
export interface OperationDoc {
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  readonly tag: string;
  readonly plane: DescribedPlane;
  /** Any of these scopes is enough; none: the operation needs no key. */
  readonly scopes: readonly Scope[];
  readonly params: z.ZodObject | null;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodType | null;
  /** `creates`: takes an Idempotency-Key; `changes`: takes If-Match. */
  readonly kind: "reads" | "creates" | "changes" | "acts";
  readonly answers: Readonly<Record<number, AnswerDoc>>;
  /** Statuses of refusals beside those that every operation of its plane and kind has. */
  readonly refusals?: readonly number[];
}

/** An operation at its place. */
export interface DescribedOperation {
  readonly method: Method;
  /** As in the table of routes: `/v1/endpoints/:endpoint`. */
  readonly path: string;
  readonly doc: OperationDoc;
}
