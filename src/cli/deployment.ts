// Reads from wrangler.toml what the operator's command needs of the deployment: variables that include its own hosts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Reach } from "../core/access/reach.ts";
import { PROJECT_FOLDER } from "./dev-database.ts";

/** Where upstreams may be: an address that each send would refuse is refused when it is added. */
export function readReach(remote: boolean, wranglerToml = join(PROJECT_FOLDER, "wrangler.toml")): Reach {
  // A local broker gets its address when it starts, on a port that is not known here.
  if (!remote) return { allowPrivate: true, publicUrl: null, lbDomain: null };
  const text = readFileSync(wranglerToml, "utf8");
  return {
    allowPrivate: false,
    publicUrl: readVariable(text, "PUBLIC_URL"),
    lbDomain: readVariable(text, "LB_DOMAIN"),
  };
}

function readVariable(text: string, name: string): string | null {
  const value = new RegExp(`^\\s*${name}\\s*=\\s*["']([^"']*)["']`, "m").exec(text)?.[1] ?? "";
  return value === "" ? null : value;
}
