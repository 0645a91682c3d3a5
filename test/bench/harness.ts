// Everything that a run of the bench needs: the built broker and the floor in one workerd, the upstream in a process of its own.
// Clients speak to workerd itself: wrangler's development proxy costs more than the broker (test/bench/README.md).
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { buildWorker, startDirect } from "../running/direct.ts";
import { endProcess, startProgram } from "./children.ts";
import { fillDatabase, makeSecrets } from "./database.ts";

/** Addresses without a slash at the end. */
export interface Bench {
  readonly brokerUrl: string;
  readonly floorUrl: string;
  readonly upstreamUrl: string;
  readonly upstreamPid: number;
  /** A tenant's key with the scope `jobs`. */
  readonly key: string;
  /** Is the state in memory? Then a commit costs no write to a disk. */
  readonly inMemory: boolean;
  /** Ends every process and removes the state. */
  stop(): Promise<void>;
}

const MEMORY_FOLDER = "/dev/shm";
const HOST = "127.0.0.1";
const BROKER_CONFIG = join(PROJECT_FOLDER, "wrangler.toml");
const FLOOR_CONFIG = fileURLToPath(new URL("floor/wrangler.toml", import.meta.url));
const UPSTREAM = fileURLToPath(new URL("upstream.ts", import.meta.url));

/** A folder for state that goes with the program: in memory where there is such a folder, so that all is measured alike. */
export function makeStateFolder(): { readonly folder: string; readonly inMemory: boolean; remove(): void } {
  const inMemory = existsSync(MEMORY_FOLDER);
  const folder = mkdtempSync(join(inMemory ? MEMORY_FOLDER : tmpdir(), "waybill-bench-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  // Also where the program is broken off while something starts: what is left here is memory.
  process.once("exit", remove);
  return { folder, inMemory, remove };
}

/** Builds and starts all of it; takes a few seconds. `inspectorPort`: where V8's inspector is to listen. */
export async function startBench(options: { readonly inspectorPort?: number } = {}): Promise<Bench> {
  const { folder, inMemory, remove } = makeStateFolder();
  const endings: (() => Promise<unknown>)[] = [async () => remove()];
  const stop = async (): Promise<void> => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    const upstream = await startProgram(UPSTREAM);
    endings.push(() => endProcess(upstream.child));
    const upstreamUrl = `http://${HOST}:${upstream.port}`;
    const edge = await startEdge(folder, upstreamUrl, options.inspectorPort);
    endings.push(edge.stop);
    const { brokerUrl, floorUrl, key } = edge;
    return { brokerUrl, floorUrl, upstreamUrl, upstreamPid: upstream.child.pid ?? 0, key, inMemory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs both Workers in one workerd and fills the broker's database. */
async function startEdge(folder: string, upstreamUrl: string, inspectorPort: number | undefined) {
  const secrets = makeSecrets();
  const broker = {
    name: "broker",
    config: BROKER_CONFIG,
    file: await buildWorker(BROKER_CONFIG, join(folder, "broker"), "index.js"),
    bindings: { PEPPER: secrets.pepper, ENCRYPTION_KEY: secrets.encryptionKey, ALLOW_PRIVATE_ADDRESSES: "yes" },
  };
  const floor = {
    name: "floor",
    config: FLOOR_CONFIG,
    file: await buildWorker(FLOOR_CONFIG, join(folder, "floor"), "worker.js"),
    bindings: { UPSTREAM_URL: upstreamUrl },
  };
  const direct = await startDirect([broker, floor], { stateFolder: join(folder, "state"), inspectorPort });
  try {
    const key = await fillDatabase(await direct.miniflare.getD1Database("DB", "broker"), secrets, upstreamUrl);
    const [brokerUrl = "", floorUrl = ""] = direct.urls;
    return { brokerUrl, floorUrl, key, stop: direct.stop };
  } catch (error) {
    await direct.stop();
    throw error;
  }
}
