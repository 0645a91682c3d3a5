// Files that hold a key or a secret: their owner alone may read them.
import { closeSync, fchmodSync, fstatSync, openSync, writeFileSync } from "node:fs";
import { messageOf } from "../core/failure.ts";

const OWNER_ONLY = 0o600;
/** The rights that a file may keep: the owner's own, such as those of a script that can be run. */
const OWNER_MASK = 0o700;
const STANDARD_OUTPUT = 1;

/** Writes a text into a file, whose rights are narrowed first if it existed with wider ones. */
export function writePrivate(path: string, text: string): void {
  const file = openSync(path, "w", OWNER_ONLY);
  try {
    narrow(file, path);
    writeFileSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** Narrows the rights of a file that exists, such as one of an earlier release or one that was copied here. */
export function makePrivate(path: string): void {
  const file = openSync(path, "r");
  try {
    narrow(file, path);
  } finally {
    closeSync(file);
  }
}

/** To be called before a secret is printed: a shell that sends the output to a file lets everybody read that file. */
export function makeOutputPrivate(): void {
  narrow(STANDARD_OUTPUT, "the file that the output goes to");
}

/** A terminal, a pipe or `/dev/null` stays as it is. */
function narrow(file: number, name: string): void {
  const stat = fstatSync(file);
  const rights = stat.mode & 0o777;
  if (!stat.isFile() || rights === (rights & OWNER_MASK)) return;
  try {
    fchmodSync(file, rights & OWNER_MASK);
  } catch (error) {
    // The file of another user, or a file system without rights. The key is made by then and not shown again.
    console.error(`Others may read ${name}, which holds a key: its rights cannot be changed (${messageOf(error)}).`);
  }
}
