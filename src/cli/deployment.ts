// What the operator's command knows of the deployment: the variables in wrangler.toml, which say its own hosts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Reach } from "../core/access/reach.ts";
import { PROJECT_FOLDER } from "./dev-database.ts";

/** Where upstreams may be: what is refused when one is added is what would be at each send. */
export function readReach(remote: boolean, wranglerToml = join(PROJECT_FOLDER, "wrangler.toml")): Reach {
  // A broker of this machine is told its address when it starts, on a port that nobody knows here.
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
