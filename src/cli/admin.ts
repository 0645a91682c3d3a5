// npm run admin -- <what> <do> [--options]: the first tenant, key, endpoint and upstream of a deployment.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs, promisify } from "node:util";
import * as book from "./admin-book.ts";
import { PROJECT_FOLDER, wranglerCommand } from "./dev-database.ts";

const HELP = `npm run admin -- tenant create --name NAME [--waiting-max N]
npm run admin -- tenant set --tenant ID --waiting-max N
npm run admin -- key create --tenant ID [--scopes jobs,worker,manage,admin] [--name NAME]
npm run admin -- endpoint create --tenant ID --slug SLUG [--shared] [--max-attempts N]
npm run admin -- upstream add --endpoint ID --url URL --dialect runpod|http [--local-server] --slots N --tier TIER
                              [--rate flex|active] [--credential KEY]
npm run admin -- upstream remove --upstream ID
npm run admin -- list

--local (default) or --remote: which database. --persist-to DIR: the folder of a local one (.waybill/dev).
--broker URL --key KEY: tell a running deployment at once (needs a key with the scope admin); else its cron does within 5 min.
Pepper and encryption key: WAYBILL_PEPPER and WAYBILL_ENCRYPTION_KEY, or .dev.vars for a local one, or you are asked.`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean" },
    local: { type: "boolean" },
    remote: { type: "boolean" },
    "persist-to": { type: "string", default: join(PROJECT_FOLDER, ".waybill", "dev") },
    url: { type: "string" },
    key: { type: "string" },
    broker: { type: "string" },
    name: { type: "string" },
    tenant: { type: "string" },
    endpoint: { type: "string" },
    upstream: { type: "string" },
    slug: { type: "string" },
    shared: { type: "boolean" },
    scopes: { type: "string", default: "jobs" },
    "waiting-max": { type: "string" },
    "max-attempts": { type: "string" },
    dialect: { type: "string" },
    "local-server": { type: "boolean" },
    slots: { type: "string", default: "1" },
    tier: { type: "string" },
    rate: { type: "string", default: "flex" },
    credential: { type: "string" },
  },
});

type TextOption = "name" | "tenant" | "endpoint" | "upstream" | "slug" | "dialect" | "tier" | "url";

function need(name: TextOption): string {
  const value = options[name];
  if (value === undefined || value === "") throw new Error(`--${name} is missing`);
  return value;
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new Error(`--${name} must be one of ${allowed.join(", ")}`);
  return found;
}

function wholeNumber(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new Error(`--${name} must be a whole number from ${min} to ${max}`);
}

/** One secret: from the environment, from .dev.vars when the database is local, or typed in. */
async function readSecret(environment: string, devName: string, question: string): Promise<string> {
  const given = process.env[environment];
  if (given !== undefined && given !== "") return given;
  const devVars = join(PROJECT_FOLDER, ".dev.vars");
  if (options.remote !== true && existsSync(devVars)) {
    const line = new RegExp(`^${devName}="?([^"\\n]*)"?$`, "m").exec(readFileSync(devVars, "utf8"));
    if (line?.[1] !== undefined) return line[1];
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question(`${question}: `);
  prompt.close();
  if (answer === "") throw new Error(`${environment} is not set`);
  return answer;
}

async function execute(sql: string): Promise<unknown[][]> {
  const file = join(tmpdir(), `waybill-admin-${process.pid}.sql`);
  // The text may hold sealed secrets, and arguments are visible to every process of the machine.
  writeFileSync(file, sql, { mode: 0o600 });
  const place = options.remote === true ? ["--remote"] : ["--local", "--persist-to", options["persist-to"]];
  const command = wranglerCommand(["d1", "execute", "waybill", "--json", "--yes", "--file", file, ...place]);
  try {
    const { stdout } = await promisify(execFile)(command.file, command.args, { cwd: PROJECT_FOLDER });
    const results: { results?: unknown[] }[] = JSON.parse(stdout.slice(stdout.indexOf("[")));
    return results.map((result) => result.results ?? []);
  } finally {
    rmSync(file, { force: true });
  }
}

async function makeContext(): Promise<book.AdminContext> {
  const pepper = await readSecret("WAYBILL_PEPPER", "PEPPER", "Pepper");
  const encryptionKey = await readSecret("WAYBILL_ENCRYPTION_KEY", "ENCRYPTION_KEY", "Encryption key");
  return { secrets: { pepper, encryptionKey }, execute };
}

/** Tells the running deployment about an endpoint, if we know where it is. */
async function configure(endpointId: string): Promise<void> {
  if (options.broker === undefined || options.key === undefined) return;
  const response = await fetch(new URL("/v1/admin/configure", options.broker), {
    method: "POST",
    headers: { authorization: `Bearer ${options.key}`, "content-type": "application/json" },
    body: JSON.stringify({ endpointId }),
  });
  if (!response.ok)
    throw new Error(`${options.broker} answered ${response.status} to configure: ${await response.text()}`);
}

async function addUpstream(context: book.AdminContext): Promise<unknown> {
  const endpointId = need("endpoint");
  const made = await book.addUpstream(context, {
    endpointId,
    url: need("url"),
    dialect: oneOf("dialect", need("dialect"), ["runpod", "http"]),
    local: options["local-server"] === true,
    slots: wholeNumber("slots", options.slots, 1, 1_000),
    tier: need("tier"),
    rateKind: oneOf("rate", options.rate, ["flex", "active"]),
    credential: options.credential ?? null,
  });
  return made;
}

async function run(command: string): Promise<unknown> {
  const context = await makeContext();
  const waitingMax = options["waiting-max"];
  const limit = waitingMax === undefined ? {} : { waitingMax: wholeNumber("waiting-max", waitingMax, 0, 200_000) };
  const attempts = options["max-attempts"];
  switch (command) {
    case "tenant create":
      return book.createTenant(context, { name: need("name"), ...limit });
    case "tenant set":
      if (limit.waitingMax === undefined) throw new Error("--waiting-max is missing");
      return book.setWaitingMax(context, need("tenant"), limit.waitingMax);
    case "key create": {
      const scopes = options.scopes
        .split(",")
        .map((scope) => oneOf("scopes", scope, ["jobs", "worker", "manage", "admin"]));
      return book.createKey(context, { tenantId: need("tenant"), scopes, name: options.name ?? "key" });
    }
    case "endpoint create":
      return book.createEndpoint(context, {
        tenantId: need("tenant"),
        slug: need("slug"),
        shared: options.shared === true,
        ...(attempts === undefined ? {} : { maxAttempts: wholeNumber("max-attempts", attempts, 1, 100) }),
      });
    case "upstream add":
      return addUpstream(context);
    case "upstream remove":
      return book.removeUpstream(context, need("upstream"));
    case "list":
      return book.listAll(context);
    default:
      throw new Error(`unknown command "${command}"\n\n${HELP}`);
  }
}

async function main(): Promise<void> {
  if (options.help === true || positionals.length === 0) {
    console.log(HELP);
    return;
  }
  const answer = await run(positionals.join(" "));
  console.log(JSON.stringify(answer ?? { ok: true }, null, 2));
  if (options.endpoint !== undefined) await configure(options.endpoint);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
