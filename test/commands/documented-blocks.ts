// The blocks of commands of a document, cut out of its text and typed in a project whose wrangler is the fake.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import type { DeployProject } from "./deploy-project.ts";

export interface Typing {
  /** What is typed into a command that asks. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What stands in place of words of the document, such as TENANT. */
  readonly words?: Readonly<Record<string, string>>;
}

/** The blocks of commands, by the headings over them. */
export function commandsOf(file: string): Map<string, string[]> {
  const text = readFileSync(join(PROJECT_FOLDER, file), "utf8");
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => [
      section.split("\n")[0] ?? "",
      [...section.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, code = ""]) => code),
    ]),
  );
}

/** Types blocks, and knows which ones. */
export class DocumentedBlocks {
  readonly #project: () => DeployProject;
  readonly #file: string;
  readonly #sections: Map<string, string[]>;
  readonly #typed = new Set<string>();

  constructor(project: () => DeployProject, file: string) {
    this.#project = project;
    this.#file = file;
    this.#sections = commandsOf(file);
  }

  /** Types a block as a person does, who stops where a line fails. What is left open in an `export` comes from `env`. */
  async type(section: string, index: number, { input = "", env = {}, words = {} }: Typing = {}): Promise<string> {
    this.#typed.add(`${section} ${index}`);
    const code = this.#sections.get(section)?.[index];
    if (code === undefined) throw new Error(`${this.#file} has no such commands: ${section} ${index}`);
    const plain = code
      .replace("CLOUDFLARE_ACCOUNT_ID=…", "CLOUDFLARE_ACCOUNT_ID=a1")
      .replace(/^export (?:\w+=….*|WAYBILL_URL=.*)\n/m, "");
    const filled = Object.entries(words).reduce((text, [word, value]) => text.replaceAll(word, value), plain);
    const { code: exit, stdout, stderr } = await this.#project().shell(`set -e\n${filled}`, { input, env });
    expect(exit, `${code}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  }

  /** Every block of the sections that are asked for was typed. */
  expectTyped(isAsked: (section: string) => boolean): void {
    const asked = [...this.#sections].filter(([section]) => isAsked(section));
    const all = asked.flatMap(([section, blocks]) => blocks.map((_block, index) => `${section} ${index}`));
    expect(all.length).toBeGreaterThan(0);
    expect([...this.#typed].sort()).toEqual(all.sort());
  }
}

/** The section of docs/deploy.md that takes a second deployment: test/commands/move.test.ts types it. */
export const MOVE_SECTION = "Move to another account, or keep a copy";
