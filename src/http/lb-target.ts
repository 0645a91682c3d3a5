// Which load-balanced endpoint a URL names: by its path, /lb/{endpoint} and what follows, or by a host of its own. What stands
// behind the endpoint's name is the worker's business and is not read here.
import { readConfig } from "../config.ts";

/** What a URL names: an endpoint, and what its worker is asked for. */
export interface LbTarget {
  readonly endpoint: string;
  /** From its slash on; empty: none. */
  readonly path: string;
  /** With its question mark; empty: none. */
  readonly search: string;
}

const LB_PATH = /^\/lb\/([^/]+)(\/.*)?$/;

/** The load-balanced endpoint that a URL names; null: it is for another route. */
export function findLbTarget({ hostname, pathname, search }: URL, env: Env): LbTarget | null {
  const [, endpoint, path = ""] = LB_PATH.exec(pathname) ?? [];
  if (endpoint !== undefined) return { endpoint, path, search };
  const domain = lbDomain(env);
  if (domain === null || !hostname.endsWith(`.${domain}`)) return null;
  const label = hostname.slice(0, -domain.length - 1);
  return label.includes(".") ? null : { endpoint: label, path: pathname, search };
}

/** A deployment with wrong settings has no domain: its health route must be able to say what is wrong. */
function lbDomain(env: Env): string | null {
  try {
    return readConfig(env).lbDomain;
  } catch {
    return null;
  }
}
