// Starts the agent of the provider `local` as a child process for the scale demo, with the one image that the demo's endpoint has.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";
import { PROJECT_FOLDER } from "../folders.ts";
import { stopChild } from "../stop-child.ts";

export const IMAGE = "waybill/scale-demo";
const READY_MAX_MS = 20_000;
const STOP_MAX_MS = 8_000;
const servingSchema = z.object({ event: z.literal("serving"), url: z.string() });

export interface DemoAgent {
  readonly pid: number;
  /** Where it takes the calls of a provider, and the secret that signs them. */
  readonly url: string;
  readonly secret: string;
  stop(): Promise<void>;
}

/** `spawned`: called as soon as the process exists, so that it is ended whatever happens next. */
export async function startAgent(
  state: string,
  max: number,
  spawned: (agent: Pick<DemoAgent, "stop">) => void,
): Promise<DemoAgent> {
  const secret = `whsec_${randomBytes(24).toString("base64")}`;
  const configFile = join(state, "scale-demo.json");
  const images = { [IMAGE]: { program: process.execPath, args: [join(import.meta.dirname, "worker.ts")] } };
  writeFileSync(configFile, JSON.stringify({ images }));
  const log = openSync(join(state, "agent.log"), "a");
  const words = ["--config", configFile, "--max", String(max), "--logs", join(state, "machines"), "--ends-with-input"];
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, "src", "cli", "agent.ts"), ...words], {
    env: { ...process.env, WAYBILL_HOOK_SECRET: secret },
    // Its input ends with this process, however that ends.
    stdio: ["pipe", "pipe", log],
  });
  const stop = () => stopChild(child, STOP_MAX_MS);
  spawned({ stop });
  return { pid: child.pid ?? 0, url: await readAddress(child), secret, stop };
}

async function readAddress(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the agent has no output");
  const lines = createInterface({ input: child.stdout });
  const signal = AbortSignal.timeout(READY_MAX_MS);
  const [line] = await Promise.race([once(lines, "line", { signal }), once(child, "exit", { signal })]);
  const serving = typeof line === "string" ? servingSchema.safeParse(JSON.parse(line)) : null;
  if (serving?.success !== true) throw new Error("The agent did not start; its output is in agent.log of the state.");
  return serving.data.url;
}
