// The files of a new worker. They are real files in the folder beside this one, which the package has, too; some words in them stand for
// what is the worker's own.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Language = "ts" | "js";

/** The words of a worker, such as its name. */
export type Words = Readonly<Record<"name" | "worker" | "handler" | "tarball", string>>;

const FOLDER = fileURLToPath(new URL("./template/", import.meta.url));
/** npm leaves such a file out of a package, or makes something else of it, so that it has another name there. */
const HIDDEN: Readonly<Record<string, string>> = { gitignore: ".gitignore", dockerignore: ".dockerignore" };

/** The text of each file, by its path below the worker's folder. */
export function templateFiles(language: Language, words: Words): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const part of ["common", language]) {
    for (const name of readdirSync(join(FOLDER, part), { recursive: true, encoding: "utf8" })) {
      const path = join(FOLDER, part, name);
      if (statSync(path).isFile()) files.set(HIDDEN[name] ?? name, filledIn(readFileSync(path, "utf8"), words));
    }
  }
  return files;
}

function filledIn(text: string, words: Words): string {
  return text.replace(/\{\{(name|worker|handler|tarball)\}\}/g, (_, word: keyof Words) => words[word]);
}
