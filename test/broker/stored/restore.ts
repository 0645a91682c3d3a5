// Puts the objects that a stored copy of an earlier release's databases describes where the present release will start them.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import * as z from "zod";
import type { LbTicket } from "../../../src/contract/load-balancer.ts";
import { endpointSettingsSchema } from "../../../src/contract/settings.ts";
import type { AccountApi } from "../../../src/contract/usage.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { dropAllTables, putRow } from "../../support/older-store.ts";

/** Columns that were null are left out. A blob is `{ utf8 }`; any other object is the JSON of a text column. */
const rowSchema = z.record(z.string(), z.union([z.string(), z.number(), z.array(z.unknown()), z.looseObject({})]));
const stateSchema = z.object({ alarmAtMs: z.int(), rows: z.record(z.string(), z.array(rowSchema)) });
const blobSchema = z.strictObject({ utf8: z.string() });

const copySchema = z.object({
  atMs: z.int(),
  names: z.object({ queue: z.string(), loadBalanced: z.string(), owner: z.string(), purger: z.string() }),
  webhookSecret: z.string(),
  /** The public id of each job, by what happened to it. */
  jobs: z.record(z.string(), z.string()),
  /** The tokens that the carriers of running jobs hold. */
  leases: z.record(z.string(), z.string()),
  lbRequest: z.object({
    requestId: z.string(),
    ticket: z.custom<LbTicket>((value) => typeof value === "object"),
    servedId: z.string(),
  }),
  /** What that release answered over the same rows: of each job what was not null, the output apart; null: not found. */
  told: z.object({
    views: z.record(z.string(), z.looseObject({}).nullable()),
    health: z.record(z.string(), z.object({ jobs: z.unknown(), workers: z.unknown() })),
  }),
  schema: z.object({ broker: z.array(z.string()), account: z.array(z.string()) }),
  queue: stateSchema,
  loadBalanced: stateSchema,
  account: stateSchema,
});

type State = z.infer<typeof stateSchema>;

/**
 * Restores both brokers and the account under names of their own, and hosts that no other copy calls. Nothing has started them
 * when it returns: the first call does.
 */
export async function restore(copy: unknown) {
  const own = `r${crypto.randomUUID().slice(0, 5)}`;
  // Of the same length: that release has counted the bytes of each row.
  const text = JSON.stringify(copy).replaceAll("r00000", own);
  const { schema, queue, loadBalanced, account, ...stored } = copySchema.parse(JSON.parse(text));
  const { names, jobs, leases } = stored;
  await load(env.ENDPOINT_BROKER.getByName(names.queue), schema.broker, queue);
  await load(env.ENDPOINT_BROKER.getByName(names.loadBalanced), schema.broker, loadBalanced);
  await load(env.TENANT_ACCOUNT.getByName(names.owner), schema.account, account);
  const idOf = (name: string): string => jobs[name] ?? missing(name);
  return {
    ...stored,
    own,
    settings: endpointSettingsSchema.parse(queue.rows.settings?.[0]?.json),
    /** A fresh stub each time: one that saw the object end stays broken. */
    broker: () => brokerOf(env, names.queue),
    account: () => env.TENANT_ACCOUNT.getByName(names.owner) as unknown as AccountApi,
    idOf,
    held: (name: string) => ({ jobId: idOf(name), lease: leases[name] ?? missing(name) }),
  };
}

export type Restored = Awaited<ReturnType<typeof restore>>;

function missing(name: string): never {
  throw new Error(`the copy has nothing of the name ${name}`);
}

async function load(stub: DurableObjectStub, schema: readonly string[], { alarmAtMs, rows }: State): Promise<void> {
  await runInDurableObject(stub, async (_, { storage }) => {
    const { sql } = storage;
    dropAllTables(sql);
    for (const text of schema) sql.exec(text);
    for (const [table, stored] of Object.entries(rows)) {
      for (const row of stored) {
        putRow(sql, table, Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, toValue(cell)])));
      }
    }
    await storage.setAlarm(alarmAtMs);
  });
  await evictDurableObject(stub);
}

function toValue(cell: z.infer<typeof rowSchema>[string]): SqlStorageValue {
  if (typeof cell !== "object") return cell;
  const blob = blobSchema.safeParse(cell);
  return blob.success ? new Uint8Array(new TextEncoder().encode(blob.data.utf8)).buffer : JSON.stringify(cell);
}
