// RunPod's SDK asks again at once after any refusal, 600 times a second: whatever is wrong, job-take and job-stop hold their
// answer. All at once, so that the file takes as long as one of them.
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../../src/core/access/api-key.ts";
import { REFUSAL_HOLD_MS } from "../../../src/core/limits.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makePulling, type Pulling, type WorkerWords } from "../../support/pulling.ts";

/** The worker whose calls meet a bug of ours. */
const CRASHING = "crashing";
/** As long as an isolate believes a key. */
const FRESH_MS = 30_000;
const TAKE = "job-take/WORKER?gpu=SIM&job_in_progress=0";
const BATCH = "job-take-batch/WORKER?gpu=SIM&batch_size=4&job_in_progress=0";
const STOP = "job-stop/WORKER?gpu=SIM";

beforeAll(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  breakBroker();
});

afterAll(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function otherKey(): string {
  return makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES))).key;
}

/** As the operator's command does it, with the push to the broker. */
async function revoke({ tenant }: Pulling): Promise<void> {
  const [key = ""] = tenant.workerKeys;
  await env.DB.batch([
    env.DB.prepare("UPDATE api_keys SET revoked_at = ? WHERE id = ?").bind(Date.now(), key.split("_")[2] ?? ""),
    env.DB.prepare("UPDATE endpoints SET version = version + 1 WHERE id = ?").bind(tenant.endpointId),
  ]);
  const settings = await loadEndpointSettings(env.DB, tenant.endpointId);
  if (settings === null) throw new Error("the endpoint is gone");
  expect(settings.workerKeys).toEqual([]);
  await brokerOf(env, tenant.endpointId).configure(settings);
}

/** Both calls fail for the one worker; others go on to the broker's own code. */
function breakBroker(): void {
  const { takeJobs, awaitStops } = EndpointBroker.prototype;
  vi.spyOn(EndpointBroker.prototype, "takeJobs").mockImplementation(async function (this: EndpointBroker, call) {
    if (call.workerId === CRASHING) throw new TypeError("a bug of ours");
    return takeJobs.call(this, call);
  });
  vi.spyOn(EndpointBroker.prototype, "awaitStops").mockImplementation(async function (this: EndpointBroker, call) {
    if (call.workerId === CRASHING) throw new TypeError("a bug of ours");
    return awaitStops.call(this, call);
  });
}

/** Status of an answer, and how long its worker waited for it. */
async function timed(asking: Promise<Response>): Promise<{ readonly status: number; readonly tookMs: number }> {
  const startedMs = performance.now();
  const { status } = await asking;
  return { status, tookMs: performance.now() - startedMs };
}

it.concurrent("holds every refusal of job-take and job-stop for 5 seconds", { timeout: 20_000 }, async () => {
  const [pulling, foreign, revoked, missing] = await Promise.all([
    makePulling(),
    makePulling(),
    makePulling(),
    makePulling(),
  ]);
  const [key = ""] = pulling.tenant.workerKeys;
  const [foreignKey = ""] = foreign.tenant.workerKeys;
  const wrong: Readonly<Record<string, readonly [WorkerWords, number]>> = {
    "no key": [{ key: null }, 401],
    "a key that nobody has made": [{ key: otherKey() }, 401],
    "a mistyped key": [{ key: `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}` }, 401],
    "a client's key": [{ key: pulling.tenant.key }, 401],
    "the key of another endpoint": [{ key: foreignKey }, 401],
    "an endpoint that is none": [{ endpoint: "nowhere" }, 401],
    "a name that is none": [{ workerId: "two%20words" }, 400],
    "a name with a control character": [{ workerId: "two%0Alines" }, 404],
    "a name with a slash": [{ workerId: "rack/7" }, 404],
    "an empty name": [{ workerId: "" }, 404],
    "a crash of the broker": [{ workerId: CRASHING }, 500],
  };
  const asked = Object.entries(wrong).flatMap(([what, [words, status]]) =>
    [TAKE, BATCH, STOP].map(async (path) => ({
      what: `${what}: ${path}`,
      expected: status,
      ...(await timed(pulling.asWorker(path, words))),
    })),
  );
  // The broker knows at once that a key is no more, also while the edge still believes in it.
  expect((await revoked.ping()).status).toBe(200);
  await revoke(revoked);
  const takeOfRevoked = timed(revoked.take());

  const id = await missing.submit(`"${"x".repeat(600_000)}"`);
  const { objects } = await env.PAYLOADS.list({ prefix: `${missing.tenant.endpointId}/` });
  await env.PAYLOADS.delete(objects.map((object) => object.key));
  const takeOfMissing = timed(missing.take());
  await vi.waitFor(async () =>
    expect(await missing.status(id)).toMatchObject({ status: "FAILED", error: expect.stringContaining("R2") }),
  );

  const answers = [
    ...(await Promise.all(asked)),
    { what: "a revoked key", expected: 401, ...(await takeOfRevoked) },
    { what: "an input that is not in R2", expected: 503, ...(await takeOfMissing) },
  ];
  for (const { what, expected, status, tookMs } of answers) {
    expect(status, what).toBe(expected);
    expect(tookMs, what).toBeGreaterThanOrEqual(REFUSAL_HOLD_MS);
  }
  const longestMs = Math.max(...answers.map(({ tookMs }) => tookMs));
  console.info(`${answers.length} refusals, each held at least 5 s; the longest took ${Math.round(longestMs)} ms`);
});

it.concurrent("refuses a revoked key on every route within 30 s, also where it was believed a moment ago", {
  timeout: 20_000,
}, async () => {
  const pulling = await makePulling();
  await pulling.submit("{}");
  const id = await pulling.takeOne();
  expect((await pulling.ping([id])).status).toBe(200);
  await revoke(pulling);
  vi.setSystemTime(Date.now() + FRESH_MS);
  const answers = await Promise.all([
    pulling.ping([id]),
    pulling.done(id, '{"output":1}'),
    pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=false`, { body: '{"output":1}' }),
    pulling.take(),
    pulling.asWorker(BATCH),
    pulling.asWorker(STOP),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401]);
  expect(await pulling.status(id)).toMatchObject({ status: "IN_PROGRESS" });
});

it.concurrent("names the kind of key or endpoint that is needed, to the holder of a genuine key alone", {
  timeout: 20_000,
}, async () => {
  const [pulling, other, balanced] = await Promise.all([
    makePulling(),
    makePulling(),
    makePulling({ kind: "load_balancer" }),
  ]);
  const textOf = async (asking: Promise<Response>) => (await asking).text();
  const [ofClient, ofOther, ofNone, ofNobody, ofBalanced, asClient] = await Promise.all([
    textOf(pulling.asWorker("ping/WORKER?gpu=SIM", { key: pulling.tenant.key })),
    textOf(pulling.asWorker("ping/WORKER?gpu=SIM", { endpoint: other.tenant.endpointId })),
    textOf(pulling.asWorker("ping/WORKER?gpu=SIM", { endpoint: "nowhere" })),
    textOf(pulling.asWorker("ping/WORKER?gpu=SIM", { key: otherKey() })),
    textOf(balanced.take()),
    textOf(pulling.asWorker("health")),
  ]);
  expect(ofClient).toContain("this is a client's key: a worker needs one of its endpoint");
  expect(ofOther).toContain("this worker key is of another endpoint");
  expect(ofNone).toBe(ofOther);
  expect(ofNobody).toContain("the API key is missing or not valid");
  expect(ofBalanced).toContain("this endpoint is load-balanced and has no jobs");
  expect(asClient).toContain("this is a worker's key: a client needs one with the scope jobs");
});
