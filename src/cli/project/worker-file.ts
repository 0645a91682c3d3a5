// The file that a worker is started from, and the environment that it is started with on this machine.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { WrongUse } from "../wrong-use.ts";
import { SETTINGS_FILE } from "./settings.ts";
import { runsTypeScript } from "./typescript.ts";

/** The path of the worker's file. Throws a sentence where this Node cannot run it. */
export function workerFile(folder: string, worker: string): string {
  const path = join(folder, worker);
  if (!existsSync(path)) throw new WrongUse(`worker in ${SETTINGS_FILE} names ${worker}, which is not in ${folder}`);
  if (/\.[mc]?ts$/.test(worker) && !runsTypeScript())
    throw new WrongUse(`Node ${process.versions.node} cannot run ${worker}: 22.18 or newer runs TypeScript`);
  return path;
}

/**
 * The variables of a worker: this process's own, but for the operator's key and for what would make it the worker of another endpoint, and
 * those of `own`, which go before them.
 */
export function workerEnvironment(own: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(WAYBILL_|RUNPOD_(WEBHOOK_|ENDPOINT_ID$|AI_API_KEY$|POD_ID$))/.test(name) && name !== "MODE",
  );
  return { ...Object.fromEntries(inherited), ...own };
}
