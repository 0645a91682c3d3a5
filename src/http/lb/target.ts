// Which load-balanced endpoint a URL names: by its path, /lb/{endpoint} and what follows, or by a host of its own. What stands
// behind the endpoint's name is the worker's business and is not read here.
import { type Config, readConfig } from "../../config.ts";
import type { TunnelRequest } from "../../outbound/tunnel.ts";

/** What a URL names: an endpoint, and what its worker is asked for. */
export interface LbTarget extends Pick<TunnelRequest, "path" | "search"> {
  readonly endpoint: string;
}

const LB_PATH = /^\/lb\/([^/]+)(\/.*)?$/;

/** Hosts that stand for something: endpoints' below `lbDomain`, Waybill's own of `publicUrl`. */
export type Hosts = Pick<Config, "lbDomain" | "publicUrl">;

/** The load-balanced endpoint that a URL names; null: it is for another route. */
export function findLbTarget({ hostname, pathname, search }: URL, hosts: Hosts | null): LbTarget | null {
  // First, because a worker with a host of its own may have any path, one that begins with /lb/ too.
  const label = hosts === null ? null : endpointLabel(hostname, hosts);
  if (label !== null) return { endpoint: label, path: pathname, search };
  const [, endpoint, path = ""] = LB_PATH.exec(pathname) ?? [];
  return endpoint === undefined ? null : { endpoint, path, search };
}

/** The endpoint that a host stands for; null: none. Waybill's own host may be a subdomain of the same domain. */
function endpointLabel(hostname: string, { lbDomain, publicUrl }: Hosts): string | null {
  if (lbDomain === null || !hostname.endsWith(`.${lbDomain}`)) return null;
  if (publicUrl !== null && new URL(publicUrl).hostname === hostname) return null;
  const label = hostname.slice(0, -lbDomain.length - 1);
  return label.includes(".") ? null : label;
}

/** A deployment with wrong settings has none: its health route must be able to say what is wrong. */
export function readHosts(env: Env): Hosts | null {
  try {
    return readConfig(env);
  } catch {
    return null;
  }
}
