// Ports of this machine for tests: for what they start, and for addresses at which nothing listens. Those that the system chooses by itself,
// for port 0 and for every connection, are by default from 32768 on (49152 on some systems): a broker that is still to be started, or that
// was killed to be started again, would find such a port taken now and then.
import { randomInt } from "node:crypto";
import { type ReservedPort, reservePort } from "../../src/cli/project/port-reservation.ts";
import { WrongUse } from "../../src/cli/wrong-use.ts";

/** Above 10080, which clients that keep to the Fetch standard refuse to call. */
const FIRST_PORT = 11_000;
const LAST_PORT = 32_767;
const TRIES = 100;

/** A port that nothing listens on, and that no other process of the tests takes as long as this one runs. */
export async function takePort(): Promise<number> {
  return (await reserveAny()).port;
}

/** A port that nothing listens on, for a program that reserves its port itself. */
export async function findPort(): Promise<number> {
  const { port, release } = await reserveAny();
  release();
  return port;
}

async function reserveAny(): Promise<ReservedPort> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      return await reservePort(randomInt(FIRST_PORT, LAST_PORT + 1));
    } catch (error) {
      if (!(error instanceof WrongUse)) throw error;
    }
  }
  throw new Error(`${TRIES} ports from ${FIRST_PORT} to ${LAST_PORT} were all in use`);
}
