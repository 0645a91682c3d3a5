// The keys that `waybill login` keeps, by the address of their broker, in a file of the user's that nobody else may read.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import { parseJson } from "../core/json/value.ts";
import { makePrivate, writePrivate } from "./private-file.ts";

const loginsSchema = z.object({
  /** The broker of the last login, which a command is for that names none. */
  current: z.string().nullable(),
  keys: z.record(z.string(), z.string()),
});
export type Logins = z.infer<typeof loginsSchema>;

/** By the XDG Base Directory Specification, which other command lines follow, too. */
export function loginFile(env = process.env): string {
  const base = env.XDG_CONFIG_HOME ?? "";
  return join(base.startsWith("/") ? base : join(homedir(), ".config"), "waybill", "login.json");
}

/** Throws a sentence where the file is not one that login has written. */
export function readLogins(file = loginFile()): Logins {
  if (!existsSync(file)) return { current: null, keys: {} };
  makePrivate(file);
  const read = loginsSchema.safeParse(parseJson(readFileSync(file, "utf8")));
  if (read.success) return read.data;
  throw new Error(`${file} cannot be read: delete it, and log in again`);
}

export function writeLogins(logins: Logins, file = loginFile()): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writePrivate(file, `${JSON.stringify(logins, null, 2)}\n`);
}
