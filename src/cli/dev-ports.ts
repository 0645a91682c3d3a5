// TCP ports of this machine: which are free, and when one is closed again.
import { connect, createServer } from "node:net";

/** Where `npm start` serves, unless it is told another port. */
export const BROKER_PORT = 8787;

/** True when nothing listens on the port of 127.0.0.1. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The preferred port if it is free, else any free one. */
export async function findFreePort(preferred = 0): Promise<number> {
  if (preferred !== 0 && (await isPortFree(preferred))) return preferred;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** True when a connection to the port of 127.0.0.1 is accepted. */
export function isPortOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

/** What to do about a port that is taken. A second broker needs a state of its own, too. */
export function portInUse(port: number): string {
  return `Port ${port} is in use: stop what listens there, or choose another with --port N. A second broker beside one that runs also needs a state of its own, --state DIR.`;
}
