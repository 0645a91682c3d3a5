// A copy of the project whose wrangler is the fake: what is typed in it runs the same code as in the project itself.
import { type ChildProcess, execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { unstable_readConfig as readConfig } from "wrangler";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { toSqlText } from "../../src/cli/sql-text.ts";
import { StoredRows } from "../support/stored.ts";
import type { FakeAccount, FakeCall, FakeFailure } from "./fake-wrangler.ts";

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the Worker's address answers wrongly: an endpoint once, and that it is down for good. */
type HttpFailure = "down" | "endpoint before" | "endpoint after" | null;

export interface DeployProject {
  readonly folder: string;
  /** Where the fake keeps the account. */
  readonly accountFolder: string;
  readonly url: string;
  /** Empties the account and takes the project back to what a clone has. */
  reset(): void;
  /** npm run deploy with these words; `input`: what is typed into it. */
  deploy(words?: readonly string[], options?: { env?: Record<string, string>; input?: string }): Promise<Ended>;
  /** A line as it is typed in the project's folder. */
  shell(line: string, options?: { env?: Record<string, string>; input?: string }): Promise<Ended>;
  account(): FakeAccount;
  change(act: (account: FakeAccount) => void): void;
  failOnce(failure: FakeFailure): void;
  failHttp(failure: HttpFailure): void;
  /** Since the last call of this. */
  calls(): readonly FakeCall[];
  rows(sql: string): Record<string, unknown>[];
  execute(sql: string): void;
  toml(): string;
  stop(): void;
}

export async function startDeployProject(): Promise<DeployProject> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-test-"));
  const fake = join(folder, "account");
  const project = join(folder, "project");
  copyProject(project);
  let httpFailure: HttpFailure = null;
  const database = () => {
    const [id = ""] = Object.values(account().databases);
    return new DatabaseSync(join(fake, `${id}.sqlite`));
  };
  const account = (): FakeAccount => JSON.parse(readFileSync(join(fake, "state.json"), "utf8"));
  const takes = (failure: HttpFailure) => {
    if (httpFailure !== failure) return false;
    httpFailure = null;
    return true;
  };
  const server = createServer(async (request, response) => {
    const body = (await request.setEncoding("utf8").toArray()).join("");
    const answer = (status: number, value: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const { worker } = account();
    if (!worker?.versions.some(({ tag }) => tag !== null)) return answer(404, { message: "There is nothing here yet" });
    if (httpFailure === "down") return answer(500, { message: "a setting is wrong" });
    if (request.url === "/healthz") return answer(200, { ok: true });
    const key = (request.headers.authorization ?? "").replace("Bearer ", "");
    const digest = createHmac("sha256", worker.secrets.PEPPER ?? "")
      .update(key)
      .digest("hex");
    const open = database();
    try {
      const known = open.prepare("SELECT tenant_id FROM api_keys WHERE digest = ?").get(digest);
      if (known === undefined) return answer(401, { detail: "the key is not known" });
      if (takes("endpoint before")) return answer(503, { detail: "not now" });
      const rows = new StoredRows({ pepper: "", encryptionKey: "" });
      rows.endpoint({ tenantId: String(known.tenant_id), slug: JSON.parse(body).slug });
      open.exec(rows.statements.map(toSqlText).join("\n"));
      return takes("endpoint after") ? answer(503, { detail: "not now" }) : answer(201, { id: "ep" });
    } finally {
      open.close();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const environment = (env: Record<string, string> = {}) => ({
    ...{ PATH: process.env.PATH ?? "", HOME: folder, FAKE_WRANGLER: fake },
    // Each run starts thirty processes of the same code.
    ...{ NODE_COMPILE_CACHE: join(folder, "compiled"), ...env },
  });
  const shell: DeployProject["shell"] = (line, { env, input = "" } = {}) =>
    ended((done) => execFile("sh", ["-c", line], { cwd: project, env: environment(env) }, done), input);
  const clean = readFileSync(join(project, "wrangler.toml"), "utf8");
  const made: DeployProject = {
    folder: project,
    accountFolder: fake,
    url,
    reset() {
      httpFailure = null;
      rmSync(fake, { recursive: true, force: true });
      rmSync(join(project, ".waybill"), { recursive: true, force: true });
      writeFileSync(join(project, "wrangler.toml"), clean);
      mkdirSync(fake);
      const nothing: FakeAccount = {
        ...{ url, accounts: [{ id: "a1", name: "Acme" }] },
        ...{ databases: {}, buckets: {}, queues: {}, worker: null },
      };
      writeFileSync(join(fake, "state.json"), JSON.stringify(nothing));
    },
    deploy: (words = [], { env, input = "" } = {}) => {
      const args = ["src/cli/run-script.mjs", "src/cli/deploy.ts", ...words];
      return ended((done) => execFile(process.execPath, args, { cwd: project, env: environment(env) }, done), input);
    },
    shell,
    account,
    change(act) {
      const changed = account();
      act(changed);
      writeFileSync(join(fake, "state.json"), JSON.stringify(changed));
    },
    failOnce: (failure) => writeFileSync(join(fake, "failure.json"), JSON.stringify(failure)),
    failHttp: (failure) => {
      httpFailure = failure;
    },
    calls() {
      const path = join(fake, "calls.ndjson");
      const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
      rmSync(path, { force: true });
      return lines.map((line) => JSON.parse(line));
    },
    rows(sql) {
      const open = database();
      try {
        return open.prepare(sql).all();
      } finally {
        open.close();
      }
    },
    execute(sql) {
      const open = database();
      open.exec(sql);
      open.close();
    },
    toml: () => readFileSync(join(project, "wrangler.toml"), "utf8"),
    stop() {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  made.reset();
  return made;
}

function copyProject(project: string): void {
  mkdirSync(join(project, "node_modules", "wrangler", "bin"), { recursive: true });
  for (const name of ["src", "migrations", "package.json", "wrangler.toml", ".dev.vars.example"])
    cpSync(join(PROJECT_FOLDER, name), join(project, name), { recursive: true });
  const packages = join(PROJECT_FOLDER, "node_modules");
  for (const name of readdirSync(packages))
    if (name !== "wrangler" && name !== ".bin") symlinkSync(join(packages, name), join(project, "node_modules", name));
  const inFake = (name: string, text: string) => writeFileSync(join(project, "node_modules", "wrangler", name), text);
  inFake("package.json", JSON.stringify({ name: "wrangler", type: "module", exports: "./index.js" }));
  const real = join(packages, "wrangler", "wrangler-dist", "cli.js");
  inFake("index.js", FAKE_INDEX.replace("REAL", JSON.stringify(real)));
  inFake("wrangler.toml", readFileSync(join(project, "wrangler.toml"), "utf8"));
  inFake("config.json", JSON.stringify(readConfig({ config: join(project, "wrangler.toml") })));
  const programs = join(project, "node_modules", ".bin");
  mkdirSync(programs);
  for (const name of readdirSync(join(packages, ".bin")))
    if (name !== "wrangler") symlinkSync(join(packages, ".bin", name), join(programs, name));
  symlinkSync("../wrangler/bin/wrangler.js", join(programs, "wrangler"));
  inFake(
    "bin/wrangler.js",
    `#!/usr/bin/env node\nimport ${JSON.stringify(join(PROJECT_FOLDER, "test/commands/fake-wrangler.ts"))};\n`,
  );
  chmodSync(join(project, "node_modules", "wrangler", "bin", "wrangler.js"), 0o755);
}

/** The real reader takes a second, so a file that differs from the project's in its database alone is not read anew. */
const FAKE_INDEX = `import { readFileSync } from "node:fs";
const ID = /database_id = "([^"]*)"/;
export function unstable_readConfig({ config }) {
  const text = readFileSync(config, "utf8");
  const known = JSON.parse(readFileSync(new URL("config.json", import.meta.url), "utf8"));
  const plain = readFileSync(new URL("wrangler.toml", import.meta.url), "utf8");
  if (text.replace(ID, "") !== plain.replace(ID, "")) return real(config);
  for (const database of known.d1_databases) database.database_id = ID.exec(text)[1];
  return known;
}
const { createRequire } = await import("node:module");
const real = (config) => createRequire(import.meta.url)(REAL).unstable_readConfig({ config });
`;

type Started = (done: (error: Error | null, stdout: string, stderr: string) => void) => ChildProcess;

/** Resolves however the program ends. */
function ended(start: Started, input: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = start((error, stdout, stderr) => {
      const code = error === null ? 0 : "code" in error ? Number(error.code) : 1;
      resolve({ code, stdout, stderr });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
