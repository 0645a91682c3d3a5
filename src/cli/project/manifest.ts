// The package.json of a worker's folder: a new one, or the one that is there with what a worker needs beside all that it has.
import { messageOf } from "../../core/failure.ts";
import { type Fields, fieldsOf } from "../../core/json/value.ts";
import { WrongUse } from "../wrong-use.ts";

/** What the folder's package gets. */
export interface WorkerPackage {
  /** Of a new package. */
  readonly name: string;
  /** The file that is run. */
  readonly worker: string;
  /** The tarball of the package `waybill`, below the folder. */
  readonly tarball: string;
}

export interface Manifest {
  readonly text: string;
  /** Sentences on what the person may not expect. */
  readonly notes: readonly string[];
}

const FILE = "package.json";
/** `npm init` writes this, and nobody means it. */
const NO_TEST = 'echo "Error: no test specified" && exit 1';

/** The fields of a package.json. Throws a sentence where the text is none. */
export function readManifest(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(withoutMark(text));
  } catch (error) {
    throw new WrongUse(`${FILE} is not JSON: ${messageOf(error)}`);
  }
  const fields = fieldsOf(value);
  if (fields === null) throw new WrongUse(`${FILE} holds no JSON object`);
  return fields;
}

export function newManifest({ name, worker, tarball }: WorkerPackage): string {
  const scripts = scriptsOf(worker);
  const fields = { name, private: true, type: "module", scripts, dependencies: { waybill: `file:${tarball}` } };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/** Adds what is missing. Nothing that is there is lost or moved, but for the place that `waybill` is installed from. */
export function completeManifest(text: string, { worker, tarball }: WorkerPackage): Manifest {
  const fields = readManifest(text);
  const { type = "module" } = fields;
  if (type !== "module") {
    throw new WrongUse(
      `${FILE} has "type": ${JSON.stringify(type)}, and a worker is an ES module: npm pkg set type=module changes it`,
    );
  }
  const scripts = membersOf(fields, "scripts");
  const added = scriptsOf(worker);
  const kept = Object.keys(added).filter((name) => scripts[name] !== undefined && scripts[name] !== NO_TEST);
  const others = kept.filter((name) => scripts[name] !== added[name]);
  const completed = {
    ...fields,
    type,
    scripts: { ...scripts, ...Object.fromEntries(Object.entries(added).filter(([name]) => !kept.includes(name))) },
    dependencies: { ...membersOf(fields, "dependencies"), waybill: `file:${tarball}` },
  };
  return {
    text: inFormOf(text, completed),
    notes: others.map((name) => `${FILE} keeps its script ${name}; that of a worker is: ${added[name]}`),
  };
}

/** Where the package `waybill` is installed from, as a path from the folder; null: from elsewhere than a file, or not at all. */
export function installedFrom(fields: Fields): string | null {
  if (membersOf(fields, "devDependencies").waybill !== undefined) {
    throw new WrongUse(
      `${FILE} has waybill in devDependencies, which an image leaves out: npm uninstall waybill first`,
    );
  }
  const { waybill } = membersOf(fields, "dependencies");
  return typeof waybill === "string" && waybill.startsWith("file:") ? waybill.slice("file:".length) : null;
}

function scriptsOf(worker: string): Readonly<Record<string, string>> {
  return { start: `node ${worker}`, test: "node --test", dev: "waybill dev", deploy: "waybill deploy" };
}

function membersOf(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (value === undefined) return {};
  const members = fieldsOf(value);
  if (members === null) throw new WrongUse(`${name} in ${FILE} must be an object`);
  return members;
}

/** With the indentation, the line breaks and the end of the text that it takes the place of. */
function inFormOf(text: string, value: object): string {
  const indent = /^\s*\{\r?\n([ \t]+)/.exec(withoutMark(text))?.[1] ?? 2;
  const written = JSON.stringify(value, null, indent);
  const mark = text.slice(0, text.length - withoutMark(text).length);
  const end = /\r?\n$/.exec(text)?.[0] ?? "";
  return `${mark}${end === "\r\n" ? written.replaceAll("\n", end) : written}${end}`;
}

/** An editor may have put a byte order mark before the text. */
function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, "");
}
