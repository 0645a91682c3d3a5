// `npm start` itself, on a state of its own: its first job, a job of a person beside it, and what is left when it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { isPortOpen } from "../../src/cli/dev-ports.ts";
import { isGroupAlive, signalGroup } from "../../src/cli/dev-processes.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { callBroker } from "../running/broker.ts";
import { takePort } from "../running/port.ts";

/** For all that a start does; alone it takes 20 s, most of them for the migrations. */
const UP_MAX_MS = 100_000;
const ENDS_MAX_MS = 20_000;

const folder = mkdtempSync(join(tmpdir(), "waybill-start-test-"));
const groups: number[] = [];
let port: number;

beforeAll(async () => {
  port = await takePort();
});

afterEach(() => {
  for (const group of groups.splice(0)) signalGroup(group, "SIGKILL");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Start {
  readonly child: ChildProcess;
  /** As in a terminal, its number is that of its group, in which its worker is. */
  readonly group: number;
  printed(): string;
}

const firstSchema = z.object({ key: z.string(), worker: z.object({ keyId: z.string() }) });
const lockSchema = z.object({ group: z.object({ leader: z.int() }) });
const readFirst = () => firstSchema.parse(JSON.parse(readFileSync(join(folder, "first.json"), "utf8")));
/** The group of the broker's processes, which is one of its own. */
const brokerGroup = () => lockSchema.parse(JSON.parse(readFileSync(join(folder, "broker.json"), "utf8"))).group.leader;

/** Resolves when it has printed how to go on. */
async function start(): Promise<Start> {
  const words = ["src/cli/run-script.mjs", "src/cli/start.ts", "--port", String(port), "--state", folder];
  const child = spawn(process.execPath, words, { cwd: PROJECT_FOLDER, detached: true });
  const group = child.pid ?? 0;
  groups.push(group);
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      printed += chunk;
    });
  }
  const isUp = () => printed.includes("Ctrl-C here stops everything");
  await expect.poll(() => isUp() || child.exitCode !== null, { timeout: UP_MAX_MS }).toBe(true);
  expect(isUp(), printed).toBe(true);
  groups.push(brokerGroup());
  return { child, group, printed: () => printed };
}

async function runsync(input: object): Promise<unknown> {
  const url = `http://127.0.0.1:${port}/v2/ocr/runsync`;
  return (await callBroker(url, readFirst().key, { body: JSON.stringify({ input }) })).json();
}

it("runs a first job by a worker that fetches it, goes on with others, and leaves nothing behind after Ctrl-C", async () => {
  const { child, group, printed } = await start();
  expect(printed()).toMatch(/^worker {6}npm-start fetches its jobs \(OCR/m);
  expect(printed()).toMatch(/^recognised {2}WAYBILL 2026$/m);
  expect(printed()).toMatch(/^billed {6}\d+ s of a4000 \(flex\): \$0\.\d{9}$/m);
  expect(printed()).toMatch(/^webhook {5}received: COMPLETED, signature verified$/m);
  const picture = readFileSync(join(PROJECT_FOLDER, "examples/ocr-worker/picture.png")).toString("base64");
  expect(await runsync({ image: picture })).toMatchObject({
    status: "COMPLETED",
    output: { text: "WAYBILL 2026\nForty-two crates of oranges", confidence: expect.any(Number) },
    workerId: "npm-start",
  });
  expect(await runsync({ image: Buffer.from("no picture").toString("base64") })).toMatchObject({
    status: "FAILED",
    error: "input.image is not a PNG in base64",
  });
  const broker = brokerGroup();
  const ended = once(child, "exit");
  // A terminal signals the whole group.
  signalGroup(group, "SIGINT");
  expect(await ended).toEqual([0, null]);
  expect([isGroupAlive(group), isGroupAlive(broker), await isPortOpen(port)]).toEqual([false, false, false]);
});

it("keeps the key of its worker at a later start, and takes its worker with it when it is killed", async () => {
  const before = readFirst();
  const { child, group, printed } = await start();
  expect(printed()).toMatch(/^endpoint {4}ocr \([0-9a-f]+\), as before$/m);
  expect(readFirst()).toEqual(before);
  child.kill("SIGKILL");
  await once(child, "exit");
  await expect.poll(() => isGroupAlive(group), { timeout: ENDS_MAX_MS }).toBe(false);
});
