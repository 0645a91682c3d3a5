// Ports for what a test starts. Those that the system chooses by itself, for port 0 and for every connection, are from 32768 on (49152 on
// some systems): a broker that is still to be started, or that was killed to be started again, would find such a port taken now and then.
import { randomInt } from "node:crypto";
import { reservePort } from "../../src/cli/project/port-reservation.ts";
import { WrongUse } from "../../src/cli/wrong-use.ts";

const FIRST_PORT = 10_000;
const LAST_PORT = 32_767;
const TRIES = 100;

/** A port that nothing listens on, and that no other process of the tests takes as long as this one runs. */
export async function takePort(): Promise<number> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      const { port } = await reservePort(randomInt(FIRST_PORT, LAST_PORT + 1));
      return port;
    } catch (error) {
      if (!(error instanceof WrongUse)) throw error;
    }
  }
  throw new Error(`${TRIES} ports from ${FIRST_PORT} to ${LAST_PORT} were all in use`);
}
