// A process of RunPod's Python package as a manager of endpoints and a client of their jobs, by manage.py.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";

const SCRIPT = join(import.meta.dirname, "manage.py");

/** A call of the package, and what came of it. */
export type Call = readonly [name: string, keywords?: Readonly<Record<string, unknown>>];

const outcomesSchema = z.array(
  z.union([
    z.strictObject({ value: z.unknown() }),
    z.strictObject({
      raised: z.string(),
      text: z.string(),
      status: z.int().nullable(),
      errors: z.array(z.string()).nullable(),
    }),
  ]),
);

export interface ManagerOptions {
  /** The Python of the package's version. */
  readonly interpreter: string;
  /** The broker's address. */
  readonly url: string;
  readonly key: string;
  /** A key in the configuration file of whoever runs the tests would go before the one given here. */
  readonly home: string;
}

export interface Manager {
  /** Makes calls one after another. */
  outcomes(calls: readonly Call[]): Promise<z.infer<typeof outcomesSchema>>;
  /** The same, where none may raise. */
  values(...calls: readonly Call[]): Promise<unknown[]>;
  /** Resolves when the process has ended. */
  end(): Promise<void>;
}

export function startManager({ interpreter, url, key, home }: ManagerOptions): Manager {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    RUNPOD_API_BASE_URL: url,
    RUNPOD_ENDPOINT_BASE_URL: `${url}/v2`,
  };
  const child = spawn(interpreter, [SCRIPT, key], { env, stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const outcomes = async (calls: readonly Call[]) => {
    child.stdin.write(`${JSON.stringify(calls.map(([name, keywords = {}]) => [name, keywords]))}\n`);
    const { value } = await lines.next();
    return outcomesSchema.parse(JSON.parse(value ?? ""));
  };
  return {
    outcomes,
    values: async (...calls) =>
      (await outcomes(calls)).map((outcome) => {
        if ("raised" in outcome) throw new Error(`${outcome.raised}: ${outcome.text}`);
        return outcome.value;
      }),
    end: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
