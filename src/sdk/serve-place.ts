// Where a worker of a load-balanced endpoint listens, under the names that RunPod gives its containers (docs/wire.md
// 6).
import type { Variables } from "./environment.ts";

export interface ServePlace {
  /** 0: any free one. */
  readonly port: number;
  /** Null: health is told on the same port. */
  readonly healthPort: number | null;
  readonly healthPath: string;
}

const PORT = 80;
const PORT_MAX = 65_535;
const HEALTH_PATH = "/ping";

/** `port` goes before the variable. Throws one sentence that names what is wrong. */
export function readServePlace(variables: Variables, port: number | undefined): ServePlace {
  const own = port === undefined ? (readPort("PORT", variables.PORT) ?? PORT) : checkedPort("port", port);
  const health = readPort("PORT_HEALTH", variables.PORT_HEALTH);
  const path = variables.HEALTH_CHECK_PATH?.trim() || HEALTH_PATH;
  if (!path.startsWith("/")) throw new Error(`HEALTH_CHECK_PATH must begin with a slash, not be "${path}"`);
  return { port: own, healthPort: health === own ? null : health, healthPath: path };
}

/** Null: not set, or empty as an unset variable of a container often is. */
function readPort(name: string, text = ""): number | null {
  return text.trim() === "" ? null : checkedPort(name, Number(text));
}

function checkedPort(name: string, port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= PORT_MAX) return port;
  throw new Error(`${name} must be a port, a whole number up to ${PORT_MAX}`);
}
