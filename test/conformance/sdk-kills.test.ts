// Three of our own workers under load: killed, told to end, or held still for a while. Every job ends with its right output, is billed
// once, and takes another attempt only where its worker was killed. And workers that are killed right after a handler has begun: no job is
// run twice without an attempt that tells so.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { AT_ONCE, JOBS, runDisturbed, seeded, TAKES_MAX_MS } from "./kills.ts";
import { SdkWorkers } from "./sdk-workers.ts";
import { billOf, submit, until, type WorkerProcess } from "./worker-processes.ts";

/** Shorter than a lease, so that the worker keeps its jobs. */
const STILL_MS = 3_000;
/** The longest job takes a second. */
const ENDS_WITHIN_MS = 10_000;
/** A broker learns only some time after a worker's end that nobody reads its open poll any more. */
const UNNOTICED_MS = 1_000;
/** Workers that are killed early in a handler, how often each, and when at the latest. */
const EARLY = { workers: 4, kills: 3, jobs: 9, withinMs: 500 } as const;

const attemptSchema = z.object({
  workerId: z.string(),
  startedAt: z.int(),
  endedAt: z.int(),
  code: z.string().optional(),
  message: z.string().optional(),
  billed: z.boolean(),
});
type Attempt = z.infer<typeof attemptSchema>;
const jobSchema = z.object({ attempts: z.array(attemptSchema) });

describe("our own workers that are disturbed under load", () => {
  const workers = new SdkWorkers();
  let broker: RunningBroker;
  const kills: { readonly workerId: string; readonly atMs: number }[] = [];

  beforeAll(async () => {
    broker = await startBroker({
      chaos: { workers: { slots: AT_ONCE }, maxAttempts: 10 },
      early: { workers: {}, maxAttempts: 10 },
    });
  });

  afterAll(() => broker?.stop());

  const start = (_place: number, id?: string): WorkerProcess =>
    workers.start(broker, "chaos", { mode: "async", jobsAtOnce: AT_ONCE, ...(id !== undefined && { id }) });

  it(
    `complete all of ${JOBS} jobs, each billed once`,
    async () => {
      const { retried, ids } = await runDisturbed(broker, start, async (victim, place, random) => {
        const what = random();
        const id = random() < 0.5 ? victim.id : undefined;
        if (what < 0.4) {
          kills.push({ workerId: victim.id, atMs: Date.now() });
          await victim.kill9();
          return start(place, id);
        }
        if (what < 0.7) {
          victim.signal("SIGTERM");
          await until("the worker has ended", () => victim.exitCode() !== undefined, ENDS_WITHIN_MS);
          expect(victim.exitCode()).toBe(0);
          return start(place, id);
        }
        victim.signal("SIGSTOP");
        await sleep(STILL_MS);
        victim.signal("SIGCONT");
        return victim;
      });
      expect(retried).toBeLessThanOrEqual(kills.length * AT_ONCE);
      expect(ids).toHaveLength(JOBS);
      const isOfKilled = ({ workerId, startedAt, endedAt }: Attempt) =>
        kills.some((kill) => {
          return kill.workerId === workerId && startedAt <= kill.atMs + UNNOTICED_MS && endedAt >= kill.atMs;
        });
      const attempts = (await Promise.all(ids.map(attemptsOf))).flat();
      expect(attempts.filter((attempt) => attempt.code !== undefined && !isOfKilled(attempt))).toEqual([]);
    },
    TAKES_MAX_MS + 60_000,
  );

  it("in the first half second of a handler run no job again without an attempt that tells so", async () => {
    const random = seeded();
    const counts = Array.from({ length: EARLY.jobs }, (_, count) => count);
    const ids = await Promise.all(
      counts.map((count) => submit(broker, "early", { kind: "noted", name: "early", count })),
    );
    const places = Array.from({ length: EARLY.workers }, () => Array.from({ length: EARLY.kills }, random));
    await Promise.all(places.map(killEarly));
    workers.release("early");
    for (const [count, id] of ids.entries()) {
      const ended = JSON.parse((await finishJob(broker, "early", id)).toString("utf8"));
      expect(ended).toMatchObject({ status: "COMPLETED", output: { count } });
      await until("it is billed", async () => (await billOf(broker, id)).length === 1);
    }
    const runs = workers.runs("early");
    expect(runs).toHaveLength(EARLY.jobs + EARLY.workers * EARLY.kills);
    for (const id of ids) {
      const attempts = await attemptsOf(id);
      for (const [before, run] of runs.filter(({ jobId }) => jobId === id).entries()) {
        expect(attempts.filter(({ endedAt }) => endedAt <= run.atMs).length).toBeGreaterThanOrEqual(before);
      }
      const broken = attempts.filter(({ code }) => code !== undefined);
      for (const { code, message } of broken)
        if (code !== "worker_lost") expect(message).toContain("it may have begun");
      expect(attempts.map(({ billed }) => billed)).toEqual([...broken.map(() => false), true]);
    }
  });

  async function attemptsOf(id: string) {
    return jobSchema.parse(await (await broker.call(`/v1/jobs/${id}`)).json()).attempts;
  }

  /** A worker that is killed so often in a handler, each time after this part of the time, and begun anew under its id. */
  async function killEarly(parts: readonly number[], place: number): Promise<void> {
    const begin = () => workers.start(broker, "early", { mode: "async", id: `early-${place}` });
    let worker = begin();
    for (const part of parts) {
      const { pid } = worker;
      const { atMs } = await until("its handler has begun", () => workers.runs("early").find((run) => run.pid === pid));
      await sleep(Math.max(0, atMs + part * EARLY.withinMs - Date.now()));
      await worker.kill9();
      worker = begin();
    }
  }
});
