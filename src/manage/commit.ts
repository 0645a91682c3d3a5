// Runs the statements of a change as one batch of D1, and says why it was undone where it was.
import { fail, ok, type Result } from "../core/failure.ts";
import { CHANGE_TRIES_MAX } from "../core/manage/limits.ts";
import { askD1 } from "../db/ask-d1.ts";
import { type Created, findCreation, isRepeatedCreation, rememberCreation } from "../db/creations.ts";
import { isUnmet } from "../db/expectations.ts";
import { expectLiveKey } from "../db/managed-keys.ts";
import { runAll, type Statement } from "../db/statement.ts";
import { isRefusedContent } from "../db/usage.ts";
import { log } from "../log.ts";
import type { ManageContext } from "./context.ts";

/**
 * Why a batch was undone: an expectation was not met, the Idempotency-Key has made something already, or another rule of the database
 * was violated.
 */
type Undone =
  | { readonly kind: "unmet" }
  | { readonly kind: "repeated" }
  | { readonly kind: "refused"; readonly error: unknown };

/**
 * Null: the batch is committed. `unavailable`: D1 did not answer, and the batch may be committed all the same. Each batch expects that the
 * caller's key is still as the call has it: for up to 30 s an isolate lets in a key that was revoked, whose holder could else let
 * themselves in for good, by another key, a server that gets the tenant's jobs, or a new secret of its webhooks.
 */
async function commit(
  { env, caller, nowMs }: Pick<ManageContext, "env" | "caller" | "nowMs">,
  statements: readonly Statement[],
  creation: readonly Statement[] = [],
): Promise<Result<Undone | null>> {
  try {
    await runAll(env.DB, [...creation, expectLiveKey(caller, nowMs), ...statements]);
    return ok(null);
  } catch (error) {
    if (isUnmet(error)) return ok({ kind: "unmet" });
    if (isRepeatedCreation(error)) return ok({ kind: "repeated" });
    if (isRefusedContent(error)) return ok({ kind: "refused", error });
    log("d1_not_answering", { error: String(error) });
    return fail({ kind: "unavailable", message: "the settings cannot be changed right now" });
  }
}

/** The id of what was made: by this call, or by an earlier one with the same Idempotency-Key. */
export interface Made {
  readonly id: string;
  readonly replayed: boolean;
}

/**
 * Creates a thing once: a call that is repeated with its Idempotency-Key makes nothing and gets the id of what the first one made.
 * `refused` turns a violated rule of the database into the caller's failure; it throws what is a bug of ours.
 */
export async function createOnce(
  context: ManageContext,
  id: string,
  statements: readonly Statement[],
  refused: Refused = throwIt,
): Promise<Result<Made>> {
  const { env, creation, caller, nowMs } = context;
  if (creation === null) return made(await commit(context, statements), id, refused);
  const { tenantId } = caller;
  const known = await findMade(context);
  if (!known.ok) return known;
  if (known.value !== null) return ok(known.value);
  const committed = await commit(context, statements, rememberCreation(tenantId, creation, id, nowMs));
  if (!committed.ok || committed.value?.kind !== "repeated") return made(committed, id, refused);
  // Two calls with one key at once: the other one was first.
  const first = await findCreation(env.DB, tenantId, creation.key, nowMs);
  return first === null ? fail({ kind: "unavailable", message: "try again" }) : replay(first, creation.fingerprint);
}

/** What an earlier call with the same Idempotency-Key has made; null: there was none. */
export async function findMade({
  env,
  creation,
  caller,
  nowMs,
}: Pick<ManageContext, "env" | "creation" | "caller" | "nowMs">): Promise<Result<Made | null>> {
  if (creation === null) return ok(null);
  const known = await askD1(() => findCreation(env.DB, caller.tenantId, creation.key, nowMs));
  if (!known.ok) return known;
  return known.value === null ? ok(null) : replay(known.value, creation.fingerprint);
}

function replay({ fingerprint, objectId }: Created, asked: string): Result<Made> {
  return fingerprint === asked ? ok({ id: objectId, replayed: true }) : fail({ kind: "idempotency_mismatch" });
}

function made(committed: Result<Undone | null>, id: string, refused: Refused): Result<Made> {
  if (!committed.ok) return committed;
  if (committed.value === null) return ok({ id, replayed: false });
  if (committed.value.kind === "refused") return refused(committed.value.error);
  if (committed.value.kind === "unmet") return fail(OVERTAKEN);
  throw new Error(`a creation was undone: ${committed.value.kind}`);
}

const OVERTAKEN = { kind: "conflict", message: "others change it at the same time: try again" } as const;

type Plan<Row> = (row: Row) => Promise<Result<readonly Statement[] | null>>;
type Refused = (error: unknown) => Result<never>;

/** For changes that violate no rule of the database unless there is a bug of ours. */
function throwIt(error: unknown): never {
  throw error;
}

/**
 * Changes a thing: reads it, lets `plan` decide, and commits under the expectation that its version is still the one that was read.
 * With an If-Match the second of two writers gets `version_passed`; without one it decides again on what the first has written.
 * `plan` gives the statements of the change, or null where nothing changes.
 */
export async function changeRow<Row extends { readonly version: number }>(
  context: ManageContext,
  read: () => Promise<Result<Row>>,
  plan: Plan<Row>,
  refused: Refused = throwIt,
): Promise<Result<{ readonly changed: boolean; readonly row: Row }>> {
  const written = await write(context, read, plan, refused);
  if (!written.ok || !written.value.changed) return written;
  const now = await read();
  return now.ok ? ok({ changed: true, row: now.value }) : now;
}

/** Removes a thing by the same rules; the row is the thing as it was. */
export async function removeRow<Row extends { readonly version: number }>(
  context: ManageContext,
  read: () => Promise<Result<Row>>,
  plan: Plan<Row>,
  refused: Refused = throwIt,
): Promise<Result<Row>> {
  const written = await write(context, read, plan, refused);
  return written.ok ? ok(written.value.row) : written;
}

/** The row is the one that `plan` has decided on. */
async function write<Row extends { readonly version: number }>(
  context: ManageContext,
  read: () => Promise<Result<Row>>,
  plan: Plan<Row>,
  refused: Refused,
): Promise<Result<{ readonly changed: boolean; readonly row: Row }>> {
  const { ifMatch } = context;
  for (let tries = 0; tries < CHANGE_TRIES_MAX; tries += 1) {
    const found = await read();
    if (!found.ok) return found;
    const row = found.value;
    if (ifMatch !== null && row.version !== ifMatch) return fail({ kind: "version_passed", version: row.version });
    const planned = await plan(row);
    if (!planned.ok) return planned;
    if (planned.value === null) return ok({ changed: false, row });
    const committed = await commit(context, planned.value);
    if (!committed.ok) return committed;
    if (committed.value?.kind === "refused") return refused(committed.value.error);
    if (committed.value === null) return ok({ changed: true, row });
  }
  return fail(OVERTAKEN);
}
