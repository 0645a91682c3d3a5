// What a run of npm run deploy has made and must not lose if it ends in the middle: kept in a file that its owner
// alone may read, and taken out of it once it was shown and nothing more is made with it. Then only the address
// stays.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";
import { parseApiKey } from "../../core/access/api-key.ts";
import { PROJECT_FOLDER } from "../folders.ts";
import { makePrivate, writePrivate } from "../private-file.ts";
import type { Unfinished } from "./plan.ts";

const keptSchema = z.object({
  /** Where the Worker was deployed to. */
  url: z.string().optional(),
  /** By name, before they are set. */
  secrets: z.record(z.string(), z.string()).optional(),
  areSecretsShown: z.boolean().optional(),
  /** Before it is written into the database. */
  first: z.object({ tenantId: z.string(), key: z.string(), webhookSecret: z.string() }).optional(),
  isFirstShown: z.boolean().optional(),
});
export type Kept = z.infer<typeof keptSchema>;

/** The file of one deployment: another account, or a Worker of another name, has its own. */
export class KeptFile {
  readonly path: string;

  constructor(accountId: string, worker: string) {
    this.path = join(PROJECT_FOLDER, ".waybill", `deploy-${accountId}-${worker}.json`);
  }

  read(): Kept {
    if (!existsSync(this.path)) return {};
    makePrivate(this.path);
    return keptSchema.parse(JSON.parse(readFileSync(this.path, "utf8")));
  }

  /** Changes what is given; a member that is undefined is taken out. */
  change(changes: { readonly [Name in keyof Kept]?: Kept[Name] | undefined }): void {
    mkdirSync(dirname(this.path), { recursive: true });
    // Beside it first: a process that ends in the middle must not leave the only copy of a secret half written.
    const next = `${this.path}.next`;
    writePrivate(next, `${JSON.stringify({ ...this.read(), ...changes }, null, 2)}\n`);
    renameSync(next, this.path);
  }

  forget(): void {
    rmSync(this.path, { force: true });
  }
}

/** `publicUrl`: the address that needs not be found out, if there is one. */
export function unfinishedIn(
  { url, secrets, areSecretsShown, first, isFirstShown }: Kept,
  publicUrl: string | null,
): Unfinished {
  return {
    hidesSecrets: secrets !== undefined && areSecretsShown !== true,
    keyId: first === undefined ? null : (parseApiKey(first.key)?.id ?? null),
    hidesKey: first !== undefined && isFirstShown !== true,
    knowsAddress: (publicUrl ?? url ?? null) !== null,
  };
}
