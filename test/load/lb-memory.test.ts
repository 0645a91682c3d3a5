// 64 MiB each way through a load-balanced endpoint: no body is held, so that workerd's peak hardly moves.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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

/** An upload whose length nobody says: the broker must count it. */
async function uploadUnannounced(): Promise<unknown> {
  const sent = request(`${broker.url}/lb/lb-large/digest`, {
    method: "POST",
    headers: { authorization: `Bearer ${broker.key}` },
  });
  const answering = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve).once("error", reject);
  });
  for (let at = 0; at < BODY_BYTES; at += MIB) {
    if (!sent.write(BODY.subarray(at, at + MIB))) await once(sent, "drain");
  }
  sent.end();
  return JSON.parse((await (await answering).toArray()).join(""));
}

async function bytesOf(response: Response): Promise<number> {
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  return bytes;
}

/** Up with a known length, and down with and without one. */
async function round(): Promise<void> {
  const url = `${broker.url}/lb/lb-large`;
  const headers = { authorization: `Bearer ${broker.key}` };
  const response = await fetch(`${url}/digest`, { method: "POST", headers, body: BODY });
  expect(await response.json()).toEqual({ bytes: BODY_BYTES, sha256: SHA256 });
  for (const query of [`bytes=${BODY_BYTES}`, `length&bytes=${BODY_BYTES}`]) {
    expect(await bytesOf(await fetch(`${url}/words?${query}`, { headers }))).toBe(BODY_BYTES);
  }
}

describe.runIf(process.platform === "linux")("workerd's peak of memory", () => {
  it("grows by less than 16 MiB over 64 MiB each way, after one warm-up", async () => {
    await round();
    const meter = startPeakMeter(broker.pid);
    await round();
    const grownBytes = meter.grownBytes();
    console.info(`64 MiB each way: workerd's peak has grown by ${(grownBytes / MIB).toFixed(1)} MiB`);
    expect(grownBytes).toBeLessThan(GROWN_MAX_BYTES);
  });

  // The counting loop runs in JavaScript. Its garbage lets V8 enlarge its young generation up to a bound, whatever the body's size.
  it("grows by less than 16 MiB over four uploads of no known length, once V8 has its young generation", async () => {
    for (let warm = 0; warm < 3; warm += 1) {
      expect(await uploadUnannounced()).toEqual({ bytes: BODY_BYTES, sha256: SHA256 });
    }
    const meter = startPeakMeter(broker.pid);
    for (let made = 0; made < 4; made += 1) await uploadUnannounced();
    const grownBytes = meter.grownBytes();
    console.info(`four uploads of no known length: workerd's peak has grown by ${(grownBytes / MIB).toFixed(1)} MiB`);
    expect(grownBytes).toBeLessThan(GROWN_MAX_BYTES);
  });
});
