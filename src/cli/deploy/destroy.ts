// npm run deploy -- --destroy: deletes all that a deployment has in the account, once somebody has typed its name.
import { createInterface } from "node:readline";
import { fieldsOf } from "../../core/json/value.ts";
import { SELECT_SIZES } from "../../db/deployment.ts";
import { type Config, noteDatabaseId } from "./config.ts";
import { NO_DATABASE_ID } from "./database-line.ts";
import type { KeptFile } from "./kept.ts";
import { type Deletion, type Found, planDestroy } from "./plan.ts";
import type { Print } from "./secrets.ts";
import { deleteBucket, deleteDatabase, deleteQueue, deleteWorker, readDatabase } from "./wrangler.ts";

export interface DestroyRequest {
  readonly config: Config;
  readonly found: Found;
  readonly kept: KeptFile;
  readonly isDry: boolean;
  readonly print: Print;
}

export async function destroy({ config, found, kept, isDry, print }: DestroyRequest): Promise<void> {
  const { names } = config;
  const deletions = planDestroy(names, found, config.databaseId);
  if (deletions.length === 0) return print("0 changes: nothing of it is there");
  print("This deletes for ever:");
  for (const deletion of deletions) print(`  ${await lossOf(deletion, found)}`);
  if (isDry) return print("Nothing was changed.");
  const typed = await ask(`Type ${names.worker} to delete it: `);
  if (typed.trim() !== names.worker) throw new Error("nothing was deleted");
  const left: string[] = [];
  for (const deletion of deletions) {
    if (await remove(deletion)) print(`deleted: ${titleOf(deletion)}`);
    else left.push(titleOf(deletion));
  }
  kept.forget();
  if (left.length === 0) return;
  throw new Error(
    `still there: ${left.join(", ")}, which holds objects: empty it in the dashboard, and run this again`,
  );
}

function titleOf(deletion: Deletion): string {
  if (deletion.kind === "note") return "the database's id in wrangler.toml";
  return `the ${deletion.kind === "worker" ? "Worker" : deletion.kind} ${deletion.name}`;
}

async function lossOf(deletion: Deletion, found: Found): Promise<string> {
  const title = titleOf(deletion);
  switch (deletion.kind) {
    case "worker":
      return `${title}: every job, bills and webhooks that are not out yet, and the secrets PEPPER and ENCRYPTION_KEY`;
    case "queue":
      return `${title}: wake-ups alone`;
    case "bucket":
      return `${title}: inputs and results over 256 KB`;
    case "database":
      return `${title}: ${await contents(deletion.name, found)}`;
    case "note":
      return title;
  }
}

async function contents(name: string, { databaseId, stored }: Found): Promise<string> {
  const all = "tenants, keys, endpoints, prices and the record of usage";
  if (databaseId === null || stored === null || stored.applied.length === 0) return all;
  const [rows = []] = await readDatabase({ name, id: databaseId }, [SELECT_SIZES]);
  const sizes = fieldsOf(rows[0]) ?? {};
  return `${all} (${sizes.tenants} tenants, ${sizes.endpoints} endpoints, ${sizes.lines} lines of the bill)`;
}

/** False: it is still there. */
async function remove(deletion: Deletion): Promise<boolean> {
  switch (deletion.kind) {
    case "worker":
      await deleteWorker(deletion.name);
      return true;
    case "queue":
      await deleteQueue(deletion.name);
      return true;
    case "bucket":
      return deleteBucket(deletion.name);
    case "database":
      await deleteDatabase(deletion);
      return true;
    case "note":
      noteDatabaseId(NO_DATABASE_ID);
      return true;
  }
}

/** "": the input ended without an answer. */
function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  return new Promise((resolve) => {
    terminal.once("close", () => resolve(""));
    terminal.question(question, (answer) => {
      resolve(answer);
      terminal.close();
    });
  });
}
