// npm run admin -- setup: makes what nobody can make by HTTP, because that takes a key.
import { keepFirst } from "../first-file.ts";
import { initDeployment } from "../init.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";
import { REMOTE, SECRETS_NOTE, withDatabase } from "./database.ts";

const OPTIONS = {
  name: { type: "text", value: "NAME", about: "of the tenant (First tenant)" },
  remote: REMOTE,
} as const;

export const SETUP_COMMAND: Command = command({
  words: "setup",
  summary: "make the first tenant and the first admin key, and print them",
  options: OPTIONS,
  notes: [
    "Writes the database directly, once: with the key all else is made by HTTP. npm start does the same by itself.",
    SECRETS_NOTE,
  ],
  run: setUp,
});

async function setUp({ options, state }: CommandCall<typeof OPTIONS>): Promise<Shown> {
  const { name = "First tenant", remote } = options;
  return withDatabase({ remote, state }, async (context) => {
    const made = await initDeployment(context, name);
    const isKept = !remote && keepFirst(state, context.secrets, made);
    return {
      json: made,
      lines: Object.entries(made).map(([fact, value]) => `${fact}: ${value}`),
      notes: [
        isKept
          ? `Kept in ${state} for the commands of the local broker. Elsewhere it is not shown again.`
          : "Keep it now: it is not shown again. The other commands read the key from WAYBILL_KEY, or ask for it.",
      ],
      isSecret: true,
    };
  });
}
