// The agent's own configuration, a file of JSON: which program each image stands for, and what a machine costs. A broker can order no other
// program than these.
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import * as z from "zod";
import { messageOf } from "../../core/failure.ts";
import { WrongUse } from "../wrong-use.ts";

const priceSchema = z.number().min(0).max(1_000_000);

const imageSchema = z.strictObject({
  /** A path, from the folder of the file on, or a name that is looked up in PATH. */
  program: z.string().min(1),
  args: z.array(z.string()).default([]),
  /** Where it runs, from the folder of the file on. */
  cwd: z.string().min(1).default("."),
  /** Variables beside those of a request, which they go before. */
  env: z.record(z.string(), z.string()).default({}),
  /** May a request add arguments? */
  allowArgs: z.boolean().default(false),
  /** Variables that a request may set although they choose the code that a program loads, such as NODE_OPTIONS. */
  allowEnv: z.array(z.string()).default([]),
  /** US dollars, of a machine with this image; goes before the price of its GPUs. */
  pricePerHour: priceSchema.optional(),
});
/** What an image stands for: the program and its folder are absolute. */
export type Image = z.infer<typeof imageSchema>;

const configSchema = z.strictObject({
  /** By the name of the image, as the endpoint has it. */
  images: z.record(z.string().min(1), imageSchema),
  /** US dollars of one GPU, by its type. */
  gpuPricesPerHour: z.record(z.string(), priceSchema).default({}),
});

export interface AgentConfig {
  readonly images: ReadonlyMap<string, Image>;
  readonly gpuPricesPerHour: ReadonlyMap<string, number>;
}

/** Throws a sentence that names the field which is wrong. `searchPath`: where programs without a folder are looked for. */
export function readAgentConfig(file: string, searchPath: string): AgentConfig {
  const parsed = configSchema.safeParse(readJson(file));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue === undefined || issue.path.length === 0 ? "" : `${issue.path.join(".")}: `;
    throw new WrongUse(`${file} is wrong: ${place}${issue?.message ?? "it has another shape"}`);
  }
  const folder = dirname(resolve(file));
  const images = Object.entries(parsed.data.images).map(([name, image]) => {
    const cwd = resolve(folder, image.cwd);
    if (!isFolder(cwd)) throw new WrongUse(`${file} is wrong: images.${name}.cwd: there is no folder ${cwd}`);
    const program = findProgram(image.program, folder, searchPath);
    if (program !== null) return [name, { ...image, cwd, program }] as const;
    const where = image.program.includes("/") ? "" : " in PATH";
    throw new WrongUse(`${file} is wrong: images.${name}.program: there is no program ${image.program}${where}`);
  });
  return { images: new Map(images), gpuPricesPerHour: new Map(Object.entries(parsed.data.gpuPricesPerHour)) };
}

function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new WrongUse(`--config ${file} cannot be read: ${messageOf(error)}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WrongUse(`${file} is not JSON: ${messageOf(error)}`);
  }
}

/**
 * The absolute path of a program; null: there is none. It is looked up here, once, because a system looks a bare name up in the PATH of the
 * program's environment, of which a part comes from requests.
 */
function findProgram(name: string, folder: string, searchPath: string): string | null {
  const candidates = name.includes("/")
    ? [resolve(folder, name)]
    : searchPath.split(delimiter).flatMap((place) => (place === "" ? [] : join(place, name)));
  return candidates.find(isProgram) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
