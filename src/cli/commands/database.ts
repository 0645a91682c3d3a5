// The database of a deployment for the commands that write it themselves, and its secrets.
import { join } from "node:path";
import { messageOf } from "../../core/failure.ts";
import { readSecrets } from "../admin-secrets.ts";
import { executeLocal, executeRemote } from "../d1.ts";
import { ensureDevSecrets } from "../dev-secrets.ts";
import { PROJECT_FOLDER } from "../folders.ts";
import type { InitContext } from "../init.ts";

export const REMOTE = { type: "flag", about: "the database of the deployed broker, not that of --state" } as const;

/** What the help of such a command says of secrets. */
export const SECRETS_NOTE =
  "WAYBILL_PEPPER and WAYBILL_ENCRYPTION_KEY are the secrets of the deployment (of a local one those in .dev.vars), or you are asked.";

/** Runs something on the database; an error of the database becomes a sentence on what to do. */
export async function withDatabase<Done>(
  place: { readonly remote: boolean; readonly state: string },
  run: (context: InitContext) => Promise<Done>,
): Promise<Done> {
  const { remote, state } = place;
  const secrets = await readSecrets(remote ? null : localSecrets());
  const execute: InitContext["execute"] = (...statements) =>
    remote ? executeRemote(statements) : executeLocal(state, statements);
  return run({ secrets, execute }).catch((error: unknown) => {
    throw new Error(inPlainWords(messageOf(error)));
  });
}

/** The file with the secrets of development, which is made if nothing else gives them. */
function localSecrets(): string {
  const isGiven = ["WAYBILL_PEPPER", "WAYBILL_ENCRYPTION_KEY"].every((name) => (process.env[name] ?? "") !== "");
  if (!isGiven) ensureDevSecrets(PROJECT_FOLDER);
  return join(PROJECT_FOLDER, ".dev.vars");
}

/** A sentence of our own, or of wrangler on its login, stays. */
function inPlainWords(message: string): string {
  if (/no such (?:table|column)|has no column named/.test(message))
    return "the database is of an earlier release: npx wrangler d1 migrations apply DB --remote brings it up to date";
  if (/SQLITE_BUSY|database is locked/.test(message)) return "another process writes the database: try again";
  if (/UNIQUE constraint failed/.test(message)) return "another setup was first: use the key that it has printed";
  return message;
}
