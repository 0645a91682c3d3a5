// The secrets of development: made once at random into `.dev.vars`, which git ignores, and never overwritten.
import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makePrivate, writePrivate } from "./private-file.ts";

export type DevSecrets = ReadonlyMap<string, string>;

/** The form of PEPPER and ENCRYPTION_KEY, which src/config.ts requires in the Worker. Checked before any write. */
const RULES: readonly { readonly name: string; readonly pattern: RegExp; readonly what: string }[] = [
  { name: "PEPPER", pattern: /^.{32,}$/, what: "at least 32 characters" },
  { name: "ENCRYPTION_KEY", pattern: /^[A-Za-z0-9+/]{43}=$/, what: "32 bytes in base64" },
];

/** The first secret that is wrong, and what it must be; null when both are well-formed. */
export function findWrongSecret(secrets: DevSecrets): { name: string; what: string } | null {
  return RULES.find(({ name, pattern }) => !pattern.test(secrets.get(name) ?? "")) ?? null;
}

/** The secrets in `.dev.vars` of the folder, made first if there is no such file. Throws a sentence on a wrong one. */
export function ensureDevSecrets(projectFolder: string): DevSecrets {
  const path = join(projectFolder, ".dev.vars");
  if (!existsSync(path)) createOnce(path);
  makePrivate(path);
  const secrets = readDevVars(path);
  const wrong = findWrongSecret(secrets);
  if (wrong === null) return secrets;
  const { name, what } = wrong;
  throw new Error(`${name} in ${path} must be ${what}: correct the line, or delete the file to have new ones made.`);
}

/** Writes a file beside and links it, so that of two starts at once one wins and the other reads a whole file. */
function createOnce(path: string): void {
  const draft = `${path}.${process.pid}`;
  const lines = [
    "# Secrets for development on this machine. Data stored under them cannot be read with others.",
    `PEPPER="${randomBytes(32).toString("base64")}"`,
    `ENCRYPTION_KEY="${randomBytes(32).toString("base64")}"`,
    "",
  ];
  writePrivate(draft, lines.join("\n"));
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The variables in a file of the form of `.dev.vars`; none where there is no such file. */
export function readDevVars(path: string): DevSecrets {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const pattern = /^\s*([A-Z_][A-Z0-9_]*)\s*=\s*(.*?)\s*$/g;
  const found = text.split("\n").flatMap((line) => [...line.matchAll(pattern)]);
  return new Map(found.map(([, name = "", value = ""]) => [name, value.replace(/^(["'])(.*)\1$/, "$2")]));
}
