// What carrying a job needs of the deployment, both for the Carrier entrypoint and for a client's own request.
import { readConfig } from "../config.ts";
import type { CarryDeps } from "./attempt.ts";
import { brokerOf } from "./broker-client.ts";
import { signCallback } from "./callback-mac.ts";
import { systemClock } from "./clock.ts";

export function carryDeps(env: Env, endpointId: string): CarryDeps {
  const config = readConfig(env);
  return {
    leaseApi: () => brokerOf(env, endpointId),
    bucket: env.PAYLOADS,
    encryptionKey: config.encryptionKey,
    reach: config.reach,
    clock: systemClock,
    publicUrl: config.publicUrl,
    signCallback: (call) => signCallback(config.pepper, call),
  };
}
