// A running broker for tests: a state folder of its own, a free port, one tenant, and the endpoints a test asks for.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addDevUpstream, createDevEndpoint, createDevTenant, type DevUpstream } from "../../src/cli/dev-admin.ts";
import { applyMigrations, PROJECT_FOLDER } from "../../src/cli/dev-database.ts";
import { findFreePort } from "../../src/cli/dev-ports.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";

/** A broker's folder with everything in its database, not yet started. */
export interface PreparedBroker {
  readonly key: string;
  readonly port: number;
  readonly folder: string;
  launch(): Promise<DevServer>;
  /** Removes the folder. */
  discard(): void;
}

export interface RunningBroker {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly key: string;
  /** Calls a path with the key; a body makes it a POST. */
  call(path: string, body?: string | Buffer): Promise<Response>;
  stop(): Promise<void>;
}

/** Makes the tenant and one endpoint for each slug, with one upstream. */
export async function prepareBroker(endpoints: Readonly<Record<string, DevUpstream>>): Promise<PreparedBroker> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-running-"));
  const place = { persistTo: folder, secrets: ensureDevSecrets(PROJECT_FOLDER) };
  await applyMigrations(folder);
  const { tenantId, key } = await createDevTenant(place, "Tenant of a test");
  for (const [slug, upstream] of Object.entries(endpoints)) {
    await addDevUpstream(place, await createDevEndpoint(place, tenantId, slug), upstream);
  }
  const port = await findFreePort();
  return {
    key,
    port,
    folder,
    launch: () => launchDevServer({ port, persistTo: folder }),
    discard: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Prepares and starts a broker. `stop` leaves nothing behind. */
export async function startBroker(endpoints: Readonly<Record<string, DevUpstream>>): Promise<RunningBroker> {
  const prepared = await prepareBroker(endpoints);
  const server = await prepared.launch();
  return {
    url: server.url,
    key: prepared.key,
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
