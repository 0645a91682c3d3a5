// .waybill/dev.json: which `dev` runs in a folder, and the keys that are to be revoked when it has ended, however it ends.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { parseJson } from "../../core/json/value.ts";
import { startOf } from "../dev-processes.ts";
import { writePrivate } from "../private-file.ts";
import { WrongUse } from "../wrong-use.ts";
import { ownFolder } from "./own-folder.ts";

/** A key of a worker by its id: the key itself is kept nowhere. */
const keySchema = z.object({ broker: z.string(), endpoint: z.string(), id: z.string() });
export type NotedKey = z.infer<typeof keySchema>;

const noteSchema = z.object({ pid: z.int(), since: z.string().nullable(), keys: z.array(keySchema) });

export class DevNote {
  readonly #path: string;
  #keys: readonly NotedKey[];

  /** Throws a sentence where another `dev` runs in the folder. */
  constructor(folder: string) {
    this.#path = join(ownFolder(folder), "dev.json");
    const read = noteSchema.safeParse(existsSync(this.#path) ? parseJson(readFileSync(this.#path, "utf8")) : null);
    this.#keys = read.success ? read.data.keys : [];
    const { pid, since } = read.success ? read.data : { pid: 0, since: null };
    if (pid !== process.pid && since !== null && startOf(pid) === since)
      throw new WrongUse(`dev runs in ${folder} already, as process ${pid}`);
    this.#write();
  }

  /** Those of earlier runs that were not revoked yet, and of this one. */
  get keys(): readonly NotedKey[] {
    return this.#keys;
  }

  add(key: NotedKey): void {
    this.#keys = [...this.#keys, key];
    this.#write();
  }

  remove({ id }: NotedKey): void {
    this.#keys = this.#keys.filter((key) => key.id !== id);
    this.#write();
  }

  /** This run is over. What could not be revoked stays for the next one. */
  close(): void {
    if (this.#keys.length === 0) rmSync(this.#path, { force: true });
    else this.#write(null);
  }

  #write(since = startOf(process.pid)): void {
    writePrivate(this.#path, `${JSON.stringify({ pid: process.pid, since, keys: this.#keys }, null, 2)}\n`);
  }
}
