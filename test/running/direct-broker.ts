// The broker for tests about clients that go away: built, and with a socket of its own.
import { join } from "node:path";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import type { Scope } from "../../src/contract/identity.ts";
import type { ChangedLimits } from "../../src/core/access/limits.ts";
import { prepareBroker, type TestEndpoints } from "./broker.ts";
import { BROKER_CONFIG, buildWorker, startDirect } from "./direct.ts";

export interface DirectBroker {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly key: string;
  readonly guestKeys: readonly string[];
  /** Path of the text that workerd runs. */
  readonly bundle: string;
  stop(): Promise<void>;
}

interface DirectOptions {
  readonly guests?: number;
  readonly guestScopes?: readonly Scope[];
  readonly inspectorPort?: number;
  readonly limits?: ChangedLimits;
  /** The folder in which the broker's own is made; the one for temporary files by default. */
  readonly parent?: string;
}

/** Prepares, builds and starts it. `stop` leaves nothing behind. */
export async function startDirectBroker(
  endpoints: TestEndpoints,
  { guests = 0, guestScopes, inspectorPort, limits, parent }: DirectOptions = {},
): Promise<DirectBroker> {
  const prepared = await prepareBroker(endpoints, guests, guestScopes, limits, parent);
  try {
    const bundle = await buildWorker(BROKER_CONFIG, join(prepared.folder, "built"), "index.js");
    const worker = {
      name: "broker",
      config: BROKER_CONFIG,
      file: bundle,
      bindings: { ...Object.fromEntries(ensureDevSecrets(PROJECT_FOLDER)), ALLOW_PRIVATE_ADDRESSES: "yes" },
    };
    // Where wrangler, which has filled the database, keeps it.
    const direct = await startDirect([worker], { stateFolder: join(prepared.folder, "v3"), inspectorPort });
    const stop = async (): Promise<void> => {
      await direct.stop();
      prepared.discard();
    };
    const { key, guestKeys } = prepared;
    return { url: direct.urls[0] ?? "", key, guestKeys, bundle, stop };
  } catch (error) {
    prepared.discard();
    throw error;
  }
}
