// Reads what the account has of a deployment. Nothing is changed.

import { messageOf } from "../../core/failure.ts";
import { textOf } from "../../core/json/value.ts";
import { SELECT_APPLIED, SELECT_FIRST_SLUG } from "../../db/deployment.ts";
import { SELECT_FINGERPRINTS } from "../../db/fingerprints.ts";
import { selectUsableAdminKeys } from "../../db/keys.ts";
import type { Statement } from "../../db/statement.ts";
import { WrongUse } from "../wrong-use.ts";
import type { Config } from "./config.ts";
import type { Found, Names, Stored } from "./plan.ts";
import {
  type Account,
  findConsumers,
  findDatabase,
  findExpiry,
  findTag,
  listAccounts,
  listSecrets,
  readDatabase,
} from "./wrangler.ts";

/** The account that every command is for. */
export async function chooseAccount(config: Config): Promise<Account> {
  const accounts = await listAccounts();
  const wanted = config.accountId ?? process.env.CLOUDFLARE_ACCOUNT_ID ?? "";
  const chosen = wanted === "" ? accounts : accounts.filter(({ id }) => id === wanted);
  const [account] = chosen;
  if (account === undefined) throw new Error(`this login may not use the account ${wanted}`);
  if (chosen.length === 1) return account;
  const all = accounts.map(({ id, name }) => `${id} (${name})`).join(", ");
  throw new WrongUse(`there are several accounts: set CLOUDFLARE_ACCOUNT_ID to one of ${all}`);
}

/** Three commands of wrangler at a time, because each of them takes a process of 100 MB. */
export async function lookAt(names: Names): Promise<Found> {
  const [databaseId, expires, secrets] = await Promise.all([
    findDatabase(names.database),
    findExpiry(names.bucket),
    listSecrets(),
  ]);
  const queues = new Map<string, readonly string[] | null>();
  for (let at = 0; at < names.queues.length; at += 3) {
    const some = names.queues.slice(at, at + 3);
    const readers = await Promise.all(some.map(findConsumers));
    for (const [index, queue] of some.entries()) queues.set(queue, readers[index] ?? null);
  }
  const [stored, tag] = await Promise.all([
    databaseId === null ? null : lookInside({ name: names.database, id: databaseId }),
    secrets === null ? null : findTag(),
  ]);
  return { databaseId, stored, bucket: expires === null ? null : { expires }, queues, secrets, tag };
}

async function lookInside(database: { readonly name: string; readonly id: string }): Promise<Stored> {
  const read = (...statements: Statement[]) => readDatabase(database, statements);
  const applied = ((await unlessOlder(read(SELECT_APPLIED))) ?? []).flat().map((row) => textOf(row, "name"));
  if (applied.length === 0) return { applied, fingerprints: new Map(), adminKeyIds: [], slug: null };
  const rows = await unlessOlder(read(SELECT_FINGERPRINTS, selectUsableAdminKeys(Date.now()), SELECT_FIRST_SLUG));
  // The table of the fingerprints is of the first migration.
  const [prints = [], keys = null, slugs = []] = rows ?? (await read(SELECT_FINGERPRINTS));
  return {
    applied,
    fingerprints: new Map(prints.map((row) => [textOf(row, "name"), textOf(row, "value")])),
    adminKeyIds: keys?.map((row) => textOf(row, "id")) ?? null,
    slug: slugs.length === 0 ? null : textOf(slugs[0], "slug"),
  };
}

/** Null: the database lacks a table or a column that a later migration makes. */
async function unlessOlder(rows: Promise<unknown[][]>): Promise<unknown[][] | null> {
  try {
    return await rows;
  } catch (error) {
    if (/no such (?:table|column)/.test(messageOf(error))) return null;
    throw error;
  }
}
