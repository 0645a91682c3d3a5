// Where a hosted upstream calls back when it has ended a job, and what in that address is nobody else's to see.
import type { Assignment } from "../contract/dispatch.ts";
import type { Upstream } from "../contract/settings.ts";
import type { CallbackCall } from "./callback-mac.ts";

/** Words of a route are shorter, and what could be guessed is no proof. */
const PROOF_MIN_CHARS = 16;

/** An endpoint of RunPod or of another Waybill, which takes a `policy` and calls back. */
export function isHosted({ dialect, local }: Pick<Upstream, "dialect" | "local">): boolean {
  return dialect === "runpod" && !local;
}

export interface CallbackMaker {
  /** Where upstreams reach this deployment, without a slash at the end; null: nobody has said, so none is asked to call back. */
  readonly publicUrl: string | null;
  /** What makes the address of a callback ours. */
  readonly signCallback: (call: CallbackCall) => Promise<string>;
}

/** Null: the upstream does not call back, or nobody knows by which address the deployment is reached. */
export async function makeCallbackUrl(
  { upstream, endpointId, jobId, lease }: Assignment,
  { publicUrl, signCallback }: CallbackMaker,
): Promise<string | null> {
  if (!isHosted(upstream) || publicUrl === null) return null;
  const mac = await signCallback({ endpointId, jobId, lease });
  return `${publicUrl}/v2/${endpointId}/callback/${jobId}/${lease}/${mac}`;
}

/** The address, and whatever in it proves something: the lease, and the MAC. */
export function callbackSecrets({ endpointId, jobId }: Assignment, callbackUrl: string | null): string[] {
  if (callbackUrl === null) return [];
  const known = [endpointId, jobId];
  const parts = new URL(callbackUrl).pathname.split("/");
  return [callbackUrl, ...parts.filter((part) => part.length >= PROOF_MIN_CHARS && !known.includes(part))];
}
