// The bill, line by line.
import { type Fields, textOf } from "../../core/json/value.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, command } from "./command.ts";
import { LISTED } from "./options.ts";
import { showPage, timeOf } from "./show.ts";

export const USAGE_COMMANDS: readonly Command[] = [
  command({
    words: "usage",
    summary: "list the lines of the bill, newest job first, and their sum",
    options: {
      endpoint: { type: "text", value: "ENDPOINT", about: "of this endpoint alone, by id or slug", names: "endpoint" },
      job: { type: "text", value: "ID", about: "of this job alone" },
      from: { type: "text", value: "TIME", about: "of what ended at this time or later" },
      to: { type: "text", value: "TIME", about: "of what ended before this time" },
      limit: LISTED.limit,
      cursor: LISTED.cursor,
    },
    positional: "endpoint",
    run: async ({ api, options: { from, to, ...query } }) => {
      const times = { from: readTime("--from", from), to: readTime("--to", to) };
      const answer = await (await api()).get("/v1/usage", { ...query, ...times });
      const shown = showPage(answer, "lines", COLUMNS);
      const total = textOf(answer, "totalDollars");
      return total === "" ? shown : { ...shown, lines: [...shown.lines, "", `Sum of all that match: $${total}`] };
    },
  }),
];

/** Milliseconds since 1970. */
function readTime(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new WrongUse(`${option} must be a time such as 2027-01-31T00:00:00Z`);
  return ms;
}

const COLUMNS = {
  JOB: "jobId",
  ATTEMPT: "attempt",
  ENDED: ({ finishedAt }: Fields) => timeOf(finishedAt),
  SECONDS: "seconds",
  TIER: "tier",
  RATE: "rateKind",
  DOLLARS: "amountDollars",
};
