// The record of one machine as its row has it. One that this release cannot read, such as that of another release, must neither keep the
// endpoint from starting nor leave a machine behind that is paid: what of it can be read is enough to let the machine serve on, or to end it.
import * as z from "zod";
import { INSTANCE_PHASES, type Instance, wantInstance } from "../../core/fleet/instance.ts";
import { LIFETIME_DEFAULT_MS } from "../../core/fleet/limits.ts";
import { toBeGone } from "../../core/fleet/take-answer.ts";
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { fieldsOf, parseJson } from "../../core/json/value.ts";

const recordSchema = z.object({
  id: z.string(),
  phase: z.enum(INSTANCE_PHASES),
  sinceMs: z.number(),
  createdAtMs: z.number(),
  candidate: z
    .object({
      providerId: z.string(),
      gpuTypeId: z.string(),
      priceNanodollarsPerHour: z.int(),
      tier: z.string(),
      canStop: z.boolean(),
    })
    .nullable(),
  providerId: z.string().nullable(),
  rateKind: z.enum(RATE_KINDS),
  release: z.int(),
  ref: z.string().nullable(),
  url: z.string().nullable(),
  priceNanodollarsPerHour: z.int(),
  call: z.object({ operation: z.enum(["create", "start", "stop", "end"]), no: z.int(), atMs: z.number() }).nullable(),
  calls: z.int(),
  failures: z.int(),
  notBeforeMs: z.number(),
  unclearAtMs: z.number().nullable(),
  // Records of an earlier release do not tell.
  stoppedAtMs: z.number().nullable().default(null),
  startedAtMs: z.number(),
  // Records of an earlier release do not tell these two.
  isResumed: z.boolean().default(false),
  isDrained: z.boolean().default(false),
  endsAtMs: z.number(),
  answeredAtMs: z.number().nullable(),
  readyAtMs: z.number().nullable(),
  goal: z.enum(["running", "stopped", "gone"]).nullable(),
  endedAtMs: z.number().nullable(),
  lookUntilMs: z.number(),
  lastError: z.string().nullable(),
}) satisfies z.ZodType<Instance>;

/** `problem`: why the record could not be read as a whole; null: it could. */
export interface KeptInstance {
  readonly id: string;
  /** Null: not even its provider is known, so that only a list can show the machine, which then has no record (core/fleet/take-list.ts). */
  readonly instance: Instance | null;
  readonly problem: string | null;
}

/** `id`: the key of the row, which is that of the machine whatever the record has. */
export function readInstance(id: string, text: string, nowMs: number): KeptInstance {
  const kept = parseJson(text);
  const read = recordSchema.safeParse(kept);
  if (read.success) return { id, instance: read.data, problem: null };
  return { id, instance: salvage(id, kept, nowMs), problem: problemOf(read.error) };
}

/** The fields, without their values. */
function problemOf({ issues }: z.ZodError): string {
  const fields = issues.map(({ path }) => path.join("."));
  return fields.includes("") ? "it is no object of JSON" : `not as expected: ${fields.join(", ")}`;
}

const UNREADABLE = "Its record could not be read as a whole.";

/**
 * A machine that serves goes on, so that its jobs do; any other one is ended. What is not known of it is as of one that was not asked for
 * yet, but for its hard end: it has one in any case, a day after its start or after the time that is nearest to that.
 */
function salvage(id: string, kept: unknown, nowMs: number): Instance | null {
  const fields = fieldsOf(kept) ?? {};
  const readable = Object.entries(recordSchema.shape).flatMap(([name, schema]) => {
    const field = schema.safeParse(fields[name]);
    return field.success ? [[name, field.data] as const] : [];
  });
  const own = new Map<string, unknown>(readable);
  const times = ["startedAtMs", "createdAtMs", "readyAtMs", "sinceMs"].map((name) => own.get(name));
  const startedAtMs = times.find((time) => typeof time === "number") ?? nowMs;
  const bare = { ...wantInstance(id, "flex", 0, nowMs), startedAtMs, endsAtMs: startedAtMs + LIFETIME_DEFAULT_MS };
  // Whether a call was under way is not known any more. Its answer comes to nothing.
  const known = recordSchema.parse({ ...bare, ...Object.fromEntries(own), id, call: null });
  const providerId = known.providerId ?? known.candidate?.providerId ?? null;
  if (providerId === null) return null;
  const instance = { ...known, providerId, lastError: UNREADABLE };
  const isServing = known.candidate !== null && (known.phase === "ready" || known.phase === "draining");
  return isServing ? instance : toBeGone(instance, UNREADABLE, nowMs);
}
