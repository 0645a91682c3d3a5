// The environment of workers is sealed as one JSON text, because its values are often tokens.
import { envSchema, type WorkerEnv } from "../contract/manage/fleet.ts";
import { open, seal } from "./credentials.ts";

/** Null for an empty environment. `place`: of core/access/sealing.ts. */
export async function sealEnv(env: WorkerEnv, encryptionKey: string, place: string): Promise<string | null> {
  return Object.keys(env).length === 0 ? null : seal(JSON.stringify(env), encryptionKey, place);
}

/** What `sealEnv` sealed. */
export async function openEnv(sealed: string | null, encryptionKey: string, place: string): Promise<WorkerEnv> {
  return sealed === null ? {} : envSchema.parse(JSON.parse(await open(sealed, encryptionKey, place)));
}
