// Workers of a load-balanced endpoint that break HTTP, hang up, bomb or redirect, on real sockets: the client gets one clear
// answer with a code, or a connection that is broken once bytes have gone out, and never one that hangs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { takePort } from "../running/port.ts";
import { type RawWorker, startRawWorker } from "./raw-worker.ts";

/** Path of the worker → the code of the 502. */
const REFUSED: Readonly<Record<string, string>> = {
  "/status-999": "bad_answer",
  "/status-199": "worker_unreachable",
  "/no-http": "worker_unreachable",
  "/reset-after": "worker_unreachable",
  "/short-of-its-length": "worker_broke_off",
  "/short-of-its-last-chunk": "worker_broke_off",
  "/redirect": "worker_redirect",
  "/endless-header": "bad_answer",
  "/endless-headers": "worker_unreachable",
};
/** A body that no socket buffer takes whole, so that a worker can break it off. */
const LARGE = Buffer.alloc(6 * 1024 * 1024);

let worker: RawWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startRawWorker();
  const closed = await takePort();
  const to = (url: string) =>
    ({ kind: "load_balancer", upstream: { url, dialect: "http", slots: 5, credential: null } }) as const;
  broker = await startBroker({
    ...Object.fromEntries([...Object.keys(REFUSED), "/others"].map((path) => [slugOf(path), to(worker.url)])),
    "lb-closed": to(`http://127.0.0.1:${closed}`),
  });
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** An endpoint for each: one that seems unreachable is asked for its health before the next request. */
function slugOf(path: string): string {
  return `lb${path.replaceAll("/", "-")}`;
}

async function call(slug: string, path: string, body?: Uint8Array<ArrayBuffer> | ReadableStream): Promise<Response> {
  return fetch(`${broker.url}/lb/${slug}${path}`, {
    headers: { authorization: `Bearer ${broker.key}` },
    signal: AbortSignal.timeout(30_000),
    redirect: "manual",
    ...(body === undefined ? {} : { method: "POST", body, duplex: "half" as const }),
  });
}

/** How the broker has booked a request; undefined: not yet. */
function outcomeOf(response: Response): string | undefined {
  const id = response.headers.get("x-request-id");
  const text = readFileSync(join(broker.folder, "broker.log"), "utf8");
  return new RegExp(`"lb_request_ended","requestId":"${id}".*"outcome":"(\\w+)"`).exec(text)?.[1];
}

describe("a hostile worker of a load-balanced endpoint", () => {
  it.each(Object.entries(REFUSED))("%s gives its client a 502 %s", async (path, code) => {
    const response = await call(slugOf(path), path);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: code, code });
    expect(response.headers.get("location")).toBeNull();
  });

  // A connection that is closed while the client still sends loses the answer, but not each time: hence the repetition.
  describe.each([
    { length: "known", toBody: () => new Uint8Array(LARGE) },
    { length: "unknown", toBody: () => new Blob([LARGE]).stream() },
  ])("in the middle of a large body of $length length", ({ toBody }) => {
    it("that resets gives its client a 502, each time", async () => {
      for (let time = 0; time < 40; time += 1) {
        const response = await call(slugOf("/others"), "/reset-in-the-middle", toBody());
        expect(response.status).toBe(502);
        expect(await response.json()).toMatchObject({ code: "worker_unreachable" });
      }
    });

    it.each([
      ["/answers-early", "no"],
      ["/answers-early-with-nothing", ""],
    ])("%s, and hangs up, has its answer passed on, each time", async (path, text) => {
      for (let time = 0; time < 40; time += 1) {
        const response = await call(slugOf("/others"), path, toBody());
        expect(response.status).toBe(418);
        expect(await response.text()).toBe(text);
      }
    });
  });

  it("that breaks off after bytes have gone out breaks its client's connection", async () => {
    const response = await call(slugOf("/others"), "/breaks-off-late");
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
    // Whose fault it was decides who pays, and both ends of a pipe break together.
    await expect.poll(() => outcomeOf(response), { timeout: 5_000 }).toBe("worker_failed");
  });

  it("that bombs sends no more than it sent: nothing is decoded on the way", async () => {
    const headers = { authorization: `Bearer ${broker.key}`, "accept-encoding": "gzip" };
    const response = await fetch(`${broker.url}/lb/${slugOf("/others")}/bomb`, {
      headers,
      signal: AbortSignal.timeout(30_000),
    });
    expect(response.headers.get("content-encoding")).toBe("gzip");
    expect(Number(response.headers.get("content-length"))).toBeLessThan(1024 * 1024);
    await response.body?.cancel();
  });

  it("whose port is closed is never ready: a request waits, and its client may go", async () => {
    const left = fetch(`${broker.url}/lb/lb-closed/x`, {
      headers: { authorization: `Bearer ${broker.key}` },
      signal: AbortSignal.timeout(3_000),
    });
    await expect(left).rejects.toThrow(/timeout/i);
    const health = await broker.call("/v2/lb-closed/health");
    expect(await health.json()).toMatchObject({ workers: { unhealthy: 1, ready: 0, running: 0 } });
  });

  it("leaves its endpoint able to serve", async () => {
    for (const path of [...Object.keys(REFUSED), "/others"]) {
      expect(await (await call(slugOf(path), "/ok")).text()).toBe("{}");
    }
  });
});
