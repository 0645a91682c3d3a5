// A fresh key for workers, in the environment of a RunPod worker image.
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { type Fields, fieldsOf, textOf } from "../../core/json/value.ts";
import { FORMATS } from "../../core/manage/worker-forms.ts";
import { type Api, part } from "../api.ts";
import { PROGRAM } from "../program.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";
import { ENDPOINT, SLOTS } from "./options.ts";
import { notesOf, rowsOf } from "./show.ts";

const OPTIONS = {
  ...ENDPOINT,
  tier: {
    type: "text",
    value: "TIER",
    about: "what a second of work costs, whatever the worker says of itself",
    field: "tier",
  },
  rate: { type: "text", value: "RATE", choices: RATE_KINDS, about: "flex or active (flex)", field: "rateKind" },
  slots: {
    ...SLOTS,
    about:
      "jobs that one worker of this key runs at once (1), by which the price is divided: for a concurrency_modifier",
  },
  gpu: { type: "text", value: "NAME", about: "what the worker calls its GPU (the tier)", field: "gpu" },
  name: { type: "text", value: "NAME", about: "of the key, for people (worker)", field: "name" },
  base: {
    type: "text",
    value: "URL",
    about: "where workers reach the broker (where this command reaches it)",
    field: "base",
  },
  format: {
    type: "text",
    value: "FORM",
    choices: FORMATS,
    about: "docker, sh or fields alone, so that it can go into a file",
  },
} as const;

export const WORKER_ENV_COMMAND: Command = command({
  words: "worker-env",
  summary:
    "make a key for workers of an endpoint, and print the environment by which an unmodified RunPod worker fetches its jobs here",
  options: OPTIONS,
  positional: "endpoint",
  notes: [
    "The key is in it and is not shown again. Into a file it goes with --format (and npm run --silent), so that the file holds the form alone.",
    `To end a key: ${PROGRAM} worker-key revoke --endpoint ENDPOINT --id ID, the second part of the key (wb_live_ID_…).`,
  ],
  run: makeEnvironment,
});

async function makeEnvironment({ api, options, body }: CommandCall<typeof OPTIONS>): Promise<Shown> {
  const { endpoint, tier, format } = options;
  const broker = await api();
  if (tier === undefined) throw new WrongUse(`--tier is missing, which sets the price: ${await tiersOf(broker)}`);
  // Where this command reaches the broker its workers do, too, unless they are told otherwise.
  const wanted = { base: broker.base, ...body };
  const answer = await broker.send("POST", `/v1/endpoints/${part(endpoint)}/worker-env`, wanted);
  return { json: answer, ...inForms(answer, format), isSecret: true };
}

async function tiersOf(api: Api): Promise<string> {
  return rowsOf(await api.get("/v1/gpu-types"), "gpuTypes")
    .map((row) => textOf(row, "id"))
    .join(", ");
}

/** One form, with its hint on another stream so that a file holds the form alone; or all forms, to be read. */
function inForms(answer: Fields, format: (typeof FORMATS)[number] | undefined): Pick<Shown, "lines" | "notes"> {
  const notes = notesOf(answer);
  const inForm = (name: string) => {
    const form = fieldsOf(fieldsOf(answer.forms)?.[name]);
    return { lines: Array.isArray(form?.lines) ? form.lines.map(String) : [], hint: textOf(form, "hint") };
  };
  if (format !== undefined) {
    const { lines, hint } = inForm(format);
    return { lines, notes: [hint, ...notes] };
  }
  const all = FORMATS.flatMap((each) => {
    const { lines, hint } = inForm(each);
    return [`== ${HEADINGS[each]}`, "", ...lines, "", hint, ""];
  });
  return { lines: all, notes };
}

/** The heading of each form when all are shown. */
const HEADINGS = {
  docker: "docker: save these lines as worker.env",
  sh: "sh: save these lines as worker.sh",
  fields: "fields: type these into your provider's form",
} as const;
