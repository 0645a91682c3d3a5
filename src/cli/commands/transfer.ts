// Takes a deployment with you: its export, and the import that makes another one of it.
import { readFileSync } from "node:fs";
import { importDeployment, parseExport } from "../import.ts";
import { writePrivate } from "../private-file.ts";
import { type Command, command } from "./command.ts";
import { REMOTE, SECRETS_NOTE, withDatabase } from "./database.ts";

const FILE = { type: "text", value: "FILE", required: true } as const;

export const TRANSFER_COMMANDS: readonly Command[] = [
  command({
    words: "export",
    summary: "write a deployment's settings, keys as digests, usage and audit into a file",
    options: {
      file: { ...FILE, about: "the file, which you alone may read" },
      tenant: { type: "text", value: "ID", about: "this tenant alone", names: "tenant" },
    },
    notes: [
      "Jobs and payloads are not in it. Its secrets are sealed: they open with the deployment's ENCRYPTION_KEY alone.",
    ],
    run: async ({ api, options: { file, tenant } }) => {
      const text = await (await api()).text("/v1/admin/export", { tenant });
      const { rows } = parseExport(text);
      writePrivate(file, text);
      return { json: { file, rows: rows.length }, lines: [`${rows.length} rows are in ${file}.`] };
    },
  }),
  command({
    words: "import",
    summary: "make a deployment of an export, in place of setup",
    options: { file: { ...FILE, about: "what export has written" }, remote: REMOTE },
    notes: [
      "Writes the database directly, which must be empty and of the same release. No broker may run on a local one meanwhile.",
      "One that ends in the middle is run again with the same file, and goes on. Until it has ended, the deployment answers every key with 503.",
      SECRETS_NOTE,
    ],
    run: async ({ options: { file, remote }, state }) => {
      const read = parseExport(readFileSync(file, "utf8"));
      const { counts, wasBegun, wasThere } = await withDatabase({ remote, state }, (context) =>
        importDeployment({ ...context, isRemote: remote }, read),
      );
      const lines = Object.entries(counts).map(([table, count]) => `${table}: ${count}`);
      if (wasThere) return { json: counts, lines, notes: ["All of it is there already: nothing was written."] };
      const works = "The keys of the deployment that was exported work here, too.";
      return { json: counts, lines, notes: wasBegun ? ["It went on where an earlier run had ended.", works] : [works] };
    },
  }),
];
