// Whatever ends the agent of the provider `local`, and however often its machines come and go: none of their processes is left. They are
// counted by their numbers, which they write down.
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AgentFolder,
  areGone,
  childrenOf,
  isRunning,
  machine,
  type RunningAgent,
  shown,
  worker,
} from "./running-agent.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
const ENDS_MAX_MS = 5_000;
const A = "aaaaaaaaaaaa";

const NODE = `import { appendFileSync } from "node:fs";
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => undefined);
  appendFileSync("pids", process.pid + "\\n");
  setInterval(() => undefined, 1_000);`;
const BUSY_NODE = `import { appendFileSync } from "node:fs";
  appendFileSync("pids", process.pid + "\\n");
  for (;;);`;
const SHELL = "trap '' TERM; echo $$ >> pids; sleep 600 & echo $! >> pids; while :; do sleep 1; done";
const PYTHON = `import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"], start_new_session=False)
with open("pids", "a") as file:
    file.write(f"{os.getpid()}\\n{child.pid}\\n")
time.sleep(600)
`;

/** Starts what its arguments name as `npm start` would: it holds the other end of its input, and ends nothing when it is killed. */
const STARTER = `import { spawn } from "node:child_process";
  spawn(process.execPath, process.argv.slice(2), { stdio: ["pipe", "inherit", "inherit"] });`;

let folder: AgentFolder;

beforeEach(() => {
  folder = new AgentFolder();
});

afterEach(() => folder.close());

/** The process in which the agent starts its programs. */
function keeperOf(agent: RunningAgent): number {
  const [keeper = 0, ...others] = childrenOf(agent.pid);
  expect([keeper > 0, others]).toEqual([true, []]);
  return keeper;
}

/** An agent with a machine of each kind that does not want to end, and the numbers of all their processes. */
async function startStubborn(start = () => folder.start()) {
  const images: Record<string, object> = {
    node: { program: process.execPath, args: [folder.write("node.mjs", NODE)] },
    busy: { program: process.execPath, args: [folder.write("busy.mjs", BUSY_NODE)] },
    shell: { program: "sh", args: ["-c", SHELL] },
    ...(hasPython ? { python: { program: "python3", args: [folder.write("worker.py", PYTHON)] } } : {}),
  };
  folder.configure(images);
  const agent = await start();
  const names = Object.keys(images);
  const machines = names.map((name) => machine(name));
  for (const [at, name] of names.entries()) await agent.tell(worker(name), machines.slice(0, at + 1));
  const pids = await folder.pidsCome(hasPython ? 6 : 4);
  expect(pids.filter((pid) => !isRunning(pid))).toEqual([]);
  return { agent, pids, keeper: keeperOf(agent) };
}

describe("no worker outlives an agent", () => {
  it("that is killed", async () => {
    const { agent, pids, keeper } = await startStubborn();
    await agent.end("SIGKILL");
    const beganMs = performance.now();
    await areGone([...pids, keeper], ENDS_MAX_MS);
    console.info(
      `all processes were gone ${Math.round(performance.now() - beganMs)} ms after the kill -9 of their agent`,
    );
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "that is ended by %s, and it ends when they are gone",
    async (signal) => {
      const { agent, pids, keeper } = await startStubborn();
      const beganMs = performance.now();
      expect(await agent.end(signal)).toBe(0);
      const tookMs = performance.now() - beganMs;
      await areGone([...pids, keeper], 0);
      console.info(`the agent has ended ${Math.round(tookMs)} ms after ${signal}`);
      expect(tookMs).toBeLessThan(ENDS_MAX_MS);
      await expect(fetch(agent.url)).rejects.toThrow();
    },
  );

  it("whose starter is killed, where it was told to end with its input", async () => {
    const { agent, pids, keeper } = await startStubborn(async () => {
      const starter = folder.write("starter.mjs", STARTER);
      const launched = folder.launch(["--ends-with-input"], { starter });
      await launched.ready();
      return launched;
    });
    expect(agent.pid).not.toBe(agent.child.pid);
    await agent.end("SIGKILL");
    await areGone([...pids, keeper, agent.pid], ENDS_MAX_MS);
  });

  it("that is killed while it starts", async () => {
    folder.configure({});
    const agent = folder.launch([]);
    const starting = agent.child.pid ?? 0;
    await expect.poll(() => childrenOf(starting), { timeout: 20_000, interval: 1 }).toHaveLength(1);
    const keepers = childrenOf(starting);
    await agent.end("SIGKILL");
    expect(agent.printed()).toBe("");
    await areGone(keepers, ENDS_MAX_MS);
  });

  it("whose keeper is killed: the agent kills them, tells it, and ends", async () => {
    const { agent, pids, keeper } = await startStubborn();
    process.kill(keeper, "SIGKILL");
    expect(await agent.exited).toEqual([1, null]);
    await areGone(pids, ENDS_MAX_MS);
    expect(agent.errors()).toContain("The process that keeps the agent's machines has ended");
  });
});

it("an agent goes on when its input ends, unless it was told otherwise", async () => {
  folder.configure({ "acme/sleeps": { program: "sleep", args: ["600"] } });
  const agent = await folder.start();
  agent.child.stdin?.end();
  expect(shown(await agent.tell(worker("acme/sleeps"), [machine(A)]))).toEqual({ [A]: "running" });
});

it("an agent that is started again has no machine, and makes those that are wanted", async () => {
  folder.configure({ "acme/sleeps": { program: "sh", args: ["-c", "echo $$ >> pids; exec sleep 600"] } });
  const first = await folder.start();
  const { machines } = await first.tell(worker("acme/sleeps"), [machine(A)], { number: 9 });
  const [pid = 0] = await folder.pidsCome(1);
  await first.end("SIGKILL");
  const second = await folder.start();
  expect(await second.tell(null, [])).toEqual({ machines: [], refused: [] });
  // Nothing was kept of one that was stopped.
  expect((await second.tell(worker("acme/sleeps"), [machine(A, { state: "stopped" })])).machines).toEqual([]);
  const again = await second.tell(worker("acme/sleeps"), [machine(A, { id: machines[0]?.id ?? null })]);
  expect(shown(again)).toEqual({ [A]: "running" });
  expect(again.machines[0]?.id).not.toBe(machines[0]?.id);
  await areGone([pid]);
});

it("a hundred machines that came and went leave nothing behind", async () => {
  const program = "echo $$ >> pids; sleep 600 & echo $! >> pids; wait";
  folder.configure({ "acme/sleeps": { program: "sh", args: ["-c", program] } });
  const agent = await folder.start();
  const keeper = keeperOf(agent);
  for (let count = 1; count <= 100; count += 1) {
    const made = await agent.tell(worker("acme/sleeps"), [machine(`m${count}`)]);
    expect(made.machines.at(-1)).toMatchObject({ status: "running" });
    await folder.pidsCome(2 * count);
    // Each one is ended by the next request, and some of them before that.
    if (count % 2 === 0) await agent.shows({}, null, []);
  }
  await agent.shows({}, null, []);
  const pids = await folder.pidsCome(200);
  expect(new Set(pids).size).toBe(200);
  await areGone(pids, 0);
  expect([childrenOf(agent.pid), childrenOf(keeper)]).toEqual([[keeper], []]);
});
