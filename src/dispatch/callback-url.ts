// The address that a hosted upstream calls back when it has ended a job, and the secrets in that address.
import type { Assignment } from "../contract/dispatch.ts";
import type { Upstream } from "../contract/settings.ts";
import type { CallbackCall } from "./callback-mac.ts";

/** Shorter parts of the address are parts of the route's own path, and a text that can be guessed proves nothing. */
const PROOF_MIN_CHARS = 16;

/** An endpoint of RunPod or of another Waybill, which takes a `policy` and calls back. */
export function isHosted({ dialect, local }: Pick<Upstream, "dialect" | "local">): boolean {
  return dialect === "runpod" && !local;
}

export interface CallbackMaker {
  /** Where upstreams reach this deployment, without a slash at the end; null: not set, so no upstream calls back. */
  readonly publicUrl: string | null;
  /** Makes the MAC that proves that the address of a callback is ours. */
  readonly signCallback: (call: CallbackCall) => Promise<string>;
}

/** Null: the upstream does not call back, or the deployment has no public address in its settings. */
export async function makeCallbackUrl(
  { upstream, endpointId, jobId, lease }: Assignment,
  { publicUrl, signCallback }: CallbackMaker,
): Promise<string | null> {
  if (!isHosted(upstream) || publicUrl === null) return null;
  const mac = await signCallback({ endpointId, jobId, lease });
  return `${publicUrl}/v2/${endpointId}/callback/${jobId}/${lease}/${mac}`;
}

/** The secrets in a callback: its address, and the parts that prove something, which are the lease and the MAC. */
export function callbackSecrets({ endpointId, jobId }: Assignment, callbackUrl: string | null): string[] {
  if (callbackUrl === null) return [];
  const known = [endpointId, jobId];
  const parts = new URL(callbackUrl).pathname.split("/");
  return [callbackUrl, ...parts.filter((part) => part.length >= PROOF_MIN_CHARS && !known.includes(part))];
}
