// Counts what a broker reads of its payloads between two runs of the event loop, from outside: what it puts together in one turn.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { EndpointBroker } from "../../src/broker/endpoint-broker.ts";
import { ChunkStore } from "../../src/broker/store/chunks.ts";
import { BrokerStore } from "../../src/broker/store/jobs.ts";

interface TurnCount {
  /** The most in one turn, and all, since this was asked for. */
  readonly mostBytes: number;
  readonly sumBytes: number;
}

/** Until the mocks are restored. */
export function countTurns(): TurnCount {
  const count = { mostBytes: 0, sumBytes: 0 };
  let turnBytes = 0;
  const note = (bytes: number): void => {
    if (turnBytes === 0) {
      setTimeout(() => {
        turnBytes = 0;
      }, 0);
    }
    turnBytes += bytes;
    count.sumBytes += bytes;
    count.mostBytes = Math.max(count.mostBytes, turnBytes);
  };
  const { readPayload } = BrokerStore.prototype;
  vi.spyOn(BrokerStore.prototype, "readPayload").mockImplementation(function (this: BrokerStore, ...args) {
    const payload = readPayload.apply(this, args);
    if (payload.kind === "inline") note(payload.bytes.length);
    return payload;
  });
  const { page } = ChunkStore.prototype;
  vi.spyOn(ChunkStore.prototype, "page").mockImplementation(function (this: ChunkStore, ...args) {
    const read = page.apply(this, args);
    note(read.chunks.reduce((sum, { bytes }) => sum + bytes.length, 0));
    return read;
  });
  return count;
}

/** What a broker itself has counted of what left it. */
export async function turnsOf(endpointId: string) {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
    const { bytesMost, sendsMost, bytesSum } = (instance as EndpointBroker).gauges.sent();
    return { bytesMax: bytesMost, sendsMax: sendsMost, bytesSent: bytesSum };
  });
}
