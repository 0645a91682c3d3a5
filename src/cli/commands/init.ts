// npm run admin -- init: the one command that writes the database itself.
import { join } from "node:path";
import { messageOf } from "../../core/failure.ts";
import { readSecrets } from "../admin-secrets.ts";
import { executeLocal, executeRemote } from "../d1.ts";
import { PROJECT_FOLDER } from "../dev-database.ts";
import { ensureDevSecrets } from "../dev-secrets.ts";
import { keepFirst } from "../first-file.ts";
import { initDeployment } from "../init.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";

const OPTIONS = {
  name: { type: "text", value: "NAME", about: "of the tenant (First tenant)" },
  remote: { type: "flag", about: "the database of the deployed broker, not that of --state" },
} as const;

export const INIT_COMMAND: Command = command({
  words: "init",
  summary: "make the first tenant and the first admin key, and print them",
  options: OPTIONS,
  notes: [
    "Writes the database directly, once: with the key all else is made by HTTP. npm start does the same by itself.",
    "WAYBILL_PEPPER and WAYBILL_ENCRYPTION_KEY are the secrets of the deployment (of a local one those in .dev.vars), or you are asked.",
  ],
  run: init,
});

async function init({ options, state }: CommandCall<typeof OPTIONS>): Promise<Shown> {
  const { name = "First tenant", remote } = options;
  const secrets = await readSecrets(remote ? null : localSecrets());
  const context = {
    secrets,
    execute: (...statements: Parameters<typeof executeRemote>[0]) =>
      remote ? executeRemote(statements) : executeLocal(state, statements),
  };
  const made = await initDeployment(context, name).catch((error: unknown) => {
    throw new Error(inPlainWords(messageOf(error)));
  });
  const isKept = !remote && keepFirst(state, secrets, made);
  return {
    json: made,
    lines: Object.entries(made).map(([fact, value]) => `${fact}: ${value}`),
    notes: [
      isKept
        ? `Kept in ${state} for the commands of the local broker. Elsewhere it is not shown again.`
        : "Keep it now: it is not shown again. The other commands read the key from WAYBILL_KEY, or ask for it.",
    ],
    isSecret: true,
  };
}

/** The file with the secrets of development, which is made if nothing else gives them. */
function localSecrets(): string {
  const isGiven = ["WAYBILL_PEPPER", "WAYBILL_ENCRYPTION_KEY"].every((name) => (process.env[name] ?? "") !== "");
  if (!isGiven) ensureDevSecrets(PROJECT_FOLDER);
  return join(PROJECT_FOLDER, ".dev.vars");
}

/** What to do about an error of the database; a sentence of our own, or of wrangler on its login, stays. */
function inPlainWords(message: string): string {
  if (/no such (?:table|column)|has no column named/.test(message))
    return "the database is of an earlier release: npx wrangler d1 migrations apply waybill --remote brings it up to date";
  if (/SQLITE_BUSY|database is locked/.test(message)) return "another process writes the database: try again";
  if (/UNIQUE constraint failed/.test(message)) return "another init was first: use the key that it has printed";
  return message;
}
