// npm run worker:env -- <endpoint> [--options]: a fresh key for workers, in the environment of a RunPod worker image.

import { parseArgs } from "node:util";
import { messageOf } from "../core/failure.ts";
import { checkBase as asBase, FORMATS, inForm, type WorkerPlace } from "../core/manage/worker-forms.ts";
import { createWorkerKey } from "./admin-create.ts";
import { findPlace } from "./admin-find.ts";
import { chooseDatabase, DATABASE_OPTIONS, oneOf, stateFolderOf, wholeNumber } from "./admin-options.ts";
import { portOfState } from "./dev-lock.ts";
import { BROKER_PORT } from "./dev-ports.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { makeOutputPrivate } from "./private-file.ts";
import { pushSettings } from "./push-settings.ts";

const HELP = `npm run worker:env -- ENDPOINT --tier TIER [--base URL] [--rate flex|active] [--slots N] [--gpu NAME] [--name NAME]
                              [--format docker|sh|fields]

Makes a key for workers of the endpoint (its id or slug) and prints the environment that an unmodified RunPod worker needs
to fetch its jobs here. The key is in it and is not shown again.

--base URL: where workers reach the broker; for a local one that of npm start, and needed with --remote.
--tier TIER, --rate flex|active (flex): what a second of work costs, whatever the worker says of itself.
--slots N: how many jobs one worker of this key runs at once (1): raise it for a handler with a concurrency_modifier.
           The price of a job is divided by it.
--gpu NAME: what the worker calls its GPU (the tier). --name NAME: what npm run admin -- list shows (worker).
--format docker|sh|fields: this form alone, so that it can go into a file; use npm run --silent for that.

--local (default) or --remote: which database. --state DIR: the folder of a local one (.waybill/dev).
--broker URL: tell a running deployment now, with a key of the scope admin; else it learns of the key by its first call.
Secrets are never arguments, which others can see: WAYBILL_PEPPER, WAYBILL_ENCRYPTION_KEY (or .dev.vars for a local
database) and WAYBILL_KEY (--broker) in the environment, or you are asked.
To end a key: npm run admin -- key revoke --id ID, the second part of the key (wb_live_ID_…).`;

const OPTIONS = {
  help: { type: "boolean" },
  ...DATABASE_OPTIONS,
  base: { type: "string" },
  tier: { type: "string" },
  rate: { type: "string", default: "flex" },
  slots: { type: "string", default: "1" },
  gpu: { type: "string" },
  name: { type: "string", default: "worker" },
  format: { type: "string" },
  broker: { type: "string" },
} as const;

const NO_PULLING = "its workers do not pull; add each as an upstream, by npm run admin -- upstream add --dialect http";

/** The heading of each form when all are shown. */
const HEADINGS = {
  docker: "docker: save these lines as worker.env",
  sh: "sh: save these lines as worker.sh",
  fields: "fields: type these into your provider's form",
} as const;

/** The broker's address without a slash at its end. */
function checkBase(base: string | undefined, remote: boolean, stateFolder: string): string {
  if (base === undefined && remote) throw new Error("--base is missing: the public URL of the deployment");
  const checked = asBase(base ?? `http://127.0.0.1:${portOfState(stateFolder) ?? BROKER_PORT}`, !remote);
  if (!checked.ok) throw new Error(`--base ${checked.problem}`);
  return checked.base;
}

/** The tier, if it has a price. Only the database has the list of those that do. */
function checkTier(tier: string | undefined, tiers: readonly string[]): string {
  if (tier === undefined || tier === "")
    throw new Error(`--tier is missing, which sets the price: ${tiers.join(", ")}`);
  if (!tiers.includes(tier)) throw new Error(`there is no tier ${tier}; there are ${tiers.join(", ")}`);
  return tier;
}

async function main(): Promise<void> {
  refuseSwallowed("npm run worker:env", Object.keys(OPTIONS));
  const { values: options, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  if (options.help === true || positionals.length === 0) {
    console.log(HELP);
    return;
  }
  const [named = ""] = positionals;
  if (positionals.length > 1) throw new Error(`one endpoint at a time, not ${positionals.join(" and ")}`);
  const base = checkBase(options.base, options.remote === true, stateFolderOf(options));
  const rateKind = oneOf("rate", options.rate, ["flex", "active"]);
  const slots = wholeNumber("slots", options.slots, 1, 1_000);
  const format = options.format === undefined ? null : oneOf("format", options.format, FORMATS);
  const database = chooseDatabase(options);
  const { endpointId, kind, tiers } = await findPlace(database.execute, named);
  if (endpointId === null) throw new Error(`there is no endpoint with the id or slug ${named}`);
  if (kind === "load_balancer") throw new Error(`${named} is load-balanced: ${NO_PULLING}`);
  const tier = checkTier(options.tier, tiers);
  const context = { execute: database.execute, secrets: await database.secrets() };
  const { key } = await createWorkerKey(context, { endpointId, tier, rateKind, slots, name: options.name });
  show({ base, endpointId, key, gpu: options.gpu ?? tier }, format);
  if (options.broker !== undefined) await pushSettings(endpointId, options.broker);
}

/** Prints one form, with its hint on another stream so that a file holds the form alone; or all forms, to be read. */
function show(place: WorkerPlace, format: (typeof FORMATS)[number] | null): void {
  makeOutputPrivate();
  if (format !== null) {
    const { lines, hint } = inForm(format, place);
    console.log(lines.join("\n"));
    console.error(hint);
    return;
  }
  for (const each of FORMATS) {
    const { lines, hint } = inForm(each, place);
    console.log([`== ${HEADINGS[each]}`, "", ...lines, "", hint, ""].join("\n"));
  }
}

/** Replaces the error of an earlier release's database by one that states what to do. */
function explain(error: unknown): string {
  const message = messageOf(error);
  if (!/has no column named|no such (table|column)/.test(message)) return message;
  return "the database is of an earlier release: npm start brings a local one up to date, npx wrangler d1 migrations apply waybill --remote the deployed one";
}

main().catch((error: unknown) => {
  console.error(explain(error));
  process.exitCode = 1;
});
