// What release 0.1 (commit 1a1038a, the last one before the source was sorted by subject) has stored is read, and lives on.
//
// release-0.1.json is a copy of three objects of that release: the broker of a queue, that of a load-balanced endpoint, and the
// account of their tenant. A test that ran in workerd against the code of that commit made it, by the calls that edge, carriers
// and workers make, with `Date` set to 2050-01-01 and moved by hand, so that no alarm of the copy ever rings by itself:
//   1. D1 was away. Some jobs ended, one of them with a webhook whose receiver asked for an hour, another with one that was given
//      up, and one waited past its ttl. One alarm posted their lines, which the account kept. It had set a bad line aside before.
//   2. 330 jobs of another tenant were submitted and cancelled. This moved the floor of the checkpoint over what was settled by
//      then; a sweep deleted them two minutes later.
//   3. More jobs ended in each way, whose lines and webhooks are owed: no alarm came after that. One that had failed was retried,
//      so that its line and its webhook stand in rows of their own.
//   4. Jobs were started on an active and a flex upstream, two of them carried by their clients' own requests; the object was
//      evicted and started again, which wrote the row of graces; more were started on a flex and a hosted upstream, and taken by
//      pulling workers. One worker lost its job by beginning anew; one attempt failed; one upstream asked for a pause of 600 s.
//   5. What waits was submitted, one job of it through an OpenAI route, and the waiting jobs of a third tenant were purged. The
//      load-balanced endpoint had served one request and ran another.
//   6. Each row of each table was written down. Then the objects were started once more, still by that release, and what it
//      answered is `told`.
// Blobs are UTF-8 throughout, and text columns that hold JSON stand as JSON: written out again they are the same to the byte.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobView } from "../../../src/contract/job-view.ts";
import { LEASE_MS, PARKED_MAX_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, submission } from "../../support/broker.ts";
import { keptOf } from "../../support/kept.ts";
import { OUTPUT, pullingWorker } from "../../support/pulling-worker.ts";
import { stateOf } from "../../support/quiet.ts";
import { postLines } from "./post-lines.ts";
import release from "./release-0.1.json";
import { type Restored, restore } from "./restore.ts";

const POLL = { timeout: 8_000, interval: 10 };
const COMPLETED = { kind: "completed", output: OUTPUT } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(release.atMs);
  // Jobs and webhooks start when a test says so.
  vi.spyOn(Object.getPrototypeOf(env.DISPATCH), "send").mockResolvedValue(undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function textOf(view: JobView): string | null {
  return view.output?.kind === "inline" ? new TextDecoder().decode(view.output.bytes) : null;
}

async function viewOf({ broker, idOf, names }: Restored, name: string, tenantId = names.owner): Promise<JobView> {
  const read = await broker().read({ tenantId, jobId: idOf(name), ttlMs: null });
  if (!read.ok) throw new Error(`${name}: ${read.failure.kind}`);
  return read.value;
}

/** As the copy has it: without what is null. */
function compact({ id: _id, output: _output, ...view }: Omit<JobView, "failure">): Record<string, unknown> {
  return Object.fromEntries(Object.entries(view).filter(([, value]) => value !== null));
}

/** The broker's alarm rings so much later. */
async function passTime({ names }: Restored, ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(names.queue));
}

/** Webhooks that are due by a time, in rows of their own and in those of jobs. */
const DUE_WEBHOOKS = `SELECT (SELECT count(*) FROM owed_webhooks) +
  (SELECT count(*) FROM jobs WHERE webhook_next_at <= ?) AS count`;

function countOf(endpointId: string, count: string, ...bindings: readonly number[]): Promise<SqlStorageValue> {
  return stateOf(endpointId, ({ storage }) => storage.sql.exec(count, ...bindings).one().count ?? null);
}

/** What D1 has of the tenant once brokers and account have posted what they owe: of each line of an endpoint, what it bills. */
async function linesOf({ names }: Restored, endpointId: string): Promise<readonly Line[]> {
  await postLines(endpointId, names.owner);
  const { results } = await env.DB.prepare(
    `SELECT job_id AS jobId, seq, billed_ms AS billedMs, amount_nanodollars AS amount, prompt_tokens AS prompt
     FROM usage_lines WHERE tenant_id = ? AND endpoint_id = ? ORDER BY finished_at, job_id`,
  )
    .bind(names.owner, endpointId)
    .all<Line>();
  return results;
}

interface Line {
  readonly jobId: string;
  readonly seq: number;
  readonly billedMs: number;
  readonly amount: number;
  readonly prompt: number | null;
}

/** The lines of one job, without its id. */
async function billOf(restored: Restored, name: string): Promise<readonly Omit<Line, "jobId">[]> {
  const lines = await linesOf(restored, restored.names.queue);
  return lines.filter(({ jobId }) => jobId === restored.idOf(name)).map(({ jobId: _, ...line }) => line);
}

/** Room for every job on one upstream, whose answers the test gives. */
async function widen({ broker, settings }: Restored): Promise<void> {
  const upstreams = settings.upstreams.filter(({ id }) => id === "u-flex").map((flex) => ({ ...flex, slots: 50 }));
  await broker().configure({ ...settings, version: settings.version + 1, upstreams });
}

/** All calls that leave for hosts of this copy, in order; `answer` says what comes back. */
function watchCalls({ own }: Restored, answer: (call: Call) => Response): Call[] {
  const calls: Call[] = [];
  answerUpstreams(async (request) => {
    const { pathname, hostname } = new URL(request.url);
    const text = await request.text();
    if (!hostname.endsWith(`.${own}.example.com`)) return new Response(null, { status: 503 });
    const body: unknown = text === "" ? null : JSON.parse(text);
    const call = { at: `${hostname.split(".")[0]}${pathname}`, body, text, headers: request.headers };
    calls.push(call);
    return answer(call);
  });
  return calls;
}

interface Call {
  readonly at: string;
  readonly body: unknown;
  readonly text: string;
  readonly headers: Headers;
}

describe("what clients are told of a state that release 0.1 has stored", () => {
  it("is what that release told them, of every job", async () => {
    const restored = await restore(release);
    const { broker, names, jobs, told } = restored;
    for (const [name, view] of Object.entries(told.views)) {
      const tenantId = name.startsWith("purged") ? names.purger : names.owner;
      const jobId = restored.idOf(name);
      const read = await broker().read({ tenantId, jobId, ttlMs: null });
      if (view === null) {
        expect(read).toMatchObject({ ok: false, failure: { kind: "not_found" } });
        continue;
      }
      if (!read.ok) throw new Error(`${name}: ${read.failure.kind}`);
      // That release had no codes; where it told an error, this one has a failure.
      const { failure, ...toldToo } = read.value;
      expect({ name, ...compact(toldToo) }).toEqual({ name, ...view });
      expect(failure === null).toBe(read.value.error === null);
    }
    // That release counted slots in place of workers.
    const workers = { initializing: 0, idle: 0, ready: 0, running: 3, throttled: 1, unhealthy: 0 };
    expect(await broker().health({ tenantId: names.owner })).toEqual({ ...told.health.owner, workers, mayServe: true });
    expect(await broker().health({ tenantId: names.purger })).toEqual({
      ...told.health.purger,
      workers,
      mayServe: true,
    });
    const { jobs: listed } = await broker().requests({ tenantId: names.owner });
    const own = Object.entries(jobs).filter(([name]) => name !== "timedOut" && !name.startsWith("purged"));
    expect(listed.map(({ id }) => id)).toEqual(own.map(([, id]) => id).reverse());
  });

  it("has the outputs, from the job's row, a row of their own, and R2", async () => {
    const restored = await restore(release);
    expect(textOf(await viewOf(restored, "settledCompleted"))).toBe('{"answer":42.0}');
    expect(textOf(await viewOf(restored, "completedInline"))).toBe('{"text":"inline","n":2.50}');
    expect(textOf(await viewOf(restored, "completedRow"))).toBe(JSON.stringify("row ".repeat(4_100)));
    const { output } = await viewOf(restored, "completedR2");
    const key = expect.stringMatching(`^${restored.names.queue}/${restored.idOf("completedR2")}/.+/output$`);
    expect(output).toEqual({ kind: "r2", key, sizeBytes: 12 });
  });

  it("has the settings, with what upstreams and workers cost", async () => {
    const { broker, names, settings } = await restore(release);
    expect(await broker().configure({ ...settings, version: 1 })).toEqual({ version: settings.version });
    expect(await broker().workerKey({ keyId: "key1" })).toEqual({ ok: true, value: { digest: "0".repeat(64) } });
    const workers = (await broker().listWorkers({ tenantId: names.owner })) ?? [];
    const costs = workers.map(({ id, tier, rateKind, slots, running }) => [id, tier, rateKind, slots, running]);
    expect(costs).toEqual(
      expect.arrayContaining([
        ["u-active", "a4000", "active", 1, 1],
        ["u-flex", "a4000", "flex", 4, 4],
        ["u-hosted", "h100", "flex", 2, 2],
        ["u-paused", "a4000", "flex", 1, 0],
      ]),
    );
    const paused = workers.find(({ id }) => id === "u-paused");
    expect(paused).toMatchObject({ state: "THROTTLED", reason: expect.stringContaining("429") });
  });

  it("agrees with a recount of all rows", async () => {
    const { broker, names, idOf } = await restore(release);
    // What a running attempt has streamed is known with its next chunk, or with its end.
    await pullingWorker(broker(), "w3").done(idOf("streaming"));
    const { rows, start, memory, numbers } = await keptOf(names.queue, [names.owner, names.purger]);
    expect(start).toEqual(rows);
    expect(memory).toEqual(rows.tallies);
    expect(numbers.byStart).toEqual(numbers.inRows);
  });

  it("has the log of a stream from its start, and its drain goes on where it was", async () => {
    const restored = await restore(release);
    const { broker, names, idOf } = restored;
    const job = { tenantId: names.owner, jobId: idOf("streaming") };
    const textsOf = async (read: ReturnType<ReturnType<typeof broker>["drainStream"]>): Promise<string[]> => {
      const page = await read;
      if (!page.ok) throw new Error(page.failure.kind);
      return page.value.chunks.map(({ bytes }) => new TextDecoder().decode(bytes));
    };
    const start = { attempt: 0, seq: 0 };
    const [a, b, c, d] = ["a", "b", "c", "d"].map((token) => JSON.stringify({ token }));
    expect(await textsOf(broker().readStream({ ...job, after: start, holdMs: 0 }))).toEqual([a, b, c]);
    const chunk = new TextEncoder().encode(d);
    const call = { keyId: "key1", workerId: "w3", jobId: job.jobId };
    expect(await broker().appendChunk({ ...call, chunk })).toBe("accepted");
    expect(await textsOf(broker().drainStream(job))).toEqual([c, d]);
    expect(await broker().report({ ...call, outcome: COMPLETED, refresh: false })).toBe("accepted");
    expect(await textsOf(broker().readStream({ ...job, after: start, holdMs: 0 }))).toEqual([a, b, c, d]);
    const ended = { tenantId: names.owner, jobId: idOf("streamed") };
    const whole = ['"one"', '{"two":2.0}'];
    expect(await textsOf(broker().readStream({ ...ended, after: start, holdMs: 0 }))).toEqual(whole);
  });

  it("answers an Idempotency-Key by its job, and refuses another request under it", async () => {
    const { broker, names, idOf } = await restore(release);
    const again = (key: string, fingerprint: string) =>
      broker().submit(submission({ tenantId: names.owner, idempotency: { key, fingerprint } }));
    const ended = { created: false, job: { id: idOf("completedKeyed"), status: "COMPLETED" } };
    expect(await again("order-1", "fingerprint-1")).toMatchObject({ ok: true, value: ended });
    const waiting = { created: false, job: { id: idOf("fresh"), status: "IN_QUEUE" } };
    expect(await again("order-2", "fingerprint-2")).toMatchObject({ ok: true, value: waiting });
    expect(await again("order-2", "fingerprint-3")).toMatchObject({ ok: false });
  });
});

describe("a job that runs by a lease of release 0.1", () => {
  it("is ended by its pulling worker's result, and billed once", async () => {
    const restored = await restore(release);
    const { broker, idOf } = restored;
    const jobId = idOf("pulled");
    vi.setSystemTime(release.atMs + 5_000);
    expect(await pullingWorker(broker(), "w1").done(jobId)).toBe("late");
    const worker = pullingWorker(broker(), "w2");
    await worker.ping([jobId]);
    expect(await worker.done(jobId)).toBe("accepted");
    expect(await worker.done(jobId)).toBe("late");
    expect(await viewOf(restored, "pulled")).toMatchObject({ status: "COMPLETED", workerId: "w2", retries: 0 });
    const bill = { seq: 1, billedMs: 7_000, amount: 7 * 530_000, prompt: null };
    expect(await billOf(restored, "pulled")).toEqual([bill]);
  });

  it("is stopped at its pulling worker when it is cancelled", async () => {
    const { broker, names, idOf } = await restore(release);
    const jobId = idOf("pulled");
    const worker = pullingWorker(broker(), "w2");
    await worker.ping([jobId]);
    await broker().cancel({ tenantId: names.owner, jobId });
    expect(await broker().awaitStops({ ...worker.name, holdMs: 1_000 })).toEqual([jobId]);
  });

  it("is ended by what its carrier reports under the stored token, and by no other one", async () => {
    const restored = await restore(release);
    const { broker, held, idOf } = restored;
    vi.setSystemTime(release.atMs + 5_000);
    const finish = async (name: string, outcome: Parameters<ReturnType<typeof broker>["finish"]>[0]["outcome"]) => {
      const foreign = { jobId: idOf(name), lease: crypto.randomUUID() };
      expect(await broker().finish({ ...foreign, outcome })).toMatchObject({ accepted: false });
      expect(await broker().finish({ ...held(name), outcome })).toMatchObject({ accepted: true });
      expect(await broker().finish({ ...held(name), outcome })).toMatchObject({ accepted: false });
    };
    expect(await broker().noteRunning(held("hostedWaiting"))).toBe(true);
    expect(await broker().renew({ ...held("pushedLate"), holdMs: 0 })).toBe(true);
    vi.setSystemTime(release.atMs + 7_000);
    const tokens = { prompt: 11, completion: 7, estimated: false };
    await finish("openAiRunning", { ...COMPLETED, tokens });
    await finish("openAiCarried", { ...COMPLETED, tokens });
    for (const name of ["pushedEarly", "pushedLate", "syncCarried", "hostedRunning", "hostedWaiting"]) {
      await finish(name, COMPLETED);
      expect(textOf(await viewOf(restored, name))).toBe('"done"');
    }
    // By the rates of the leases, and on the hosted upstream from the moment on in which it said that the job runs.
    const bill = (billedMs: number, amount: number, prompt: number | null = null) => [
      { seq: 1, billedMs, amount, prompt },
    ];
    const perSlot = (seconds: number, rate: number, slots: number) => Math.ceil((seconds * rate) / slots);
    expect(await billOf(restored, "openAiRunning")).toEqual(bill(15_000, perSlot(15, 160_000, 4), 11));
    expect(await billOf(restored, "openAiCarried")).toEqual(bill(15_000, perSlot(15, 160_000, 4), 11));
    expect(await billOf(restored, "syncCarried")).toEqual(bill(15_000, perSlot(15, 160_000, 4)));
    expect(await billOf(restored, "pushedLate")).toEqual(bill(10_000, perSlot(10, 160_000, 4)));
    expect(await billOf(restored, "hostedRunning")).toEqual(bill(9_000, perSlot(9, 1_160_000, 2)));
    expect(await billOf(restored, "hostedWaiting")).toEqual(bill(2_000, perSlot(2, 1_160_000, 2)));
    // The time of an active upstream is paid for anyway.
    expect(await billOf(restored, "pushedEarly")).toEqual(bill(15_000, 0));
  });

  it("has one grace and then waits again, uncounted; one that had its grace under that release has no second", async () => {
    const restored = await restore(release);
    const statusOf = async (name: string) => {
      const { status, retries } = await viewOf(restored, name);
      return `${name}: ${status}, ${retries} retries`;
    };
    const statuses = (names: readonly string[]) => Promise.all(names.map(statusOf));
    const early = ["pushedEarly", "openAiRunning", "syncCarried"];
    const late = ["pushedLate", "hostedRunning", "hostedWaiting", "pulled", "streaming"];
    const all = (names: readonly string[], status: string) => names.map((name) => `${name}: ${status}, 0 retries`);
    expect(await statuses([...early, ...late])).toEqual(all([...early, ...late], "IN_PROGRESS"));
    // Until then the grace lasts that the release has given to leases of its object's start before.
    const [given] = release.queue.rows.graces;
    const [[, givenAtMs] = []] = given?.given ?? [];
    const goneMs = Number(givenAtMs) + LEASE_MS + 500 - release.atMs;
    await passTime(restored, goneMs);
    expect(await statuses(early)).toEqual(all(early, "IN_QUEUE"));
    expect(await statuses(late)).toEqual(all(late, "IN_PROGRESS"));
    // Nobody is there any more who would read its answer.
    const error = "the request of the client that carried the job was lost";
    expect(await viewOf(restored, "openAiCarried")).toMatchObject({ status: "FAILED", error });
    await passTime(restored, LEASE_MS + 500 - goneMs);
    expect(await statuses(late)).toEqual(all(late, "IN_QUEUE"));
    const billed = new Set((await linesOf(restored, restored.names.queue)).map(({ jobId }) => jobId));
    for (const name of ["openAiCarried", ...early, ...late]) expect(billed).not.toContain(restored.idOf(name));
  });

  it("is taken up again on its hosted upstream, which runs it no second time", { timeout: 20_000 }, async () => {
    const restored = await restore(release);
    const calls = watchCalls(restored, ({ at }) =>
      Response.json(at.startsWith("hosted/") ? { id: "x", status: "COMPLETED", output: at } : { ok: true }),
    );
    await restored.broker().depth({ tenantId: restored.names.owner });
    await passTime(restored, LEASE_MS);
    await vi.waitFor(async () => {
      await passTime(restored, 1_000);
      await restored.broker().start();
      expect(textOf(await viewOf(restored, "hostedRunning"))).toBe('"hosted/v2/abc/status/hosted-run-1"');
      expect(textOf(await viewOf(restored, "hostedWaiting"))).toBe('"hosted/v2/abc/status/hosted-run-2"');
    }, POLL);
    const runIds = [restored.idOf("hostedRunning"), restored.idOf("hostedWaiting")];
    expect(
      calls.filter(({ at, text }) => at === "hosted/v2/abc/run" && runIds.some((id) => text.includes(id))),
    ).toEqual([]);
  });
});

describe("a job that waits since release 0.1", () => {
  const WAITING = [
    "retried",
    "lostByWorker",
    "retryWait",
    "refused",
    "fresh",
    "withTtl",
    "lowPriority",
    "openAiWaiting",
  ];

  it("is started and completed, with all that its worker is to know", { timeout: 20_000 }, async () => {
    const restored = await restore(release);
    const { broker, idOf } = restored;
    const calls = watchCalls(restored, () => Response.json({ ok: true }));
    await widen(restored);
    await vi.waitFor(async () => {
      await passTime(restored, 1_000);
      await broker().start();
      for (const name of WAITING) expect(await viewOf(restored, name)).toMatchObject({ status: "COMPLETED" });
    }, POLL);
    for (const name of WAITING) expect(textOf(await viewOf(restored, name))).toBe('{"ok":true}');
    expect(await viewOf(restored, "retryWait")).toMatchObject({ retries: 1 });
    const bodies = (name: string) => calls.filter(({ text }) => text.includes(idOf(name)));
    expect(bodies("fresh").map(({ text }) => text)).toEqual([
      expect.stringContaining('"input":{"name":"fresh","n":1.0}'),
    ]);
    expect(bodies("fresh")[0]?.text).toContain('"custom":{"a":[1.0]}');
    const input = { openai_route: "/v1/chat/completions", openai_input: { model: "m", messages: [] } };
    expect(bodies("openAiWaiting")).toMatchObject([{ at: "flex/work", body: { input } }]);
    expect(await billOf(restored, "openAiWaiting")).toMatchObject([{ seq: 1 }]);
    // The first round's line stood in a row of its own.
    expect(await billOf(restored, "retried")).toMatchObject([
      { seq: 1, billedMs: 4_000, amount: 160_000 },
      { seq: 2, billedMs: expect.any(Number) },
    ]);
  });

  it("is for the worker that lost it only once that worker has said that it runs nothing", async () => {
    const restored = await restore(release);
    const { broker, names, settings, jobs, idOf } = restored;
    const jobId = idOf("lostByWorker");
    for (const other of Object.values(jobs)) {
      if (other !== jobId) await broker().cancel({ tenantId: names.owner, jobId: other });
    }
    await broker().configure({ ...settings, version: settings.version + 1, upstreams: [] });
    // Until then others are waited for, because it has failed the job.
    await passTime(restored, PARKED_MAX_MS + 1_000);
    const worker = pullingWorker(broker(), "w1");
    const busy = worker.take({ idle: false, pollId: "busy" });
    // A later call is answered after the poll has looked for a job.
    await broker().depth({ tenantId: names.owner });
    await broker().abandonTake({ ...worker.name, pollId: "busy", leases: [] });
    expect(await busy).toEqual([]);
    expect(await worker.takeOne()).toMatchObject({ jobId });
  });

  it("has the ttl that its client has set", async () => {
    const restored = await restore(release);
    const { broker, names, idOf } = restored;
    await broker().depth({ tenantId: names.owner });
    await passTime(restored, 7_199_000);
    expect(await viewOf(restored, "withTtl")).toMatchObject({ status: "IN_QUEUE" });
    await passTime(restored, 1_000);
    const read = await broker().read({ tenantId: names.owner, jobId: idOf("withTtl"), ttlMs: null });
    expect(read).toMatchObject({ ok: false, failure: { kind: "not_found" } });
    expect(await viewOf(restored, "fresh")).toMatchObject({ status: "IN_QUEUE" });
  });

  it("stays cancelled by the purge, which does not cover the jobs after it", async () => {
    const restored = await restore(release);
    const { broker, names, idOf } = restored;
    const call = submission({ tenantId: names.purger });
    await broker().submit(call);
    const refused = await broker().retry({ tenantId: names.purger, jobId: idOf("purged1") });
    expect(refused).toMatchObject({ ok: false, failure: { kind: "wrong_state" } });
    await passTime(restored, 60_000);
    for (const name of ["purged1", "purged2"]) {
      expect(await viewOf(restored, name, names.purger)).toMatchObject({ status: "CANCELLED" });
    }
    expect(await broker().depth({ tenantId: names.purger })).toEqual({ waiting: 1, running: 0 });
  });
});

describe("a FAILED job of release 0.1", () => {
  it.each(["failed", "settledFailed"])(
    "is sent back by /retry and completed: %s",
    { timeout: 20_000 },
    async (name) => {
      const restored = await restore(release);
      const { broker, names, idOf } = restored;
      const failures = async () => (await broker().health({ tenantId: names.owner })).jobs.failed;
      const before = await failures();
      const job = { tenantId: names.owner, jobId: idOf(name) };
      expect(await broker().retry(job)).toMatchObject({ ok: true, value: { status: "IN_QUEUE", error: null } });
      expect(await failures()).toBe(before - 1);
      watchCalls(restored, () => Response.json({ ok: true }));
      await widen(restored);
      await broker().start();
      await vi.waitFor(async () => expect(await viewOf(restored, name)).toMatchObject({ status: "COMPLETED" }), POLL);
      expect(await billOf(restored, name)).toMatchObject([{ seq: 1, amount: 80_000 }, { seq: 2 }]);
    },
  );
});

describe("what release 0.1 owed", () => {
  it("to receivers is delivered once: by the row of the job, and by a row of its own after a retry", {
    timeout: 20_000,
  }, async () => {
    const restored = await restore(release);
    const { broker, names, idOf, webhookSecret } = restored;
    const calls = watchCalls(restored, () => new Response(null, { status: 204 }));
    /** What is due is sent, and when that has been told nothing more is. */
    const deliver = async (count: number): Promise<Map<string, Call>> => {
      await broker().startWebhooks();
      await vi.waitFor(() => expect(calls).toHaveLength(count), POLL);
      await vi.waitFor(async () => expect(await countOf(names.queue, DUE_WEBHOOKS, Date.now())).toBe(0), POLL);
      expect(await broker().startWebhooks()).toEqual({ started: 0 });
      return new Map(calls.splice(0).map((call) => [call.at.replace("receiver/", ""), call]));
    };
    const due = await deliver(4);
    const body = (name: string) => due.get(name)?.body;
    expect(body("cancelledRunning")).toMatchObject({ id: idOf("cancelledRunning"), status: "CANCELLED" });
    const output = { text: "inline", n: 2.5 };
    expect(body("completedInline")).toMatchObject({ id: idOf("completedInline"), status: "COMPLETED", output });
    expect(body("timedOut")).toMatchObject({ id: idOf("timedOut"), status: "TIMED_OUT" });
    expect(body("retried")).toMatchObject({
      id: idOf("retried"),
      status: "FAILED",
      error: "the first round failed",
      output: { partial: true },
      input: { name: "retried", n: 1 },
    });
    for (const { text, headers } of due.values()) {
      new Webhook(webhookSecret).verify(text, Object.fromEntries(headers));
    }
    // Its receiver wants no more, which the owner is to know as soon as D1 is there.
    const letters = env.DB.prepare("SELECT job_id, tries FROM webhook_dead_letters WHERE tenant_id = ?");
    await vi.waitFor(async () => {
      const { results } = await letters.bind(names.owner).all();
      expect(results).toEqual([{ job_id: idOf("webhookDead"), tries: 1 }]);
    }, POLL);
    // Its receiver has asked for an hour.
    vi.setSystemTime(release.atMs + 3_600_000);
    const later = await deliver(1);
    expect(later.get("webhookTried")?.body).toMatchObject({ id: idOf("webhookTried"), output: "tried" });
  });

  it("to accounts is in the record of usage once, by the broker's lines and by the account's kept batch", async () => {
    const restored = await restore(release);
    const { names, idOf, account } = restored;
    const expected = [
      ["settledCompleted", 3_000, 120_000],
      ["settledFailed", 2_000, 80_000],
      ["webhookTried", 2_000, 80_000],
      ["webhookDead", 2_000, 80_000],
      ["cancelledRunning", 6_000, 240_000],
      ["completedInline", 7_000, 280_000],
      ["completedRow", 1_000, 40_000],
      ["completedR2", 1_000, 40_000],
      ["completedKeyed", 1_000, 40_000],
      ["failed", 2_000, 80_000],
      ["overtime", 2_000, 80_000],
      ["retried", 4_000, 160_000],
      ["streamed", 1_000, 40_000],
    ] as const;
    const lines = expected.map(([name, billedMs, amount]) => ({ jobId: idOf(name), billedMs, amount }));
    const posted = await linesOf(restored, names.queue);
    expect(posted).toMatchObject(lines);
    expect(posted).toHaveLength(lines.length);
    expect(await linesOf(restored, names.queue)).toEqual(posted);
    const through = env.DB.prepare("SELECT through FROM posted WHERE tenant_id = ? AND broker = ?");
    expect(await through.bind(names.owner, names.queue).first("through")).toBe(13);
    // A line that was set aside is still there for people to see.
    expect(await account().parked()).toMatchObject([{ reason: expect.stringContaining("amountNanodollars") }]);
  });
});

describe("a load-balanced endpoint of release 0.1", () => {
  it("knows the slot of a request that runs on, and bills it and the one that had ended", async () => {
    const restored = await restore(release);
    const { names, lbRequest } = restored;
    const { requestId, ticket, servedId } = lbRequest;
    const broker = () => brokerOf(env, names.loadBalanced);
    expect(await broker().renewLb(ticket)).toBe(true);
    expect((await broker().health({ tenantId: names.owner })).workers).toMatchObject({ running: 1 });
    vi.setSystemTime(ticket.startedAtMs + 2_000);
    const left = { requestId, tenantId: names.owner, ticket, outcome: "served" } as const;
    await broker().leaveLb(left);
    await broker().leaveLb(left);
    expect(await linesOf(restored, names.loadBalanced)).toMatchObject([
      { jobId: `lb-${servedId}`, billedMs: 800, amount: 64_000 },
      { jobId: `lb-${requestId}`, billedMs: 2_000, amount: 160_000 },
    ]);
  });
});
