// Two brokers on one state folder lose usage lines: whatever ends the first one, however it ends, and whoever asks at once, one
// has the folder, and the others are told what to do. Real processes, killed by real signals.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { takeStateLock } from "../../src/cli/dev-lock.ts";
import { isGroupAlive, signalGroup, startOf } from "../../src/cli/dev-processes.ts";
import { portOfState } from "../../src/cli/state-note.ts";

const started: ChildProcess[] = [];
const groups: number[] = [];
const folders: string[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const child of started.splice(0)) child.kill("SIGKILL");
  for (const group of groups.splice(0)) signalGroup(group, "SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-lock-test-"));
  folders.push(folder);
  return folder;
}

interface Contender {
  readonly child: ChildProcess;
  /** Everything that it said until it had the lock, or ended without it. */
  readonly said: string;
  readonly has: boolean;
}

async function contend(folder: string, port = 9_000, what = ""): Promise<Contender> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "hold-lock.ts"), folder, String(port), what], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  started.push(child);
  let said = "";
  for await (const chunk of child.stdout) {
    said += String(chunk);
    if (said.includes("held\n")) return { child, said, has: true };
  }
  return { child, said, has: false };
}

async function kill9({ child }: Contender): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** A process group of one, which does nothing. Returns its number. */
async function startGroup(): Promise<number> {
  const leader = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { detached: true, stdio: "ignore" });
  await once(leader, "spawn");
  const group = leader.pid ?? 0;
  groups.push(group);
  return group;
}

/** A process group whose leader has ended, and whose other process lives on. Returns its number. */
async function startLeaderless(): Promise<number> {
  const child = 'spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: "ignore" })';
  const script = `require("node:child_process").${child}.once("spawn", () => process.exit(0))`;
  const leader = spawn(process.execPath, ["-e", script], { detached: true, stdio: "ignore" });
  const group = leader.pid ?? 0;
  groups.push(group);
  await once(leader, "exit");
  expect({ alive: isGroupAlive(group), leader: startOf(group) }).toEqual({ alive: true, leader: null });
  return group;
}

/** As a broker that was killed has left it. */
function leaveNote(folder: string, leader: number, since: string | null): void {
  writeFileSync(join(folder, "broker.json"), JSON.stringify({ pid: 1, port: 1, group: { leader, since } }));
}

/** Runs `npm start`; rejects with what it printed. */
function start(...words: string[]) {
  return promisify(execFile)(process.execPath, ["src/cli/start.ts", ...words]);
}

describe("the lock of a state folder", { timeout: 60_000 }, () => {
  it("is had by one of six that ask at once, and the others are told who has it and what to do", async () => {
    const folder = makeFolder();
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((port) => contend(folder, port)));
    expect(all.filter(({ has }) => has)).toHaveLength(1);
    const late = await contend(folder);
    const { child } = all.find(({ has }) => has) ?? late;
    expect(late.said).toMatch(new RegExp(`process ${child.pid}, http://127.0.0.1:[1-6]\\)`));
    expect(late.said).toContain("Ctrl-C");
    expect(late.said).toContain("--state DIR --port N");
  });

  it("is free again after a kill -9, for one of six that ask at once", async () => {
    const folder = makeFolder();
    const first = await contend(folder);
    expect((await contend(folder)).has).toBe(false);
    await kill9(first);
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((port) => contend(folder, port)));
    expect(all.filter(({ has }) => has)).toHaveLength(1);
  });

  it("is free again after a proper end, and the folder has no trace of who had it", async () => {
    const folder = makeFolder();
    const lock = takeStateLock(folder, 1);
    expect(() => takeStateLock(folder, 2)).toThrow("A broker runs on the state");
    expect(portOfState(folder)).toBe(1);
    lock.release();
    expect(portOfState(folder)).toBeNull();
    takeStateLock(folder, 2).release();
  });

  it.each(["the process that had it", "that process and the leader of the group"])(
    "is not given while the group of a start that was killed serves on (killed: %s)",
    async (what) => {
      const folder = makeFolder();
      const first = await contend(folder, 9_123, "serve");
      const group = Number(/group (\d+)/.exec(first.said)?.[1]);
      groups.push(group);
      await kill9(first);
      if (what !== "the process that had it") process.kill(group, "SIGKILL");
      const second = await contend(folder);
      expect(second.has).toBe(false);
      expect(second.said).toContain(`kill -9 -- -${group}`);
      expect(second.said).toContain("http://127.0.0.1:9123");
      expect(second.said).toContain(`process ${first.child.pid}`);
      signalGroup(group, "SIGKILL");
      await vi.waitFor(() => expect(isGroupAlive(group)).toBe(false), { timeout: 10_000 });
      expect((await contend(folder)).has).toBe(true);
    },
  );

  it("is kept from others by what it has started, also when it is released too early", async () => {
    const folder = makeFolder();
    const lock = takeStateLock(folder, 1);
    lock.noteGroup(await startGroup());
    lock.release();
    expect(() => takeStateLock(folder, 2)).toThrow("still serve the state");
  });

  it("is given where another process has the number of the group by now", async () => {
    const folder = makeFolder();
    const group = await startGroup();
    leaveNote(folder, group, startOf(group));
    expect(() => takeStateLock(folder, 2)).toThrow("still serve the state");
    // In the same run of the machine, but earlier.
    leaveNote(folder, group, startOf(process.pid));
    takeStateLock(folder, 2).release();
  });

  it("is given where the group began before the machine was started, though a group of its number has no leader", async () => {
    const folder = makeFolder();
    const group = await startLeaderless();
    leaveNote(folder, group, startOf(process.pid));
    expect(() => takeStateLock(folder, 2)).toThrow("still serve the state");
    leaveNote(folder, group, "00000000-0000-0000-0000-000000000000/4711");
    // Elsewhere than on Linux a start does not say in which run of the machine it was, so the group counts as the same one.
    if (process.platform === "linux") takeStateLock(folder, 2).release();
    else expect(() => takeStateLock(folder, 2)).toThrow("still serve the state");
  });

  it("is given where the number of the group belongs to another user by now, whom this one may not signal", async () => {
    const folder = makeFolder();
    const group = await startGroup();
    leaveNote(folder, group, startOf(group));
    const signal = vi.spyOn(process, "kill").mockImplementation(() => {
      throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
    });
    takeStateLock(folder, 2).release();
    expect(signal).toHaveBeenCalledWith(-group, 0);
  });
});

describe("npm start", { timeout: 60_000 }, () => {
  it("ends at once beside a broker on the same folder, and touches nothing in it", async () => {
    const folder = makeFolder();
    const { child } = await contend(folder, 9_000);
    const second = start("--state", folder, "--port", "9001");
    await expect(second).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(`process ${child.pid}`) });
    expect(JSON.parse(readFileSync(join(folder, "broker.json"), "utf8"))).toMatchObject({
      pid: child.pid,
      port: 9_000,
    });
  });

  it("says of a port in use that a second broker needs a state of its own, too", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const refused = start("--state", makeFolder(), "--port", String(port));
    await expect(refused).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("--state DIR") });
    server.close();
  });
});
