// waybill.json: what the folder of a worker says of its endpoint, for the commands that run there.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { patchEndpointSchema } from "../../contract/manage/endpoint.ts";
import { envSchema } from "../../contract/manage/fleet.ts";
import { messageOf } from "../../core/failure.ts";
import { fieldsOf } from "../../core/json/value.ts";
import { SLOTS_MAX } from "../../core/manage/limits.ts";
import { WrongUse } from "../wrong-use.ts";

export const SETTINGS_FILE = "waybill.json";

/** A slug is a part of paths, and of names that a registry of images takes. */
export const SLUG_MAX_CHARS = 63;
const SLUG = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** The name of a repository as registries take it, with its host before it or not. */
const REPOSITORY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/;
const REPOSITORY_CHARS_MAX = 255;

const settingsSchema = z.strictObject({
  endpoint: z.string().regex(SLUG, "must be small letters, digits and hyphens, such as my-worker").max(SLUG_MAX_CHARS),
  type: z.enum(["QUEUE", "LOAD_BALANCER"]).default("QUEUE"),
  /** The file that is run, from this folder. */
  worker: z.string().min(1).default("worker.js"),
  /** The class of GPUs, which sets the price. */
  tier: z.string().min(1).default("a4000"),
  /** Jobs that one worker runs at once. */
  slots: z.int().min(1).max(SLOTS_MAX).default(1),
  /** Without a tag, of which each deploy has its own. */
  image: z
    .string()
    .max(REPOSITORY_CHARS_MAX)
    .regex(REPOSITORY, "must be the name of an image without a tag, such as ghcr.io/you/my-worker")
    .optional(),
  /** Of each worker. This file is shared, so it is no place for secrets. */
  env: envSchema.default({}),
  /** Whatever else an endpoint has under `/v1/endpoints`. */
  settings: patchEndpointSchema
    .omit({ slug: true, inputSchema: true, image: true, env: true, templateId: true })
    .default({}),
});
export type ProjectSettings = z.infer<typeof settingsSchema>;

/** Reads the file in a folder; null: there is none. Throws a sentence that names the fields which are wrong. */
export function readSettings(folder: string): ProjectSettings | null {
  const path = join(folder, SETTINGS_FILE);
  if (!existsSync(path)) return null;
  const read = settingsSchema.safeParse(parse(path));
  if (read.success) return read.data;
  const problems = read.error.issues.map(({ path: at, message }) => `${at.map(String).join(".") || "it"}: ${message}`);
  throw new WrongUse(`${SETTINGS_FILE} is wrong: ${problems.join("; ")}`);
}

/** The same for a command that needs the file. */
export function requireSettings(folder: string): ProjectSettings {
  const settings = readSettings(folder);
  if (settings !== null) return settings;
  throw new WrongUse(`there is no ${SETTINGS_FILE} in ${folder}: init makes one, with a worker`);
}

/** The fields that stand in the file itself, without those that it has by default. The file was read before. */
export function fieldsInFile(folder: string): ReadonlySet<string> {
  return new Set(Object.keys(fieldsOf(parse(join(folder, SETTINGS_FILE))) ?? {}));
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new WrongUse(`${SETTINGS_FILE} is not JSON: ${messageOf(error)}`);
  }
}
