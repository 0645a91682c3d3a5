// A running broker for tests: a state folder of its own, a free port, one tenant, and the endpoints a test asks for.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyMigrations, executeOnFolder } from "../../src/cli/dev-database.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import type { Scope } from "../../src/contract/identity.ts";
import type { Upstream } from "../../src/contract/settings.ts";
import type { ChangedLimits } from "../../src/core/access/limits.ts";
import { StoredRows } from "../support/stored.ts";
import { takePort } from "./port.ts";

/** What differs between the upstreams of tests; the rest is the same for all. */
type PushedUpstream = Readonly<Pick<Upstream, "url" | "dialect" | "slots" | "credential">>;

/** Who runs the jobs of an endpoint: an upstream that is called, workers that call with a key, both, or nobody. */
export interface TestEndpoint {
  readonly upstream?: PushedUpstream;
  readonly workers?: { readonly slots?: number; readonly rateKind?: "flex" | "active" };
  readonly maxAttempts?: number;
  readonly kind?: "queue" | "load_balancer";
  readonly bodyMaxBytes?: number;
  readonly openaiRoutes?: string;
  /** Open to every tenant of the broker. */
  readonly shared?: boolean;
}

/** By slug; an upstream alone stands for an endpoint with nothing else. */
export type TestEndpoints = Readonly<Record<string, PushedUpstream | TestEndpoint>>;

/** By slug, of the endpoints that have workers. */
export type WorkerKeys = Readonly<Record<string, { readonly endpointId: string; readonly key: string }>>;

/** A broker's folder with everything in its database, not yet started. */
export interface PreparedBroker {
  readonly key: string;
  /** Keys with the scope `jobs`, or those asked for, each of another tenant: they may call what is shared. */
  readonly guestKeys: readonly string[];
  readonly workerKeys: WorkerKeys;
  readonly port: number;
  readonly folder: string;
  launch(options?: { readonly inspectorPort?: number }): Promise<DevServer>;
  /** Removes the folder. */
  discard(): void;
}

export interface RunningBroker {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly key: string;
  readonly workerKeys: WorkerKeys;
  /** Its state: the database of the operator's commands, and what the broker keeps. */
  readonly folder: string;
  /** Leader of its process group. */
  readonly pid: number;
  /** Calls a path with the key; a body makes it a POST. */
  call(path: string, body?: string | Buffer): Promise<Response>;
  stop(): Promise<void>;
}

/**
 * Makes the tenant, one endpoint for each slug, and so many more tenants. `limits` of calls: of all of them. The broker's folder
 * is made in `parent`.
 */
export async function prepareBroker(
  endpoints: TestEndpoints,
  guests = 0,
  guestScopes: readonly Scope[] = ["jobs"],
  limits: ChangedLimits | null = null,
  parent: string = tmpdir(),
): Promise<PreparedBroker> {
  const folder = mkdtempSync(join(parent, "waybill-running-"));
  try {
    return await fillFolder(folder, endpoints, guests, guestScopes, limits);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function fillFolder(
  folder: string,
  endpoints: TestEndpoints,
  guests: number,
  guestScopes: readonly Scope[],
  limits: ChangedLimits | null,
): Promise<PreparedBroker> {
  const secrets = ensureDevSecrets(PROJECT_FOLDER);
  await applyMigrations(folder);
  const rows = new StoredRows({
    pepper: secrets.get("PEPPER") ?? "",
    encryptionKey: secrets.get("ENCRYPTION_KEY") ?? "",
  });
  const { tenantId } = await rows.tenant("Tenant of a test", limits);
  const { key } = await rows.key(tenantId, ["jobs", "manage", "admin"]);
  const workerKeys: Record<string, WorkerKeys[string]> = {};
  for (const [slug, given] of Object.entries(endpoints)) {
    const { upstream, workers, ...settings }: TestEndpoint = "url" in given ? { upstream: given } : given;
    const { endpointId } = rows.endpoint({ tenantId, slug, ...settings });
    if (upstream !== undefined)
      await rows.upstream(endpointId, { local: false, tier: "a4000", rateKind: "flex", ...upstream });
    if (workers !== undefined) {
      const price = { tier: "a4000", rateKind: "flex", slots: 1, ...workers } as const;
      workerKeys[slug] = await rows.workerKey(endpointId, price);
    }
  }
  const guestKeys: string[] = [];
  for (let made = 0; made < guests; made += 1) {
    const guest = await rows.tenant(`Guest ${made}`, limits);
    guestKeys.push((await rows.key(guest.tenantId, guestScopes)).key);
  }
  await executeOnFolder(folder, rows.statements);
  const port = await takePort();
  return {
    key,
    guestKeys,
    workerKeys,
    port,
    folder,
    launch: (options) => launchDevServer({ port, persistTo: folder, ...options }),
    discard: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Prepares and starts a broker. `stop` leaves nothing behind. */
export async function startBroker(
  endpoints: TestEndpoints,
  { limits, ...options }: { readonly inspectorPort?: number; readonly limits?: ChangedLimits } = {},
): Promise<RunningBroker> {
  const prepared = await prepareBroker(endpoints, 0, undefined, limits);
  const server = await prepared.launch(options);
  return {
    url: server.url,
    key: prepared.key,
    workerKeys: prepared.workerKeys,
    folder: prepared.folder,
    pid: server.pid,
    call: (path, body) => callBroker(`${server.url}${path}`, prepared.key, { body }),
    stop: async () => {
      await server.stop();
      prepared.discard();
    },
  };
}

/** What may go with a call. */
export interface CallOptions {
  readonly body?: string | Buffer | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** One call with a key; a body makes it a POST. `fetch` sends no `Expect` header by itself. */
export function callBroker(url: string, key: string, options: CallOptions = {}): Promise<Response> {
  const { body, signal } = options;
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json", ...options.headers };
  const given = signal === undefined ? { headers } : { headers, signal };
  if (body === undefined) return fetch(url, given);
  return fetch(url, { ...given, method: "POST", body: typeof body === "string" ? body : new Uint8Array(body) });
}

/** Waits for a job to end and resolves with the raw bytes of its last status. */
export async function finishJob(broker: Pick<RunningBroker, "call">, slug: string, id: string): Promise<Buffer> {
  while (true) {
    const response = await broker.call(`/v2/${slug}/status-sync/${id}?wait=20000`);
    if (response.status !== 200) throw new Error(`status-sync answered ${response.status}`);
    const answer = Buffer.from(await response.arrayBuffer());
    if (!/"status":"IN_(QUEUE|PROGRESS)"/.test(answer.subarray(-1_000).toString())) return answer;
  }
}
