// Makes the folder of a new worker, or makes one of a folder that has a package.json already.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { WrongUse } from "../wrong-use.ts";
import { completeManifest, installedFrom, type Manifest, newManifest, readManifest } from "./manifest.ts";
import { ownFolder } from "./own-folder.ts";
import { packOwn, tarballName } from "./own-package.ts";
import { type Language, templateFiles } from "./template.ts";
import { releaseOfPerson, runsTypeScript } from "./typescript.ts";
import { checkedName, nameOf } from "./worker-name.ts";

export interface InitOptions {
  readonly folder: string;
  /** Without it the name is made of the folder's. */
  readonly name?: string | undefined;
  /** Without it: TypeScript, if the Node of the person takes it. */
  readonly language?: Language | undefined;
}

export interface MadeProject {
  readonly folder: string;
  readonly name: string;
  readonly language: Language;
  /** What was written, by the path below the folder. */
  readonly files: readonly string[];
  readonly notes: readonly string[];
}

const MANIFEST = "package.json";

/**
 * Writes the files. Throws a sentence, before anything is written, where that would overwrite something. A file that is there with the very
 * text that it would get is no hindrance, so that a run which was ended half-way can be done again.
 */
export async function initProject(options: InitOptions): Promise<MadeProject> {
  const folder = resolve(options.folder);
  if (existsSync(folder) && !statSync(folder).isDirectory()) throw new WrongUse(`${folder} is no folder`);
  const name = options.name === undefined ? nameOf(basename(folder)) : checkedName(options.name);
  const language = options.language ?? (runsTypeScript(releaseOfPerson()) ? "ts" : "js");
  const before = readIfThere(join(folder, MANIFEST));
  const tarball = tarballIn(folder, before);
  const worker = `worker.${language}`;
  const files = templateFiles(language, { name, worker, handler: `handler.${language}`, tarball });
  refuseOthers(folder, files);
  const manifest = manifestOf(before, { name, worker, tarball });
  const isPacked = existsSync(join(folder, tarball));
  const written = await write(folder, files, async () => {
    if (!isPacked) await packOwn(folder, tarball);
    replace(folder, MANIFEST, manifest.text);
  });
  return {
    folder,
    name,
    language,
    files: [...written, ...(isPacked ? [] : [tarball]), ...(before === manifest.text ? [] : [MANIFEST])],
    notes: [...manifest.notes, ...languageNotes(language)],
  };
}

/** A tarball that the folder has and is installed from already, else the one that is to be made. */
function tarballIn(folder: string, manifest: string | null): string {
  const fields = manifest === null ? {} : readManifest(manifest);
  if (fields.name === "waybill" && fields.private === true) {
    throw new WrongUse(
      `${folder} is the project Waybill itself, and no worker: what init was before is npm run admin -- setup now, and init FOLDER makes a worker elsewhere`,
    );
  }
  const known = installedFrom(fields)?.replace(/^\.\//, "");
  const isOwn = known !== undefined && /^[^/\\]+\.tgz$/.test(known) && existsSync(join(folder, known));
  return isOwn ? known : tarballName();
}

function manifestOf(before: string | null, wanted: Parameters<typeof newManifest>[0]): Manifest {
  return before === null ? { text: newManifest(wanted), notes: [] } : completeManifest(before, wanted);
}

function refuseOthers(folder: string, files: ReadonlyMap<string, string>): void {
  const others = [...files].filter(([name, text]) => ![null, text].includes(readIfThere(join(folder, name))));
  if (others.length === 0) return;
  const names = others.map(([name]) => name).join(", ");
  throw new WrongUse(`${folder} has ${names} already, and init overwrites nothing: init FOLDER makes a new folder`);
}

/** Writes what is missing, then does the rest; takes back what it has written if that fails. Resolves with the names. */
async function write(folder: string, files: ReadonlyMap<string, string>, rest: () => Promise<void>): Promise<string[]> {
  const written: string[] = [];
  const isNew = !existsSync(folder);
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of files) {
      const path = join(folder, name);
      if (existsSync(path)) continue;
      mkdirSync(dirname(path), { recursive: true });
      written.push(name);
      writeFileSync(path, text, { flag: "wx" });
    }
    await rest();
    return written;
  } catch (error) {
    for (const name of written) rmSync(join(folder, name), { force: true });
    if (isNew) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** As a whole, so that an end in the middle leaves what the person had. */
function replace(folder: string, name: string, text: string): void {
  const beside = join(ownFolder(folder), name);
  writeFileSync(beside, text);
  renameSync(beside, join(folder, name));
}

function languageNotes(language: Language): string[] {
  const release = releaseOfPerson();
  if (language === "js" || runsTypeScript(release)) return [];
  return [`Node ${release} cannot run the worker on this machine: 22.18 or newer runs TypeScript`];
}

/** Null: there is nothing of that name. */
function readIfThere(path: string): string | null {
  if (!existsSync(path)) return null;
  return statSync(path).isFile() ? readFileSync(path, "utf8") : "";
}
