// .waybill: what the commands keep in a worker's folder, which nobody commits.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The path of the folder, which is made if it is missing. Git ignores all of it, whatever else the worker's folder says. */
export function ownFolder(folder: string): string {
  const path = join(folder, ".waybill");
  mkdirSync(path, { recursive: true });
  const ignored = join(path, ".gitignore");
  if (!existsSync(ignored)) writeFileSync(ignored, "*\n");
  return path;
}
