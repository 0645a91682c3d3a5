// Hostile schemas and inputs in workerd, whose engine is a newer or an older one than Node's, with other settings: what takes time in one
// may take none in the other. Measured is the processor time of its process, as Linux tells it in steps of 10 ms.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseStat } from "../bench/processes.ts";
import { HOSTILE } from "../core/schema/hostile-schemas.ts";
import { measureSlowdown } from "../support/yardstick.ts";

const MAX_MS = 10;
const RUNS = 20;
/** Two programs on one core slow each other down, which processor time does not leave out. */
const TRIES_MAX = 5;

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]
);
const main :Workerd.Worker = (modules = [(name = "main", esModule = embed "main.mjs")], compatibilityDate = "2026-01-01");
`;

const folder = mkdtempSync(join(tmpdir(), "waybill-workerd-"));
let workerd: ChildProcess;
let base = "";
const worst: { readonly name: string; readonly ms: number }[] = [];

beforeAll(async () => {
  const entryPoints = [join(import.meta.dirname, "workerd-check.ts")];
  await build({ entryPoints, outfile: join(folder, "main.mjs"), bundle: true, format: "esm" });
  writeFileSync(join(folder, "config.capnp"), CONFIG);
  const program = join(import.meta.dirname, "../../node_modules/workerd/bin/workerd");
  workerd = spawn(program, ["serve", "--control-fd=3", join(folder, "config.capnp")], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const control = workerd.stdio[3];
  if (control === null || control === undefined || !("read" in control)) throw new Error("no pipe");
  for await (const line of createInterface({ input: control })) {
    const { event, port } = JSON.parse(line);
    if (event !== "listen") continue;
    base = `http://127.0.0.1:${port}/`;
    break;
  }
});

afterAll(async () => {
  const ended = once(workerd, "exit");
  workerd.kill();
  await ended;
  rmSync(folder, { recursive: true });
  worst.sort((one, other) => other.ms - one.ms);
  for (const { name, ms } of worst.slice(0, 10)) console.log(ms.toFixed(1), name);
});

/** Processor time of the process so far, in milliseconds. */
function usedMs(): number {
  return parseStat(readFileSync(`/proc/${workerd.pid}/stat`, "utf8")).cpuSeconds * 1_000;
}

async function timeOf(body: string, runs: number): Promise<{ readonly found: string; readonly ms: number }> {
  const before = usedMs();
  const response = await fetch(`${base}?runs=${runs}`, { method: "POST", body });
  const found = await response.text();
  return { found, ms: usedMs() - before };
}

/** What became of an input, and the least time that this took of some tries, as it would be on the machine of the bound. */
async function attack(
  name: string,
  schema: unknown,
  inputText: string,
): Promise<{ readonly found: string; readonly ms: number }> {
  const body = `${JSON.stringify(schema)}\n${inputText}`;
  let least = { found: "", ms: Infinity };
  let slowdown = 1;
  for (let tries = 0; tries < TRIES_MAX && least.ms / slowdown >= MAX_MS; tries += 1) {
    const empty = await timeOf(body, 0);
    const { found, ms } = await timeOf(body, RUNS);
    least = { found, ms: Math.min(least.ms, (ms - empty.ms) / RUNS) };
    if (least.ms >= MAX_MS) slowdown = tries === 0 ? measureSlowdown() : Math.min(slowdown, measureSlowdown());
  }
  least = { ...least, ms: least.ms / slowdown };
  worst.push({ name, ms: least.ms });
  return least;
}

describe("a hostile schema in workerd", () => {
  it.each(HOSTILE)("is refused or bounded: %s", async (name, schema, input) => {
    const { found, ms } = await attack(name, schema, JSON.stringify(input));
    expect(["valid", "invalid", "too_much", "refused"]).toContain(found);
    expect(ms).toBeLessThan(MAX_MS);
  });

  // Which no value of JavaScript is written as.
  it.each(["68908618890246666183e-305", "1e400", "-0.0000000000000000000000000000000000000001", "9".repeat(700)])(
    "is refused or bounded: numbers as %s",
    async (number) => {
      const most = `[${Array.from({ length: Math.floor(1_048_000 / (number.length + 1)) }, () => number).join()}]`;
      expect((await attack(number, {}, most)).ms).toBeLessThan(MAX_MS);
    },
  );
});
