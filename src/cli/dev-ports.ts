// TCP ports of this machine: which are free, and when one is closed again.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { promisify } from "node:util";

/** The port that `npm start` serves on, unless it is given another one. */
export const BROKER_PORT = 8787;

/** True when nothing listens on the port of 127.0.0.1. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await tryPort(port)) !== null;
}

/** A port that the system chooses among the free ones. */
export async function findFreePort(): Promise<number> {
  const port = await tryPort(0);
  if (port === null) throw new Error("this machine has no free port");
  return port;
}

/** Listens on a port for a moment, on any free one for 0, and returns which it was; null: the port is taken. */
async function tryPort(port: number): Promise<number | null> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return null;
  }
  const address = server.address();
  await promisify(server.close.bind(server))();
  return typeof address === "object" ? (address?.port ?? null) : null;
}

/** True when a connection to the port of 127.0.0.1 is accepted. */
export async function isPortOpen(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A sentence on what to do about a port that is taken. A second broker needs a state folder of its own, too. */
export function portInUse(port: number): string {
  return `Port ${port} is in use: stop what listens there, or choose another with --port N. A second broker beside one that runs also needs a state of its own, --state DIR.`;
}
