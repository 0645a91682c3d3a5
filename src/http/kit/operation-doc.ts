// What the OpenAPI document says of one operation of the management API.
import type * as z from "zod";
import type { Scope } from "../../contract/identity.ts";

/** RunPod's management API, or ours. */
export type Plane = "v1" | "v2";

/** What the description says of an operation. */
export interface OperationDoc {
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  readonly tag: string;
  readonly plane: Plane;
  /** Any of these scopes is enough. */
  readonly scopes: readonly Scope[];
  readonly params: z.ZodObject | null;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodType | null;
  /** `creates`: takes an Idempotency-Key; `changes`: takes If-Match. */
  readonly kind: "reads" | "creates" | "changes" | "acts";
  readonly answers: Readonly<Record<number, AnswerDoc>>;
}

interface AnswerDoc {
  readonly description: string;
  /** Null: an answer without a body, or one that is no JSON. */
  readonly schema: z.ZodType | null;
  /** Of an answer that is a stream of events; without it JSON. */
  readonly mediaType?: "text/event-stream";
}
