// `waybill dev` of the installed package with a real broker: an endpoint of its own, with the settings and the input schema of the folder, and a
// key that lasts as long as dev does.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { DevWorker } from "./dev-worker.ts";
import { InstalledPackage } from "./installed-package.ts";
import { type Operator, startOperator } from "./operator.ts";

const installed = new InstalledPackage();
const ATTACHED = /the worker serves the endpoint (\S+):/;
const READY = /the worker is ready worker=(\S+)/;
const keysSchema = z.object({ workerKeys: z.array(z.object({ id: z.string(), revokedAt: z.string().nullable() })) });
const noteSchema = z.object({ keys: z.array(z.object({ id: z.string() })) });

/** Fits the schema of the first test, by which an edge checks inputs for 30 s. */
const INPUT = '{"text":"the cat"}';

let operator: Operator;
let worker: DevWorker;
let place: Readonly<Record<string, string>>;

beforeAll(async () => {
  operator = await startOperator({ guesser: { workers: {} } });
  place = { WAYBILL_URL: operator.broker.url, WAYBILL_KEY: operator.broker.key };
  worker = await DevWorker.make(installed, "guesser", process.execPath);
  const settings = JSON.parse(worker.read("waybill.json"));
  worker.write(
    "waybill.json",
    JSON.stringify({ ...settings, slots: 2, settings: { maxAttempts: 3, visibility: "PUBLIC" } }),
  );
}, 120_000);

afterEach(() => worker.stopAll());
afterAll(() => operator?.stop());

const keysOf = async () => keysSchema.parse(await operator.json("worker-key list --endpoint guesser-dev")).workerKeys;
const usable = async () => (await keysOf()).filter(({ revokedAt }) => revokedAt === null).map(({ id }) => id);
const isOver = () => !existsSync(join(worker.folder, ".waybill/dev.json"));
const note = () => noteSchema.parse(JSON.parse(worker.read(".waybill/dev.json"))).keys.map(({ id }) => id);

it("serves an endpoint of its own beside the deployed one, by the line that it prints", async () => {
  const submitted = await operator.broker.call(
    "/v2/guesser/run",
    JSON.stringify({ input: { text: "the deployed one's" } }),
  );
  const { id: deployed } = z.object({ id: z.string() }).parse(await submitted.json());
  const beganMs = performance.now();
  const dev = worker.start(["dev"], place);
  expect(await dev.prints(ATTACHED)).toBe("guesser-dev");
  expect(dev.printed()).toContain("the endpoint guesser-dev is made, with the settings of waybill.json");
  await dev.prints(READY);
  const line = await dev.prints(/^ {2}(npx waybill run .*)$/m);
  expect(JSON.parse(await worker.shell(line, place))).toMatchObject({ language: "en" });
  const tookMs = performance.now() - beganMs;
  console.info(`dev with a broker: the first output after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(10_000);
  expect(dev.printed()).toMatch(/INFO {2}\| \S+ \| guessed language=en/);
  expect(await operator.json("endpoint show --endpoint guesser-dev")).toMatchObject({
    type: "QUEUE",
    maxAttempts: 3,
    visibility: "PRIVATE",
    inputSchema: { properties: { text: { type: "string" } }, required: ["text"] },
  });
  expect(await operator.json(`job show ${deployed}`)).toMatchObject({
    status: "IN_QUEUE",
    endpointId: expect.any(String),
  });
  await dev.end();
  expect(await usable()).toEqual([]);
  expect(existsSync(join(worker.folder, ".waybill/dev.json"))).toBe(false);
});

it("gives the endpoint the input schema that the worker has now, and none that cannot be told", async () => {
  const submit = (input: unknown) => operator.broker.call("/v2/guesser-dev/run", JSON.stringify({ input }));
  const schema = async () => (await operator.json("endpoint show --endpoint guesser-dev")).inputSchema;
  const dev = worker.start(["dev"], place);
  await dev.prints(READY);
  expect(dev.printed()).not.toContain("guesser-dev has new settings");
  expect((await submit({ text: 1 })).status).toBe(400);
  worker.writeHandler("return 1;", '{ words: { type: "int" } }');
  await dev.prints(READY, 2);
  expect(dev.printed()).toContain("the endpoint guesser-dev has new settings");
  expect(await schema()).toMatchObject({ properties: { words: { type: "integer" } } });
  worker.write(worker.handler, "export const [handler, input] = [];\nthrow new Error('no model');\n");
  await dev.prints(/printed no input schema: it ended with code 1\n[\s\S]*no model/);
  worker.writeHandler("return 2;");
  await dev.prints(READY, 3);
  expect(await schema()).toBeNull();
  await dev.end();
});

it("lets a running job end before the worker starts anew, and gives one that hangs to the new worker at once", async () => {
  worker.writeHandler(`
    console.log("the first has begun");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return "whole";`);
  const dev = worker.start(["dev"], place);
  await dev.prints(READY);
  const first = worker.waybill(["run", "guesser-dev", "--input", INPUT], place);
  await dev.prints(/the first has begun/);
  worker.writeHandler('console.log("the second has begun");\nfor (;;);');
  await dev.prints(READY, 2);
  expect((await first).stdout).toBe("whole\n");

  const second = worker.waybill(["run", "guesser-dev", "--input", INPUT], place);
  await dev.prints(/the second has begun/);
  worker.write("notes.txt", "1");
  await dev.prints(/notes\.txt changed/);
  worker.writeHandler('return "free";');
  await dev.prints(READY, 3);
  const beganMs = performance.now();
  expect((await second).stdout).toBe("free\n");
  // A worker that is gone has its jobs for 28 s.
  expect(performance.now() - beganMs).toBeLessThan(15_000);
  await dev.end();
});

it("starts a worker again that ends behind each job, as a platform does", async () => {
  const text = worker.read("worker.ts");
  worker.writeHandler("return 1;");
  worker.write(
    "worker.ts",
    text.replace("start({ handler, input })", "start({ handler, input, refreshWorker: true })"),
  );
  const dev = worker.start(["dev"], place);
  await dev.prints(READY);
  await worker.waybill(["run", "guesser-dev", "--input", INPUT], place);
  await dev.prints(/worker\.ts ended with code 0 and is started again/);
  await dev.prints(READY, 2);
  await worker.waybill(["run", "guesser-dev", "--input", INPUT], place);
  await dev.end();
  worker.write("worker.ts", text);
});

it("revokes the key of a run that was killed when it begins again", async () => {
  const killed = worker.start(["dev"], place);
  await killed.prints(READY);
  const [left] = note();
  expect(await usable()).toEqual([left]);
  const file = join(worker.folder, ".waybill/dev.json");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).not.toContain("wb_");
  expect(await worker.shell("git init -q . && git status --porcelain --untracked-files=all -- .waybill")).toBe("");
  killed.signal("SIGKILL");
  await killed.ended;
  const dev = worker.start(["dev"], place);
  await dev.prints(READY);
  expect(note()).not.toContain(left);
  expect(await usable()).toEqual(note());
  await dev.end();
  expect(await usable()).toEqual([]);
});

it("ends in order when its terminal is closed, or nobody reads what it prints any more", async () => {
  const atTerminal = worker.startAtTerminal(["dev"], place);
  await atTerminal.prints(READY);
  expect(await usable()).toEqual(note());
  atTerminal.signal("SIGKILL");
  await expect.poll(isOver, { timeout: 10_000 }).toBe(true);
  expect(await usable()).toEqual([]);
  // The change lets dev print one more line.
  const reader = "{ grep --max-count=1 'is ready'; exec 0<&-; echo > changed.txt; }";
  expect(await worker.shell(`node_modules/.bin/waybill dev 2>&1 | ${reader}`, place)).toContain("is ready");
  expect([isOver(), await usable()]).toEqual([true, []]);
});

it.each(["SIGTERM", "SIGKILL"] as const)(
  "ends in order when the npx that has started it is ended by %s",
  async (signal) => {
    const dev = worker.startByNpx(["dev"], place);
    await dev.prints(READY);
    expect(await usable()).toEqual(note());
    dev.signal(signal);
    await expect.poll(isOver, { timeout: 10_000 }).toBe(true);
    expect(dev.printed()).toContain("the worker has ended, and dev with it");
    expect(await usable()).toEqual([]);
  },
);

it("ends where the key is refused, or may not do what is needed", async () => {
  await expect(worker.waybill(["dev"], { ...place, WAYBILL_KEY: "wb_live_x" })).rejects.toMatchObject({
    code: 4,
    stderr: expect.stringContaining("refuses the key in WAYBILL_KEY"),
  });
  const { key } = z.object({ key: z.string() }).parse(await operator.json("key create --name caller --scopes jobs"));
  await expect(worker.waybill(["dev"], { ...place, WAYBILL_KEY: key })).rejects.toMatchObject({
    code: 4,
    stderr: expect.stringContaining("manage"),
  });
  expect(await usable()).toEqual([]);
});

it("serves on this machine where it is told to", async () => {
  const dev = worker.start(["dev", "--local"], place);
  await dev.prints(/serves on this machine: --local was given/);
  await dev.prints(/the worker is at (\S+)/);
  await dev.end();
});
