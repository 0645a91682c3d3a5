// The secrets of development: made once at random into `.dev.vars`, which git ignores, and never overwritten.
import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findWrongSecret } from "./secret-rules.ts";

export type DevSecrets = ReadonlyMap<string, string>;

/** The secrets in `.dev.vars` of the folder, made first if there is no such file. Throws one sentence if one is wrong. */
export function ensureDevSecrets(projectFolder: string): DevSecrets {
  const path = join(projectFolder, ".dev.vars");
  if (!existsSync(path)) createOnce(path);
  const secrets = parse(readFileSync(path, "utf8"));
  const wrong = findWrongSecret(secrets);
  if (wrong === null) return secrets;
  const { name, what } = wrong;
  throw new Error(`${name} in ${path} must be ${what}: correct the line, or delete the file to have new ones made.`);
}

/** Writes beside and links, so that of two starts at once one wins and the other reads a whole file. */
function createOnce(path: string): void {
  const draft = `${path}.${process.pid}`;
  const lines = [
    "# Secrets for development on this machine. Data stored under them cannot be read with others.",
    `PEPPER="${randomBytes(32).toString("base64")}"`,
    `ENCRYPTION_KEY="${randomBytes(32).toString("base64")}"`,
    "",
  ];
  writeFileSync(draft, lines.join("\n"), { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function parse(text: string): DevSecrets {
  const secrets = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([A-Z_][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const [, name = "", value = ""] = match;
    secrets.set(name, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return secrets;
}
