// npm run admin -- <what> <do> [--options]: the first tenant, key, endpoint and upstream of a deployment.

import { parseArgs } from "node:util";
import { addressProblem } from "../core/access/address-secrets.ts";
import { messageOf } from "../core/failure.ts";
import { SECRET_MIN_CHARS } from "../core/limits.ts";
import { INFERENCE } from "../core/openai/routes.ts";
import { deleteUpstream, updateEnabled } from "../db/upstreams.ts";
import { checkUrl } from "../outbound/guard.ts";
import * as change from "./admin-change.ts";
import * as create from "./admin-create.ts";
import { listAll } from "./admin-find.ts";
import { chooseDatabase, DATABASE_OPTIONS, oneOf, optionalNumber, wholeNumber } from "./admin-options.ts";
import { readSecret } from "./admin-secrets.ts";
import { readReach } from "./deployment.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { makeOutputPrivate } from "./private-file.ts";
import { pushSettings } from "./push-settings.ts";

const HELP = `npm run admin -- tenant create --name NAME [--waiting-max N]
npm run admin -- tenant set --tenant ID --waiting-max N
npm run admin -- key create --tenant ID [--scopes jobs,manage,admin] [--name NAME]
npm run admin -- key revoke --id ID
npm run admin -- endpoint create --tenant ID --slug SLUG [--name NAME] [--shared] [--max-attempts N]
                              [--kind queue|load_balancer] [--body-max-mib N] [--openai-routes LIST]
                              [--tenant-share PERCENT]
npm run admin -- endpoint set --endpoint ID [--shared|--private] [--openai-routes LIST] [--tenant-share PERCENT]
npm run admin -- upstream add --endpoint ID --url URL --dialect runpod|http|openai [--local-server] --slots N --tier TIER
                              [--rate flex|active] [--with-credential]
npm run admin -- upstream remove|disable|enable --upstream ID
npm run admin -- list
npm run worker:env -- --help    keys of workers, which belong to an endpoint

LIST: which routes of an OpenAI server clients reach: "inference" (chat, embeddings and the like, the default), with more, such
as "inference,GET /v1/files/*", or "all" for an endpoint that is not shared.
--local (default) or --remote: which database. --state DIR: the folder of a local one (.waybill/dev).
--broker URL: tell a running deployment at once, with a key of the scope admin; else its cron does within 5 min.
Secrets are never arguments, which others can see: WAYBILL_PEPPER, WAYBILL_ENCRYPTION_KEY (or .dev.vars for a local
database), WAYBILL_CREDENTIAL (--with-credential) and WAYBILL_KEY (--broker) in the environment, or you are asked.
--json: print the answer as JSON.`;

const OPTIONS = {
  help: { type: "boolean" },
  json: { type: "boolean" },
  ...DATABASE_OPTIONS,
  url: { type: "string" },
  id: { type: "string" },
  broker: { type: "string" },
  name: { type: "string" },
  tenant: { type: "string" },
  endpoint: { type: "string" },
  upstream: { type: "string" },
  slug: { type: "string" },
  shared: { type: "boolean" },
  private: { type: "boolean" },
  "openai-routes": { type: "string" },
  scopes: { type: "string", default: "jobs" },
  "waiting-max": { type: "string" },
  "max-attempts": { type: "string" },
  kind: { type: "string", default: "queue" },
  "body-max-mib": { type: "string" },
  "tenant-share": { type: "string" },
  dialect: { type: "string" },
  "local-server": { type: "boolean" },
  slots: { type: "string", default: "1" },
  tier: { type: "string" },
  rate: { type: "string", default: "flex" },
  "with-credential": { type: "boolean" },
} as const;

const { values: options, positionals } = readArguments();

/** An unknown option, or one that npm has taken, ends the command with one sentence, not with a stack. */
function readArguments() {
  try {
    refuseSwallowed("npm run admin", Object.keys(OPTIONS));
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    console.error(messageOf(error));
    process.exit(1);
  }
}

type TextOption = "id" | "name" | "tenant" | "endpoint" | "upstream" | "slug" | "dialect" | "tier" | "url";

function need(name: TextOption): string {
  const value = options[name];
  if (value === undefined || value === "") throw new Error(`--${name} is missing`);
  return value;
}

async function makeContext(): Promise<create.AdminContext> {
  const database = chooseDatabase(options);
  return { secrets: await database.secrets(), execute: database.execute };
}

async function addUpstream(context: create.AdminContext): Promise<object> {
  const endpointId = need("endpoint");
  // The guard of each send checks the URL here too: an address that it refuses would only make every job wait.
  const url = checkUrl(need("url"), readReach(options.remote === true));
  if (!url.ok) throw new Error(`--url ${url.message}`);
  const credential = options["with-credential"] === true ? await readSecret("WAYBILL_CREDENTIAL", "credential") : null;
  const problem = addressProblem(need("url"), credential);
  if (problem !== null) throw new Error(`--url ${problem}: --with-credential takes it, and seals it`);
  if (credential !== null && credential.length < SECRET_MIN_CHARS) {
    console.error(
      `A credential of under ${SECRET_MIN_CHARS} characters is not looked for in what the upstream answers: clients may see it.`,
    );
  }
  return create.addUpstream(context, {
    endpointId,
    url: need("url"),
    dialect: oneOf("dialect", need("dialect"), ["runpod", "http", "openai"]),
    local: options["local-server"] === true,
    slots: wholeNumber("slots", options.slots, 1, 1_000),
    tier: need("tier"),
    rateKind: oneOf("rate", options.rate, ["flex", "active"]),
    credential,
  });
}

async function changeEndpoint({ execute }: create.AdminContext): Promise<object> {
  const { shared, private: isPrivate } = options;
  if (shared === true && isPrivate === true) throw new Error("--shared or --private, not both");
  const wanted = {
    shared: isPrivate === true ? false : shared,
    openaiRoutes: options["openai-routes"],
    tenantSharePercent: chosenShare(),
  };
  if (Object.values(wanted).every((value) => value === undefined))
    throw new Error("--shared, --private, --openai-routes or --tenant-share is missing");
  return change.setEndpoint(execute, need("endpoint"), wanted);
}

function chosenShare(): number | undefined {
  return optionalNumber("tenant-share", options["tenant-share"], 1, 100);
}

async function createEndpoint(context: create.AdminContext): Promise<object> {
  const { shared, name, "openai-routes": openaiRoutes } = options;
  change.checkRoutes(openaiRoutes ?? INFERENCE, shared === true);
  const kind = oneOf("kind", options.kind, ["queue", "load_balancer"]);
  const mebibytes = optionalNumber("body-max-mib", options["body-max-mib"], 1, 100);
  return create.createEndpoint(context, {
    tenantId: need("tenant"),
    slug: need("slug"),
    name,
    shared,
    openaiRoutes,
    kind,
    maxAttempts: optionalNumber("max-attempts", options["max-attempts"], 1, 100),
    bodyMaxBytes: mebibytes === undefined ? undefined : mebibytes * MIB,
    tenantSharePercent: chosenShare(),
  });
}

const DONE = { ok: true };
const MIB = 1024 * 1024;
const TENANT_SCOPES = ["jobs", "manage", "admin"] as const;

async function run(command: string): Promise<object> {
  const context = await makeContext();
  const { execute } = context;
  const waitingMax = optionalNumber("waiting-max", options["waiting-max"], 0, 200_000);
  switch (command) {
    case "tenant create":
      return create.createTenant(context, { name: need("name"), waitingMax });
    case "tenant set":
      if (waitingMax === undefined) throw new Error("--waiting-max is missing");
      await change.setWaitingMax(execute, need("tenant"), waitingMax);
      return DONE;
    case "key create": {
      const words = options.scopes.split(",");
      if (words.includes("worker"))
        throw new Error("a key of the scope worker belongs to an endpoint: make it with npm run worker:env");
      const scopes = words.map((scope) => oneOf("scopes", scope, TENANT_SCOPES));
      return create.createKey(context, { tenantId: need("tenant"), scopes, name: options.name ?? "key" });
    }
    case "key revoke":
      return (await change.revokeKey(execute, need("id"))) ?? DONE;
    case "endpoint set":
      return changeEndpoint(context);
    case "endpoint create":
      return createEndpoint(context);
    case "upstream add":
      return addUpstream(context);
    case "upstream remove":
      return change.changeUpstream(execute, need("upstream"), deleteUpstream);
    case "upstream disable":
      return change.changeUpstream(execute, need("upstream"), (id) => updateEnabled(id, false));
    case "upstream enable":
      return change.changeUpstream(execute, need("upstream"), (id) => updateEnabled(id, true));
    case "list":
      return listAll(execute);
    default:
      throw new Error(`unknown command "${command}"\n\n${HELP}`);
  }
}

async function main(): Promise<void> {
  if (options.help === true || positionals.length === 0) {
    console.log(HELP);
    return;
  }
  const command = positionals.join(" ");
  const answer = await run(command);
  show(answer);
  const endpointId = changedEndpoint(command, answer);
  if (endpointId !== null) await pushSettings(endpointId, options.broker);
}

/** The endpoint whose broker must learn of the change; null when the command changed no broker's settings. */
function changedEndpoint(command: string, answer: object): string | null {
  if (!/^(?:upstream |endpoint set$|key revoke$)/.test(command)) return null;
  if ("endpointId" in answer && typeof answer.endpointId === "string") return answer.endpointId;
  return command === "upstream add" ? need("endpoint") : null;
}

/** Prints one fact a line for people; secrets are among them, and no command can show these again. */
function show(answer: object): void {
  const facts = Object.entries(answer);
  const hasSecret = "key" in answer || "webhookSecret" in answer;
  if (hasSecret) makeOutputPrivate();
  if (options.json === true || facts.some(([, value]) => typeof value === "object")) {
    console.log(JSON.stringify(answer, null, 2));
    return;
  }
  for (const [name, value] of facts) console.log(`${name}: ${value}`);
  if (hasSecret) console.error("Keep it now: it is not shown again.");
}

/** Replaces D1's message about a missing row that another one refers to by one in the terms of the command. */
function explain(error: unknown): string {
  const message = messageOf(error);
  if (!message.includes("FOREIGN KEY constraint failed")) return message;
  if (options.endpoint === undefined) return `there is no tenant ${options.tenant}`;
  return `there is no endpoint with the id ${options.endpoint} (a slug is no id), or no tier ${options.tier}`;
}

main().catch((error: unknown) => {
  console.error(explain(error));
  process.exitCode = 1;
});
