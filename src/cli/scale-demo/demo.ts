// The scale demo: from no worker at all, forty jobs of a second arrive; worker processes come, run them and go, and the bill is checked
// against the jobs' own times.
import { setTimeout as sleep } from "node:timers/promises";
import { fieldsOf, textOf } from "../../core/json/value.ts";
import { type Api, part } from "../api.ts";
import { rowsOf } from "../commands/show.ts";
import { waitFor } from "../wait-for.ts";
import { startAgent } from "./agent-process.ts";
import { type DemoPlace, type Look, lookAt, makePlace } from "./place.ts";

const JOBS = 40;
const JOB_MS = 1_000;
const WORKERS_MAX = 8;
const LOOK_EVERY_MS = 250;
const FIRST_MAX_MS = 30_000;
/** From the submits to the last end of a machine. */
const BOUND_MS = 120_000;
/** `/v1/usage` promises that a line can be read this long after the job's end. */
const BILL_MAX_MS = 10_000;

export interface DemoOptions {
  readonly api: Api;
  readonly tenantId: string;
  /** The folder of the state, for the agent's files. */
  readonly state: string;
  readonly keep: (part: { stop(): Promise<void> }) => void;
  readonly print: (line: string) => void;
}

/** Throws one sentence where something is not as it must be. */
export async function runScaleDemo({ api, tenantId, state, keep, print }: DemoOptions): Promise<void> {
  const agent = await startAgent(state, WORKERS_MAX, keep);
  print(`agent       ${agent.url} (machines are processes here; their output is in ${state}/machines)`);
  const place = await makePlace(api, tenantId, agent, WORKERS_MAX);
  print(`endpoint    ${place.endpointId}: no worker, at most ${WORKERS_MAX}, one for each job that waits or runs`);
  const first = await submit(api, place);
  await tellFirst(api, place, first, print);
  const startedMs = Date.now();
  const others = await Promise.all(Array.from({ length: JOBS - 1 }, () => submit(api, place)));
  print(`submitted   ${JOBS} jobs of ${JOB_MS / 1_000} s in all`);
  print("");
  const most = await watch(api, place, startedMs, print);
  print("");
  await checkBill(api, place, [first, ...others], print);
  print(`workers     0 → ${most} → 0`);
}

async function submit(api: Api, { endpointId }: DemoPlace): Promise<string> {
  const answer = await api.send("POST", `/v2/${part(endpointId)}/run`, { input: { ms: JOB_MS } });
  return textOf(answer, "id");
}

/** Prints a row of the table for each change, until every job is done and no machine is left. Resolves with the most workers that were ready. */
async function watch(api: Api, place: DemoPlace, startedMs: number, print: DemoOptions["print"]): Promise<number> {
  let most = 0;
  let shown = "";
  print("   time   queue  running   machines                                   newest decision");
  while (Date.now() < startedMs + BOUND_MS) {
    const look = await lookAt(api, place);
    most = Math.max(most, look.phases.get("ready") ?? 0);
    const row = rowOf(look);
    if (row !== shown) print(`${((Date.now() - startedMs) / 1_000).toFixed(2).padStart(7)} ${row}`);
    shown = row;
    if (most > 0 && look.waiting + look.running + look.machines.length === 0) return most;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`Not every job was done, or not every machine was gone, after ${BOUND_MS / 1_000} s: ${shown}`);
}

function rowOf({ waiting, running, phases, reason }: Look): string {
  const machines = [...phases].map(([phase, count]) => `${count} ${phase}`).join(", ") || "none";
  return `${String(waiting).padStart(7)}${String(running).padStart(9)}   ${machines.padEnd(42)} ${reason}`;
}

/** Where the time goes from the arrival of the first job, when there is no worker, to its start. */
async function tellFirst(api: Api, place: DemoPlace, id: string, print: DemoOptions["print"]): Promise<void> {
  const told = await waitFor(async () => {
    const job = await api.get(`/v1/jobs/${part(id)}`);
    const { startedMs, workerId } = firstAttempt(job);
    const { machines } = await lookAt(api, place);
    const machine = machines.find((one) => one.id === workerId);
    if (machine?.answeredAt == null || machine.readyAt === null) return undefined;
    const parts = [
      ["decision", machine.startedAt - Number(job.createdAt)],
      ["provider", machine.answeredAt - machine.startedAt],
      ["start", machine.readyAt - machine.answeredAt],
      ["hand-over", startedMs - machine.readyAt],
    ] as const;
    return { totalMs: startedMs - Number(job.createdAt), parts };
  }, Date.now() + FIRST_MAX_MS);
  if (told === undefined) throw new Error(`The first job was not started within ${FIRST_MAX_MS / 1_000} s.`);
  const split = told.parts.map(([name, ms]) => `${name} ${ms} ms`).join(", ");
  print(`first job   started ${told.totalMs} ms after it came to no worker at all: ${split}`);
}

function firstAttempt(job: unknown): { readonly startedMs: number; readonly workerId: string } {
  const attempts = fieldsOf(job)?.attempts;
  const [attempt] = Array.isArray(attempts) ? attempts : [];
  return { startedMs: Number(fieldsOf(attempt)?.startedAt), workerId: textOf(attempt, "workerId") };
}

/** The bill is the sum of the seconds of the jobs, each rounded up, at the price of their tier. */
async function checkBill(
  api: Api,
  { endpointId }: DemoPlace,
  ids: readonly string[],
  print: DemoOptions["print"],
): Promise<void> {
  const jobs = await Promise.all(ids.map((id) => api.get(`/v2/${part(endpointId)}/status/${part(id)}`)));
  const failed = jobs.filter(({ status }) => status !== "COMPLETED");
  if (failed.length > 0) throw new Error(`${failed.length} of ${ids.length} jobs were not completed.`);
  const owedSeconds = jobs.reduce((sum, { executionTime }) => sum + Math.ceil(Number(executionTime) / 1_000), 0);
  const lines = await waitFor(async () => {
    const bill = await api.get("/v1/usage", { endpoint: endpointId });
    return rowsOf(bill, "lines").length >= ids.length ? rowsOf(bill, "lines") : undefined;
  }, Date.now() + BILL_MAX_MS);
  if (lines === undefined) throw new Error("The bill has not a line for each job.");
  const billed = (name: string) => lines.reduce((sum, line) => sum + Number(line[name]), 0);
  const rate = Number(lines[0]?.nanodollarsPerSecond);
  const owed = owedSeconds * rate;
  const isRight =
    lines.length === ids.length && billed("seconds") === owedSeconds && billed("amountNanodollars") === owed;
  const words = `${lines.length} lines, ${billed("seconds")} s, $${(billed("amountNanodollars") / 1e9).toFixed(9)}`;
  if (!isRight) throw new Error(`The bill has ${words}; the jobs took ${owedSeconds} s, $${(owed / 1e9).toFixed(9)}.`);
  print(`billed      ${words}: each job's seconds, rounded up, at $${(rate / 1e9).toFixed(9)} a second`);
}
