// A fleet of real processes that scales out and in three times, while its broker, its agent and its workers are killed by `kill -9`, ten
// times in all: every job is done and billed once, and at the end no process and no record of a machine is left.
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import * as z from "zod";
import { type ClientJob, makeJob, submitJob } from "../chaos/jobs.ts";
import { judge } from "../chaos/verdict.ts";
import { type Kill, planKills, type Wave } from "./fleet-kill-plan.ts";
import { KilledFleet, TIER } from "./killed-fleet.ts";
import { seeded } from "./kills.ts";
import { statusOf, until } from "./worker-processes.ts";

/** The endpoint of the jobs that `submitJob` sends. */
const SLUG = "chaos";
const TAKES_MAX_MS = 280_000;
/** A worker that is killed at its job, or a fleet without its agent, holds jobs up for as long as this. */
const MOMENT_MAX_MS = 90_000;
/** Machines that have ended are asked for until a list is surely newer than their end. */
const RECORDS_MAX_MS = 90_000;
const RECORDS_EVERY_MS = 1_000;
/** So many workers are wanted at most when the next wave begins. */
const FEW = 3;
/** So many jobs run at a kill in the busy time. */
const BUSY_MIN = 2;

const jobSchema = z.object({
  attempts: z.array(
    z.object({ startedAt: z.int(), endedAt: z.int(), code: z.string().optional(), billed: z.boolean() }),
  ),
});
const usageSchema = z.object({
  lines: z.array(z.object({ jobId: z.string() })),
  totalNanodollars: z.int(),
});
const ratesSchema = z.object({
  rates: z.array(z.object({ tier: z.string(), kind: z.string(), nanodollarsPerSecond: z.int() })),
});
const webhookSchema = z.object({ id: z.string(), status: z.string(), output: z.unknown() });

let fleet: KilledFleet | undefined;
let hooks: Server;
let hookUrl: string;
/** By job: the id and the body of each webhook that came. */
const hooked = new Map<string, { readonly webhookId: string; readonly body: string }[]>();

beforeEach(async () => {
  hooked.clear();
  hooks = createServer(async (request, response) => {
    const body = await text(request);
    const { id } = webhookSchema.parse(JSON.parse(body));
    const webhookId = String(request.headers["webhook-id"]);
    hooked.set(id, [...(hooked.get(id) ?? []), { webhookId, body }]);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => hooks.listen(0, "127.0.0.1", resolve));
  const address = hooks.address();
  if (typeof address !== "object" || address === null) throw new Error("the receiver of webhooks got no port");
  hookUrl = `http://127.0.0.1:${address.port}/`;
});

afterEach(async () => {
  hooks.close();
  hooks.closeAllConnections();
  await fleet?.stop();
});

it("ten kills while a fleet scales out and in leave every job done and billed once, and no machine", {
  timeout: TAKES_MAX_MS + 60_000,
}, async () => {
  const waves = planKills(seeded());
  const started = await KilledFleet.start(SLUG);
  fleet = started;
  const givenUp = AbortSignal.timeout(TAKES_MAX_MS);
  const startedMs = Date.now();
  const jobs = await runWaves(started, waves, givenUp);
  const wavesMs = Date.now() - startedMs;
  const done = { ok: true, jobs: jobs.length, lost: 0, wrong: 0, billedTwice: 0, unbilled: 0, complaints: [] };
  expect(await judge(started, jobs, givenUp)).toEqual(done);
  for (const job of jobs) await expectDoneOnce(started, job);
  await expectBill(started, jobs);
  await expectNothingLeft(started);
  const outs = await countScaleOuts(started);
  expect(outs).toBeGreaterThanOrEqual(waves.length);
  const runs = started.runs("begun").length;
  console.info(JSON.stringify({ name: "fleet kills", wavesMs, tookMs: Date.now() - startedMs, outs, runs }));
});

/** Sends the jobs wave by wave and kills what the plan names. Resolves with the jobs, when what was killed is there again. */
async function runWaves(fleet: KilledFleet, waves: readonly Wave[], givenUp: AbortSignal): Promise<ClientJob[]> {
  const jobs: ClientJob[] = [];
  const submits: Promise<void>[] = [];
  for (const { jobs: count, kills } of waves) {
    await fleet.isBack();
    await until("few workers are left", async () => (await wantedNow(fleet)) <= FEW, MOMENT_MAX_MS);
    const wave = Array.from({ length: count }, (_, n) => withWebhook(makeJob("fleet-kills", jobs.length + n)));
    jobs.push(...wave);
    const before = new Set(fleet.workers());
    const parts = inParts(wave, 1 + kills.filter(({ moment }) => moment === "busy").length);
    const submitPart = (): void => {
      for (const job of parts.shift() ?? []) {
        const submitted = submitJob(fleet, job, givenUp);
        // A failure is told below, when all are awaited; until then it must not end the test.
        submitted.catch(() => undefined);
        submits.push(submitted);
      }
    };
    submitPart();
    for (const kill of kills) {
      // Without new jobs the busy time might be over.
      if (kill.moment === "busy") submitPart();
      await momentComes(fleet, kill, { wave, before });
      await perform(fleet, kill);
    }
  }
  await fleet.isBack();
  await Promise.all(submits);
  return jobs;
}

function inParts<T>(items: readonly T[], count: number): T[][] {
  return Array.from({ length: count }, (_, part) => items.filter((_item, at) => at % count === part));
}

function withWebhook(job: ClientJob): ClientJob {
  return { ...job, body: `${job.body.slice(0, -1)},"webhook":${JSON.stringify(hookUrl)}}` };
}

async function wantedNow(fleet: KilledFleet): Promise<number> {
  const [newest] = await fleet.decisions();
  return newest?.to ?? 0;
}

async function momentComes(
  fleet: KilledFleet,
  { moment, afterMs }: Kill,
  { wave, before }: { readonly wave: readonly ClientJob[]; readonly before: ReadonlySet<number> },
): Promise<void> {
  const isThere = {
    out: () => fleet.workers().some((pid) => !before.has(pid)),
    busy: () => fleet.openRuns().length >= BUSY_MIN,
    in: () => haveAllBegun(fleet, wave) && idleWorkers(fleet).length > 0,
  }[moment];
  // In the busy time each job takes a second at most, so that the kill must not come after it.
  if (moment === "busy") await sleep(afterMs);
  await until(`the moment "${moment}" has come`, isThere, MOMENT_MAX_MS);
  if (moment !== "busy") await sleep(afterMs);
}

function haveAllBegun(fleet: KilledFleet, jobs: readonly ClientJob[]): boolean {
  const begun = new Set(fleet.runs("begun").map(({ jobId }) => jobId));
  return jobs.every(({ id }) => id !== undefined && begun.has(id));
}

function idleWorkers(fleet: KilledFleet): readonly number[] {
  const busy = new Set(fleet.openRuns().map(({ pid }) => pid));
  return fleet.workers().filter((pid) => !busy.has(pid));
}

async function perform(fleet: KilledFleet, { kind, moment, part, downMs }: Kill): Promise<void> {
  const workers = fleet.workers();
  const running = fleet.openRuns();
  const place = `moment "${moment}", ${workers.length} workers, ${running.length} of them at a job`;
  console.info(`kill -9: ${kind}; ${place}${kind === "worker" ? "" : `; away for ${Math.round(downMs)} ms`}`);
  if (kind === "broker") return fleet.killBroker(downMs);
  if (kind === "agent") return fleet.killAgent(downMs);
  const chosen = moment === "busy" ? running.map(({ pid }) => pid) : idleWorkers(fleet);
  const victims = chosen.length > 0 ? chosen : workers;
  const victim = victims[Math.floor(part * victims.length)];
  if (victim === undefined) throw new Error("there is no worker to kill");
  process.kill(victim, "SIGKILL");
}

/**
 * One attempt counts, the last one. Each run but the first follows a failed attempt that tells of the run before it, so that no job is handed
 * out again after it was completed. All webhooks that came are one: its try is made again when the broker was killed before it was noted.
 */
async function expectDoneOnce(fleet: KilledFleet, { id = "", sha256 }: ClientJob): Promise<void> {
  const { attempts } = jobSchema.parse(await (await fleet.call(`/v1/jobs/${id}`)).json());
  const runs = fleet.runs("begun").filter(({ jobId }) => jobId === id);
  const shown = JSON.stringify({ id, attempts, runs });
  for (const [at, { code, billed, endedAt }] of attempts.entries()) {
    const next = attempts[at + 1];
    expect([code === undefined, billed], shown).toEqual([next === undefined, next === undefined]);
    if (next !== undefined) expect(next.startedAt, shown).toBeGreaterThanOrEqual(endedAt);
  }
  for (const [at, { atMs }] of runs.entries()) {
    const failedBefore = attempts.filter(({ code, endedAt }) => code !== undefined && endedAt <= atMs);
    expect(failedBefore.length, shown).toBeGreaterThanOrEqual(at);
  }
  await until(`the webhook of ${id} has come`, () => hooked.has(id));
  const webhooks = hooked.get(id) ?? [];
  expect(new Set(webhooks.map(({ webhookId }) => webhookId)).size, shown).toBe(1);
  for (const { body } of webhooks)
    expect(webhookSchema.parse(JSON.parse(body))).toEqual({ id, status: "COMPLETED", output: { sha256 } });
}

/** The bill is the sum of the seconds of the jobs, each rounded up, at the price of their tier. */
async function expectBill(fleet: KilledFleet, jobs: readonly ClientJob[]): Promise<void> {
  const { rates } = ratesSchema.parse(await (await fleet.call("/v1/rates?limit=100")).json());
  const rate = rates.find(({ tier, kind }) => tier === TIER && kind === "flex")?.nanodollarsPerSecond ?? 0;
  let owedSeconds = 0;
  for (const { id = "" } of jobs) {
    const { executionTime } = z.object({ executionTime: z.int() }).parse(await statusOf(fleet, SLUG, id));
    owedSeconds += Math.ceil(executionTime / 1_000);
  }
  const bill = usageSchema.parse(await (await fleet.call(`/v1/usage?endpoint=${SLUG}&limit=1000`)).json());
  expect(bill.lines.map(({ jobId }) => jobId).sort()).toEqual(jobs.map(({ id }) => id).sort());
  expect(rate).toBeGreaterThan(0);
  expect(bill.totalNanodollars).toBe(owedSeconds * rate);
}

async function expectNothingLeft(fleet: KilledFleet): Promise<void> {
  await until(
    "no machine has a record",
    async () => {
      await sleep(RECORDS_EVERY_MS);
      return fleet.records().every(isKept);
    },
    RECORDS_MAX_MS,
  );
  console.info(`${fleet.records().length} creates were never answered`);
  expect(await wantedNow(fleet)).toBe(0);
  expect(await fleet.shownMachines()).toEqual([]);
  expect(await fleet.ofAgent()).toEqual({ machines: [], processes: [] });
  expect(fleet.workers()).toEqual([]);
}

/** What a create may have made that nobody has answered is looked for ten minutes. */
function isKept({ goal, ref, answeredAtMs }: ReturnType<KilledFleet["records"]>[number]): boolean {
  return goal === "gone" && ref === null && answeredAtMs === null;
}

/** How often the fleet has grown beyond what was left of it. */
async function countScaleOuts(fleet: KilledFleet): Promise<number> {
  let isSmall = true;
  let count = 0;
  for (const { to } of (await fleet.decisions()).toReversed()) {
    if (isSmall && to > FEW) count += 1;
    isSmall = to <= FEW;
  }
  return count;
}
