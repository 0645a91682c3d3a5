// 64 MiB each way through a load-balanced endpoint: no body is held, so that workerd's peak hardly moves.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type LbWorker, startLbWorker } from "../running/lb-worker.ts";
import { startPeakMeter } from "./peak.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 64 * MIB;
const GROWN_MAX_BYTES = 16 * MIB;
const BODY = Buffer.alloc(BODY_BYTES, "waybill 64 MiB ");
const SHA256 = createHash("sha256").update(BODY).digest("hex");

let worker: LbWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startLbWorker();
  const upstream = { url: worker.url, dialect: "http", slots: 4, credential: null } as const;
  broker = await startBroker({ "lb-large": { kind: "load_balancer", bodyMaxBytes: 100 * MIB, upstream } });
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

function inPieces(): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= BODY_BYTES) return controller.close();
      controller.enqueue(new Uint8Array(BODY.subarray(at, at + MIB)));
      at += MIB;
    },
  });
}

async function bytesOf(response: Response): Promise<number> {
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  return bytes;
}

/** Up with and without a known length, and down likewise. */
async function round(): Promise<void> {
  const url = `${broker.url}/lb/lb-large`;
  const headers = { authorization: `Bearer ${broker.key}` };
  for (const body of [BODY, inPieces()]) {
    const response = await fetch(`${url}/digest`, { method: "POST", headers, body, duplex: "half" });
    expect(await response.json()).toEqual({ bytes: BODY_BYTES, sha256: SHA256 });
  }
  for (const query of [`bytes=${BODY_BYTES}`, `length&bytes=${BODY_BYTES}`]) {
    expect(await bytesOf(await fetch(`${url}/words?${query}`, { headers }))).toBe(BODY_BYTES);
  }
}

it.runIf(process.platform === "linux")("64 MiB each way raise workerd's peak by less than 16 MiB", async () => {
  await round();
  const meter = startPeakMeter(broker.pid);
  await round();
  const grownBytes = meter.grownBytes();
  console.info(`workerd's peak has grown by ${(grownBytes / MIB).toFixed(1)} MiB`);
  expect(grownBytes).toBeLessThan(GROWN_MAX_BYTES);
});
