// Each command in the documents: its words and options exist, and its values are ones that the command takes.
import { globSync, readFileSync } from "node:fs";

import { join } from "node:path";
import { expect, it } from "vitest";
import type { OptionSpecs } from "../../src/cli/commands/command.ts";
import { DEPLOYMENT_COMMANDS } from "../../src/cli/commands/deployment-table.ts";
import { COMMANDS as SHARED_COMMANDS } from "../../src/cli/commands/table.ts";
import { findCommand } from "../../src/cli/find-command.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { checkOptions, readArguments, refuseForeign } from "../../src/cli/read-options.ts";
import { COMMON_OPTIONS } from "../../src/cli/run-command.ts";

const COMMANDS = [...DEPLOYMENT_COMMANDS, ...SHARED_COMMANDS];

const documents = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].concat(
  globSync("{docs,examples}/**/*.md", { cwd: PROJECT_FOLDER, exclude: ["**/node_modules"] }),
);

/** What stands for a number in a document. */
const NUMBERS: Readonly<Record<string, string>> = { N: "1", S: "1" };

const commands = documents.flatMap((file) =>
  [
    ...readFileSync(join(PROJECT_FOLDER, file), "utf8").matchAll(
      /(?:npm run admin --|(?<!")\bwaybill) ([a-z][^`\n]*)/g,
    ),
  ].map(([, typed = ""]) => [file, typed.replace(/\s+[#>].*$/, "")] as const),
);

/** Of all commands, as the command line reads them before it has found out which one is meant. */
const EVERY_OPTION: OptionSpecs = Object.assign({}, ...COMMANDS.map(({ options }) => options), COMMON_OPTIONS);

/** As a shell takes a line apart, with the quotes that the documents use. */
function wordsOf(typed: string): string[] {
  return [...typed.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare = ""]) => double ?? single ?? bare,
  );
}

it.each(commands)("%s: %s", (_, typed) => {
  const words = wordsOf(typed).map((word) => NUMBERS[word] ?? word);
  const { command, given } = findCommand(COMMANDS, readArguments(EVERY_OPTION, words));
  refuseForeign(command, COMMON_OPTIONS, given);
  // A sentence may name a command alone; a line that is to be typed has all that it needs.
  if (Object.keys(given).length > 0) expect(() => checkOptions(command.options, given)).not.toThrow();
});

it("finds commands in the documents", () => {
  expect(new Set(commands.map(([file]) => file)).size).toBeGreaterThan(2);
});
