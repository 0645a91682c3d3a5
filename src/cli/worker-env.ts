// npm run worker:env -- ENDPOINT [--options]: a fresh key for workers, in the environment of a RunPod worker image.
import { RATE_KINDS } from "../core/job/pricing.ts";
import { type Fields, fieldsOf, textOf } from "../core/json/value.ts";
import { FORMATS } from "../core/manage/worker-forms.ts";
import { type Api, part } from "./api.ts";
import { type CommandCall, command, type Shown } from "./commands/command.ts";
import { ENDPOINT, SLOTS } from "./commands/options.ts";
import { notesOf, rowsOf } from "./commands/show.ts";
import { helpOfOne } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { readArguments } from "./read-options.ts";
import { COMMON_OPTIONS, FORMER_OPTIONS, runCommand } from "./run-command.ts";
import { endWith, WrongUse } from "./wrong-use.ts";

const PROGRAM = "npm run worker:env";

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

/** The endpoint is typed without the name of its option. */
const { endpoint: _endpoint, ...TYPED } = OPTIONS;

const WORKER_ENV = command({
  words: "worker:env",
  summary:
    "make a key for workers of an endpoint, and print the environment by which an unmodified RunPod worker fetches its jobs here",
  options: OPTIONS,
  notes: [
    "The key is in it and is not shown again. Use npm run --silent with --format, so that a file holds the form alone.",
    "To end a key: npm run admin -- worker-key revoke --endpoint ENDPOINT --id ID, the second part of the key (wb_live_ID_…).",
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

async function main(): Promise<void> {
  const specs = { ...FORMER_OPTIONS, ...COMMON_OPTIONS, ...OPTIONS };
  refuseSwallowed(PROGRAM, Object.keys(specs));
  const { words, given } = readArguments(specs);
  if (given.help === true || (words.length === 0 && given.endpoint === undefined))
    return console.log(helpOfOne(`${PROGRAM} -- ENDPOINT`, { ...WORKER_ENV, options: TYPED }, COMMON_OPTIONS));
  const named = [...words, ...(typeof given.endpoint === "string" ? [given.endpoint] : [])];
  if (named.length > 1) throw new WrongUse(`one endpoint at a time, not ${named.join(" and ")}`);
  await runCommand(WORKER_ENV, { ...given, endpoint: named[0] });
}

main().catch(endWith);
