// What a started worker does: fetches jobs, serves an endpoint of its own, runs one job and ends, or prints its input schema. One
// image is thus a serverless worker, a pod and a program to try out, by its environment and arguments alone
// (docs/workers-in-typescript.md).
import { type Fields, fieldsOf, parseJson } from "../core/json/value.ts";
import type { Variables } from "./environment.ts";
import type { HandedJob } from "./worker-api.ts";

export type Mode =
  | { readonly kind: "loop" }
  | { readonly kind: "serve"; readonly host: string; readonly port: number }
  | { readonly kind: "once"; readonly job: HandedJob }
  | { readonly kind: "input_schema" };

const HOST_DEFAULT = "localhost";
const PORT_DEFAULT = 8000;
/** The id of a job that names none, as in RunPod's SDK. */
const JOB_ID_DEFAULT = "local_test";
export const TEST_FILE = "test_input.json";

/**
 * `args`: those behind the script; what is not ours among them is its author's. `readTestFile`: the text of `test_input.json` in the
 * working directory; null: there is none. Throws one sentence about what is wrong.
 */
export function chooseMode(args: readonly string[], variables: Variables, readTestFile: () => string | null): Mode {
  if (args.includes("--waybill_input_schema")) return { kind: "input_schema" };
  const serve: Mode = {
    kind: "serve",
    host: optionIn(args, "--rp_api_host") ?? HOST_DEFAULT,
    port: readPort(optionIn(args, "--rp_api_port")),
  };
  if (args.includes("--rp_serve_api")) return serve;
  const mode = variables.MODE?.trim().toLowerCase();
  const hasAddress = (variables.RUNPOD_WEBHOOK_GET_JOB ?? "").trim() !== "";
  if (hasAddress || mode === "serverless") return { kind: "loop" };
  if (mode === "pod") return serve;
  const given = optionIn(args, "--test_input");
  if (given !== undefined) return { kind: "once", job: readJob("--test_input", given) };
  const text = readTestFile();
  return text === null ? serve : { kind: "once", job: readJob(TEST_FILE, text) };
}

/** `--rp_log_level`; undefined: it is not given. */
export function logLevelIn(args: readonly string[]): string | undefined {
  return optionIn(args, "--rp_log_level");
}

/** The value of an option, as `--name value` or `--name=value`; of several the last counts. */
function optionIn(args: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (const [at, arg] of args.entries()) {
    if (arg === name) value = args[at + 1] ?? "";
    else if (arg.startsWith(`${name}=`)) value = arg.slice(name.length + 1);
  }
  return value;
}

function readPort(text: string | undefined): number {
  if (text === undefined) return PORT_DEFAULT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new Error(`--rp_api_port must be a port from 0 to 65535, not "${text}"`);
}

function readJob(source: string, text: string): HandedJob {
  const fields: Fields | null = fieldsOf(parseJson(text));
  if (fields === null || !("input" in fields)) {
    throw new Error(`${source} must be a JSON object with input, such as {"input": {}}`);
  }
  const { id = JOB_ID_DEFAULT, input } = fields;
  if (typeof id !== "string") throw new Error(`id in ${source} must be a text`);
  return { ...fields, id, input };
}
