// A port for a worker that is still to be started. Until it listens the port is free for everybody, so that two that look at the same moment
// would take the same one: the UDP port of the same number, which nobody else needs, is held as a sign, and is let go when the process ends,
// however it ends.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isPortFree } from "../dev-ports.ts";
import { Failed, WrongUse } from "../wrong-use.ts";

export interface ReservedPort {
  readonly port: number;
  /** May be called more than once. */
  release(): void;
}

const FIRST_PORT = 8_000;
const LAST_PORT = 8_999;

/** The port that is named, or the first free one from 8000 on. Throws a sentence where there is none. */
export async function reservePort(named: number | undefined): Promise<ReservedPort> {
  for (let port = named ?? FIRST_PORT; port <= (named ?? LAST_PORT); port += 1) {
    const release = await hold(port);
    if (release === null) continue;
    if (await isPortFree(port)) return { port, release };
    release();
  }
  if (named !== undefined)
    throw new WrongUse(`--port ${named} is in use: stop what listens there, or choose another one`);
  throw new Failed("failed", `no port from ${FIRST_PORT} to ${LAST_PORT} is free: --port N names another one`);
}

/** Resolves with what lets it go; null: another process holds it. */
async function hold(port: number): Promise<(() => void) | null> {
  let socket: Socket | null = createSocket("udp4").unref();
  const release = () => {
    socket?.close();
    socket = null;
  };
  try {
    socket.bind({ port, address: "127.0.0.1", exclusive: true });
    await once(socket, "listening");
    return release;
  } catch {
    release();
    return null;
  }
}
