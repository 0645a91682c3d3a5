// The part `sdk`: how many jobs that do nothing our own worker finishes a second, beside RunPod's newest Python package, and what it costs
// while it is idle, beside a process that only asks for jobs.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import * as z from "zod";
import { signalGroup } from "../../src/cli/dev-processes.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { inForm } from "../../src/core/manage/worker-forms.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { endProcess } from "./children.ts";
import type { Finding } from "./findings.ts";
import { makeStateFolder } from "./harness.ts";
import { cpuSecondsOf, readProcesses } from "./processes.ts";

const RATIO_MIN = 20;
const IDLE_CORE_PERCENT_MAX = 0.1;
const IDLE_EXTRA_MB_MAX = 15;

/** Python finishes about one a second, whatever they do: its loop sleeps so long while it has a job. */
const JOBS = { own: 600, python: 15 } as const;
const STARTS_MAX_MS = 60_000;
/** The kernel counts by hundredths of a second, so a thousandth of a core shows in a minute. */
const IDLE_MS = 60_000;
const FOLDER = join(PROJECT_FOLDER, "test", "bench");
/** As in the package: Node's own stripping of types would be a part of the figures. */
const BUILT = [
  join(FOLDER, "sdk-worker.ts"),
  join(FOLDER, "bare-poller.ts"),
  join(PROJECT_FOLDER, "src/sdk/heartbeat-thread.ts"),
];
/** Made by `npm run conformance`. */
const PYTHON = join(PROJECT_FOLDER, ".waybill", "conformance", "newest", "bin", "python");

type Slug = keyof typeof JOBS | "idle" | "bare";

const healthSchema = z.object({ jobs: z.object({ completed: z.int() }) });

export async function measureSdk(): Promise<Finding[]> {
  const slugs: readonly Slug[] = ["own", "python", "idle", "bare"];
  const broker = await startBroker(Object.fromEntries(slugs.map((slug) => [slug, { workers: {} }])));
  const children: ChildProcess[] = [];
  const state = makeStateFolder();
  await build({
    entryPoints: BUILT,
    outdir: state.folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node22",
    logLevel: "error",
    entryNames: "[name]",
  });
  const launch = (slug: Slug, command: string, script: string): ChildProcess => {
    const child = launchWorker(broker, slug, command, script);
    children.push(child);
    return child;
  };
  try {
    const own = await jobsPerSecond(broker, "own", () =>
      launch("own", process.execPath, join(state.folder, "sdk-worker.mjs")),
    );
    const python = await jobsPerSecond(broker, "python", () => launch("python", PYTHON, join(FOLDER, "sdk_worker.py")));
    console.log(`jobs a second, one at a time: our own worker ${own.toFixed(1)}, runpod ${python.toFixed(2)}\n`);
    await Promise.all(children.splice(0).map(endWorker));
    const idle = launch("idle", process.execPath, join(state.folder, "sdk-worker.mjs"));
    const bare = launch("bare", process.execPath, join(state.folder, "bare-poller.mjs"));
    // Both have taken what a start takes, and wait in a poll that is not their first.
    await sleep(IDLE_MS / 2);
    const before = [cpuSeconds(idle), cpuSeconds(bare)];
    await sleep(IDLE_MS);
    const costs = [idle, bare].map((child, at) => ({
      corePercent: ((cpuSeconds(child) - (before[at] ?? 0)) / IDLE_MS) * 100_000,
      megabytes: residentMegabytes(child),
    }));
    const [idleCost, bareCost] = costs;
    if (idleCost === undefined || bareCost === undefined) throw new Error("nothing was measured");
    for (const [at, name] of ["our own worker, idle", "a bare poller"].entries()) {
      console.log(`${name}: ${costs[at]?.corePercent.toFixed(3)} % of a core, ${costs[at]?.megabytes.toFixed(1)} MB`);
    }
    return [
      { key: "sdk_vs_python", figure: own / python, atLeast: RATIO_MIN },
      { key: "sdk_idle_core_percent", figure: idleCost.corePercent, atMost: IDLE_CORE_PERCENT_MAX },
      { key: "sdk_idle_extra_mb", figure: idleCost.megabytes - bareCost.megabytes, atMost: IDLE_EXTRA_MB_MAX },
    ];
  } finally {
    await Promise.all(children.map(endWorker));
    await broker.stop();
    state.remove();
  }
}

/** All jobs wait when the worker starts; the time is from its first one to its last. */
async function jobsPerSecond(broker: RunningBroker, slug: keyof typeof JOBS, start: () => void): Promise<number> {
  const jobs = JOBS[slug];
  for (let left = jobs; left > 0; left -= 50) {
    const some = Array.from({ length: Math.min(left, 50) }, () => broker.call(`/v2/${slug}/run`, '{"input":{}}'));
    for (const answer of await Promise.all(some)) if (!answer.ok) throw new Error(await answer.text());
  }
  start();
  const completed = async () =>
    healthSchema.parse(await (await broker.call(`/v2/${slug}/health`)).json()).jobs.completed;
  const endMs = performance.now() + STARTS_MAX_MS;
  let first = { atMs: 0, count: 0 };
  while (performance.now() < endMs) {
    const count = await completed();
    const atMs = performance.now();
    if (first.count === 0 && count > 0) first = { atMs, count };
    if (count === jobs) return ((jobs - first.count) / (atMs - first.atMs)) * 1_000;
    await sleep(20);
  }
  throw new Error(`the worker of ${slug} did not finish its ${jobs} jobs`);
}

function launchWorker(broker: RunningBroker, slug: Slug, command: string, script: string): ChildProcess {
  const place = broker.workerKeys[slug];
  if (place === undefined) throw new Error(`${slug} has no key`);
  const variables = inForm("docker", { base: broker.url, gpu: "X", ...place }).lines.map((line) => {
    const mark = line.indexOf("=");
    return [line.slice(0, mark), line.slice(mark + 1)];
  });
  const env = {
    ...Object.fromEntries(variables),
    RUNPOD_POD_ID: slug,
    RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
    RUNPOD_LOG_LEVEL: "ERROR",
    PATH: process.env.PATH ?? "",
    HOME: broker.folder,
  };
  return spawn(command, [script], { env, stdio: "ignore", detached: true });
}

/** RunPod's worker sends its heartbeats from a process of its own, which outlives a kill of the worker alone. */
async function endWorker(child: ChildProcess): Promise<void> {
  if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  await endProcess(child);
}

function cpuSeconds({ pid = 0 }: ChildProcess): number {
  const processes = readProcesses();
  return processes === null ? Number.NaN : cpuSecondsOf([pid], processes);
}

function residentMegabytes({ pid = 0 }: ChildProcess): number {
  const [, kilobytes = "NaN"] = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1_024;
}
