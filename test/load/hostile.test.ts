// Workers that break HTTP, stall, bomb, redirect or hang up, on real sockets: each is contained, named in the job's error or
// in `queue`, and holds up no other endpoint (reference table: faults of an upstream).
import { afterAll, beforeAll, describe, it } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { takePort } from "../running/port.ts";
import { type RawWorker, startRawWorker } from "./raw-worker.ts";

const statusSchema = z.object({
  status: z.string(),
  error: z.string().optional(),
  retries: z.number().optional(),
  queue: z.object({ reason: z.string(), detail: z.string() }).optional(),
});

const TIMED_OUT = /executionTimeout exceeded/;
/** Path of the worker → the error of the job that it fails, after both attempts where the worker may have begun. */
const FAILING: Readonly<Record<string, RegExp>> = {
  "/status-999": /broke HTTP|closed the connection/,
  "/status-199": /broke HTTP|closed the connection|not valid/,
  "/no-http": /closed the connection/,
  "/reset-after": /closed the connection/,
  "/reset-after-a-part": /broke off: it closed the connection/,
  "/closes-empty": /closed the connection where its answer should be/,
  "/short-of-its-length": /cut short/,
  "/short-of-its-last-chunk": /cut short/,
  "/bad-gzip": /cut short|closed the connection/,
  "/stacked-codings": /more than one content coding/,
  "/bomb": /larger than 95 MiB/,
  "/drips": TIMED_OUT,
  "/never": TIMED_OUT,
  "/stops-reading": TIMED_OUT,
};
/** A body that no socket buffer takes whole, so that a receiver can break it off. */
const LARGE = JSON.stringify("x".repeat(6 * 1024 * 1024));

function slugOf(path: string): string {
  return `hostile${path.replaceAll("/", "-")}`;
}

let worker: RawWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startRawWorker();
  const to = (path: string) => ({ url: `${worker.url}${path}`, dialect: "http", slots: 2, credential: null }) as const;
  const endpoints = Object.fromEntries(
    [...Object.keys(FAILING), "/redirect", "/endless-header", "/ok"].map((path) => [slugOf(path), to(path)]),
  );
  const closed = await takePort();
  broker = await startBroker({
    ...endpoints,
    "hostile-closed": { ...to("/"), url: `http://127.0.0.1:${closed}/` },
  });
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** Its time for execution ends soon for a job of which this is the subject, and after the test for any other. */
async function submit(slug: string, input: string, executionTimeout = 60_000): Promise<string> {
  const body = `{"input":${input},"policy":{"executionTimeout":${executionTimeout}}}`;
  const answer = await (await broker.call(`/v2/${slug}/run`, body)).json();
  return z.object({ id: z.string() }).parse(answer).id;
}

async function statusOf(slug: string, id: string): Promise<z.infer<typeof statusSchema>> {
  return statusSchema.parse(await (await broker.call(`/v2/${slug}/status/${id}`)).json());
}

describe("a hostile worker", () => {
  // Each test that runs beside others has an `expect` of its own.
  it.concurrent.for(Object.entries(FAILING))(
    "%s fails its job by name",
    { timeout: 60_000 },
    async (given, { expect }) => {
      const [path, error] = given;
      const early = path === "/reset-after-a-part" || path === "/stops-reading";
      const timeoutMs = error === TIMED_OUT ? 6_000 : 60_000;
      const id = await submit(slugOf(path), early ? LARGE : '{"n":1}', timeoutMs);
      await expect
        .poll(async () => (await statusOf(slugOf(path), id)).status, { timeout: 50_000, interval: 200 })
        .toBe("FAILED");
      expect((await statusOf(slugOf(path), id)).error).toMatch(error);
      expect(worker.calls(path)).toBeLessThanOrEqual(2);
    },
  );

  it.concurrent("that redirects gets nothing more, and its jobs wait with the reason", async ({ expect }) => {
    const id = await submit(slugOf("/redirect"), "{}");
    await expect
      .poll(async () => (await statusOf(slugOf("/redirect"), id)).queue, { timeout: 20_000 })
      .toMatchObject({ reason: "UPSTREAM_UNHEALTHY", detail: expect.stringContaining("302") });
  });

  it.concurrent("that sends a header of 300 KB does no harm: nothing but named headers is read", async ({ expect }) => {
    const slug = slugOf("/endless-header");
    const response = await broker.call(`/v2/${slug}/runsync?wait=20000`, '{"input":{}}');
    expect(["COMPLETED", "FAILED"]).toContain(statusSchema.parse(await response.json()).status);
  });

  it.concurrent("whose port is closed costs a job of any size no attempt", async ({ expect }) => {
    for (const input of ["{}", LARGE]) {
      const id = await submit("hostile-closed", input);
      await expect
        .poll(async () => (await statusOf("hostile-closed", id)).queue, { timeout: 20_000 })
        .toMatchObject({ reason: "UPSTREAM_PAUSED", detail: expect.stringContaining("refused") });
      expect(await statusOf("hostile-closed", id)).not.toHaveProperty("retries");
    }
  });

  it.concurrent("holds up no other endpoint", async ({ expect }) => {
    for (let made = 0; made < 10; made += 1) {
      const response = await broker.call(`/v2/${slugOf("/ok")}/runsync?wait=5000`, '{"input":{}}');
      expect(await response.json()).toMatchObject({ status: "COMPLETED", output: {} });
    }
  });
});
