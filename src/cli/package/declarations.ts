// Makes one file of the declarations that the compiler writes, with what the exports of its entry need and nothing
// else: the files name each other by `.ts`, and tell of parts that are nobody's business outside.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A declaration at the top of a file, with the comment before it. */
interface Declaration {
  readonly name: string;
  readonly text: string;
}

/** The text of a file that declares what the entry exports by `export { … } from "./file.ts"`. */
export function bundleDeclarations(folder: string, entry: string): string {
  const { names, files } = exportsOf(readFileSync(join(folder, entry), "utf8"));
  const known = new Map<string, Declaration[]>();
  for (const file of reachableFrom(folder, files)) {
    for (const declaration of declarationsOf(readFileSync(join(folder, file), "utf8"))) {
      known.set(declaration.name, [...(known.get(declaration.name) ?? []), declaration]);
    }
  }
  const needed = neededBy(names, known);
  const listed = names.toSorted((a, b) => (a < b ? -1 : 1));
  return `${needed.map(({ text }) => text).join("\n\n")}\n\nexport { ${listed.join(", ")} };\n`;
}

function exportsOf(text: string): { readonly names: readonly string[]; readonly files: readonly string[] } {
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from "\.\/([^"]+)\.ts";$/gm)];
  const names = lists.flatMap(([, list = ""]) => list.split(",").map((name) => name.replace("type ", "").trim()));
  const odd = names.find((name) => !/^\w+$/.test(name));
  if (odd !== undefined) throw new Error(`the export "${odd}" of the package has to be a name`);
  return { names, files: lists.map(([, , file]) => `${file}.d.ts`) };
}

/** The files and those that they import, each once. */
function reachableFrom(folder: string, files: readonly string[]): ReadonlySet<string> {
  const reached = new Set(files);
  for (const file of reached) {
    const imports = readFileSync(join(folder, file), "utf8").matchAll(/ from "(\.[^"]+)\.ts";$/gm);
    for (const [, path = ""] of imports) reached.add(join(file, "..", `${path}.d.ts`));
  }
  return reached;
}

/** A declaration of the compiler's ends with the first line that stands at the margin and closes it. */
function declarationsOf(text: string): readonly Declaration[] {
  const found: Declaration[] = [];
  let lines: string[] = [];
  for (const line of text.split("\n")) {
    lines.push(line);
    if (!/^(?:\S.*;|\})$/.test(line)) continue;
    const whole = lines.join("\n").trim();
    lines = [];
    const name = /^(?:export )?(?:declare )?(?:abstract )?(?:type|interface|class|function|const) (\w+)/m.exec(
      whole,
    )?.[1];
    if (name !== undefined) found.push({ name, text: whole.replace(/^export /m, "") });
  }
  return found;
}

/** What the names need, and what that needs in turn, in the order in which it is met. */
function neededBy(
  names: readonly string[],
  known: ReadonlyMap<string, readonly Declaration[]>,
): readonly Declaration[] {
  const needed = new Map<string, Declaration>();
  const open = new Set(names);
  for (const name of open) {
    const [declaration, other] = known.get(name) ?? [];
    if (declaration === undefined) throw new Error(`the package exports ${name}, which is declared nowhere`);
    if (other !== undefined) throw new Error(`the types of the package have the name ${name} twice`);
    needed.set(name, declaration);
    const words = declaration.text.replace(/\/\*[\s\S]*?\*\//g, "").match(/\b\w+\b/g) ?? [];
    for (const word of words) if (known.has(word)) open.add(word);
  }
  return [...needed.values()];
}
