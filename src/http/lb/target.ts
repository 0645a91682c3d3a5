// Which load-balanced endpoint a URL names: by its path, /lb/{endpoint} and what follows, or by a host of its own. The
// part behind the endpoint's name is for the worker and is not read here.
import { type Config, readConfig } from "../../config.ts";
import type { TunnelRequest } from "../../outbound/tunnel.ts";

/** The endpoint that a URL names, and the path and query for its worker. */
export interface LbTarget extends Pick<TunnelRequest, "path" | "search"> {
  readonly endpoint: string;
}

const LB_PATH = /^\/lb\/([^/]+)(\/.*)?$/;

/** Hosts with a meaning: those of endpoints below `lbDomain`, and Waybill's own in `publicUrl`. */
export type Hosts = Pick<Config, "lbDomain" | "publicUrl">;

/** The load-balanced endpoint that a URL names; null: the URL belongs to another route. */
export function findLbTarget({ hostname, pathname, search }: URL, hosts: Hosts | null): LbTarget | null {
  // Hosts come first: a worker with a host of its own may have any path, even one that begins with /lb/.
  const label = hosts === null ? null : endpointLabel(hostname, hosts);
  if (label !== null) return { endpoint: label, path: pathname, search };
  const [, endpoint, path = ""] = LB_PATH.exec(pathname) ?? [];
  return endpoint === undefined ? null : { endpoint, path, search };
}

/** The endpoint that a host belongs to; null: none. Waybill's own host may be a subdomain of the same domain. */
function endpointLabel(hostname: string, { lbDomain, publicUrl }: Hosts): string | null {
  if (lbDomain === null || !hostname.endsWith(`.${lbDomain}`)) return null;
  if (publicUrl !== null && new URL(publicUrl).hostname === hostname) return null;
  const label = hostname.slice(0, -lbDomain.length - 1);
  return label.includes(".") ? null : label;
}

/** With wrong settings there are no hosts, so that the health route can still answer and name the wrong ones. */
export function readHosts(env: Env): Hosts | null {
  try {
    return readConfig(env);
  } catch {
    return null;
  }
}
