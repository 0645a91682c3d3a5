// The operator's command as it is typed, against a broker that runs.
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { takeStateLock } from "../../src/cli/dev-lock.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { open } from "../../src/outbound/credentials.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { takePort } from "../running/port.ts";
import { type Operator, runCommand, startOperator } from "./operator.ts";

const secrets = ensureDevSecrets(PROJECT_FOLDER);
const encryptionKey = secrets.get("ENCRYPTION_KEY") ?? "";
let operator: Operator;
let worker: MockWorker;
let admin: Operator["admin"];
let json: Operator["json"];
/** The tenant of the operator's own key. */
let ownTenant: string;
/** Another one. */
let tenant: { id: string; webhookSecret: string };

beforeAll(async () => {
  // A question without a body is whether it is there.
  worker = await startMockWorker(async (body) =>
    body.length === 0 ? '"here"' : JSON.stringify({ echo: JSON.parse(body.toString()).input }),
  );
  operator = await startOperator({ first: {}, second: {} });
  ({ admin, json } = operator);
  ownTenant = (await json("whoami")).tenantId;
  tenant = await json("tenant create --name Another");
  await json(`key create --tenant ${tenant.id} --name another`);
}, 120_000);

afterAll(async () => {
  await operator?.stop();
  await worker?.stop();
});

/** A command that was typed wrong (2), or that the broker refuses (1), prints one sentence and nothing else. */
const ends = (code: 1 | 2 | 3 | 4 | 5, sentence: unknown) => ({ code, stdout: "", stderr: sentence });
const holds = (text: string) => expect.stringContaining(text);

async function makeEndpoint(slug: string, words = ""): Promise<{ id: string; slug: string; version: number }> {
  return json(`endpoint create --slug ${slug}${words === "" ? "" : ` ${words}`}`);
}

describe("a tenant", () => {
  it("is stored with the name that was given, whatever is in it, and its webhook secret is printed once", async () => {
    const name = "O'Brien'); DROP TABLE tenants; --";
    const made = JSON.parse(
      (await operator.run("waybill.ts", ["tenant", "create", "--name", name, "--waiting-max", "7", "--json"])).stdout,
    );
    const [row] = operator.rowsOf(`SELECT * FROM tenants WHERE id = '${made.id}'`);
    expect(row).toMatchObject({ name, waiting_max: 7 });
    expect(await open(String(row?.sealed_webhook_secret), encryptionKey, "webhook")).toBe(made.webhookSecret);
    expect(made.webhookSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const { stdout, stderr } = await admin("tenant create --name Plain");
    expect(stdout).toMatch(/^webhookSecret: whsec_/m);
    expect(stderr).toBe("Keep it now: it is not shown again.\n");
  });

  it("is changed, and listed with what it is now", async () => {
    expect(await json(`tenant set --tenant ${tenant.id} --waiting-max 5`)).toMatchObject({ waitingMax: 5 });
    const { tenants } = await json("tenant list");
    expect(tenants).toContainEqual(expect.objectContaining({ id: tenant.id, name: "Another", waitingMax: 5 }));
    expect(JSON.stringify(tenants)).not.toContain("whsec_");
    const set = (typed: string) => `tenant set --tenant ${tenant.id} --call-limits ${typed}`;
    const limit = (typed: string) => json(set(typed));
    const run = { calls: 2_000, open: null };
    expect(await limit("run=2000/none")).toMatchObject({ limits: { run } });
    expect((await limit("cancel=7/3")).limits).toEqual({ run, cancel: { calls: 7, open: 3 } });
    expect((await limit("run=default")).limits).toEqual({ cancel: { calls: 7, open: 3 } });
    await expect(admin(set("run=0/1"))).rejects.toMatchObject({
      stderr: expect.stringMatching(/^--call-limits: Too small/),
    });
    expect((await limit("cancel=default")).limits).toBeNull();
  });
});

describe("a key", () => {
  it("is printed once and stored as a digest", async () => {
    const made = await json(`key create --tenant ${tenant.id} --scopes jobs,manage`);
    expect(parseApiKey(made.key)).toEqual({ id: made.id });
    const [row] = operator.rowsOf(`SELECT * FROM api_keys WHERE id = '${made.id}'`);
    expect(row).toMatchObject({ tenant_id: tenant.id, scopes: "jobs,manage", revoked_at: null });
    expect(row?.digest).toBe(
      createHmac("sha256", secrets.get("PEPPER") ?? "")
        .update(made.key)
        .digest("hex"),
    );
    expect(JSON.stringify(row)).not.toContain(made.key.split("_")[3]);
    const listed = await admin(`key list --tenant ${tenant.id}`);
    expect(listed.stdout).toContain(made.id);
    expect(listed.stdout).not.toContain(made.key);
  });

  it("is of the key's own tenant where none is named, opens some endpoints only, and ends when it was said to", async () => {
    await makeEndpoint("only");
    const { id, key } = await json("key create --endpoints only --expires-in 12h");
    const [row] = operator.rowsOf(`SELECT tenant_id, endpoint_ids, expires_at FROM api_keys WHERE id = '${id}'`);
    expect(row?.tenant_id).toBe(ownTenant);
    const hoursLeft = (Number(row?.expires_at) - Date.now()) / 3_600_000;
    expect(hoursLeft).toBeGreaterThan(11.9);
    expect(hoursLeft).toBeLessThanOrEqual(12);
    const self = await json("whoami", { WAYBILL_KEY: key });
    expect(self).toMatchObject({ keyId: id, tenantId: ownTenant, scopes: ["jobs"] });
    expect(JSON.stringify([self.endpointIds])).toBe(`[${row?.endpoint_ids}]`);
    expect((await json("endpoint list", { WAYBILL_KEY: key })).endpoints).toMatchObject([{ slug: "only" }]);
  });

  it("is rotated, with an overlap, and revoked", async () => {
    const old = await json("key create --name turning");
    const next = await json(`key rotate --id ${old.id} --overlap 1h`);
    expect(next).toMatchObject({ name: "turning", key: expect.stringMatching(/^wb_live_/) });
    expect(await json("whoami", { WAYBILL_KEY: old.key })).toMatchObject({ keyId: old.id });
    const { stdout } = await admin(`key revoke --id ${next.id}`);
    expect(stdout).toMatch(new RegExp(`^key ${next.id} is revoked; it is refused everywhere from 20\\S+Z on\n$`));
    const refused = admin("whoami", { WAYBILL_KEY: next.key });
    await expect(refused).rejects.toMatchObject(
      ends(4, holds(`${operator.broker.url} refuses the key in WAYBILL_KEY`)),
    );
  });

  it("that operates the deployment alone is not revoked, in a sentence", async () => {
    const id = parseApiKey(operator.broker.key)?.id ?? "";
    await expect(admin(`key revoke --id ${id}`)).rejects.toMatchObject(
      ends(1, expect.stringMatching(/^[^\n]*admin[^\n]*\n$/)),
    );
  });
});

describe("an endpoint", () => {
  it("may keep a share for one tenant, at first or later, and each change raises its version", async () => {
    const { id } = await makeEndpoint("share", "--tenant-share 10");
    const row = () => operator.rowsOf(`SELECT tenant_share_percent, version FROM endpoints WHERE id = '${id}'`);
    expect(row()).toEqual([{ tenant_share_percent: 10, version: 1 }]);
    const { stderr } = await admin("endpoint set --endpoint share --tenant-share 40");
    expect(stderr).toBe("");
    expect(row()).toEqual([{ tenant_share_percent: 40, version: 2 }]);
    await expect(admin("endpoint set --endpoint nothing --tenant-share 40")).rejects.toMatchObject(
      ends(5, holds("there is no endpoint nothing; there are ")),
    );
    await expect(admin("endpoint set --endpoint share --tenant-share 101")).rejects.toMatchObject(
      ends(2, "--tenant-share must be a whole number from 1 to 100\n"),
    );
  });

  it("is another tenant's where one is named, and every kind of endpoint can be made", async () => {
    const words = `--tenant ${tenant.id} --kind load_balancer --body-max-mib 64 --max-attempts 3 --shared --name Web`;
    const { id } = await makeEndpoint("web", words);
    expect(operator.rowsOf(`SELECT * FROM endpoints WHERE id = '${id}'`)).toMatchObject([
      {
        tenant_id: tenant.id,
        kind: "load_balancer",
        body_max_bytes: 64 * 1024 * 1024,
        max_attempts: 3,
        shared: 1,
        name: "Web",
      },
    ]);
    const shown = await admin("endpoint show --endpoint web");
    expect(shown.stdout).toContain(`id: ${id}\nslug: web\n`.split("\n")[0]);
    expect(shown.stdout).toContain("visibility: PUBLIC\n");
  });

  it("checks inputs by the schema of a file, until it is removed", async () => {
    await makeEndpoint("checked");
    const folder = mkdtempSync(join(tmpdir(), "waybill-schema-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "schema.json");
    const schema = { type: "object", required: ["prompt"] };
    writeFileSync(file, JSON.stringify(schema));
    expect(await json(`endpoint set --endpoint checked --input-schema ${file}`)).toMatchObject({ inputSchema: schema });
    expect(await json("endpoint set --endpoint checked --without-input-schema")).toMatchObject({ inputSchema: null });
    expect(await makeEndpoint("checked-at-once", `--input-schema ${file}`)).toMatchObject({ inputSchema: schema });
    writeFileSync(file, '{"pattern":"(?=a)"}');
    await expect(admin(`endpoint set --endpoint checked --input-schema ${file}`)).rejects.toMatchObject(
      ends(1, holds("--input-schema: #/pattern the regular expression may not look ahead or behind")),
    );
    writeFileSync(file, "no JSON");
    await expect(admin(`endpoint set --endpoint checked --input-schema ${file}`)).rejects.toMatchObject(
      ends(2, `--input-schema: ${file} holds no JSON object\n`),
    );
    await expect(admin("endpoint set --endpoint checked --input-schema none.json")).rejects.toMatchObject(
      ends(2, holds("--input-schema: none.json cannot be read")),
    );
    await expect(
      admin(`endpoint set --endpoint checked --input-schema ${file} --without-input-schema`),
    ).rejects.toMatchObject(ends(2, "--input-schema or --without-input-schema, not both\n"));
  });

  it("starts no job while it is paused", async () => {
    await makeEndpoint("resting");
    expect(await json("endpoint set --endpoint resting --pause")).toMatchObject({ paused: true, applied: true });
    expect(await json("endpoint set --endpoint resting --resume")).toMatchObject({ paused: false });
    await expect(admin("endpoint set --endpoint resting --pause --resume")).rejects.toMatchObject(
      ends(2, "--pause or --resume, not both\n"),
    );
  });

  it("has no slug that no path can name, that is in use, or that has the form of an endpoint id", async () => {
    for (const slug of ["a/b", "-a", "0123456789abcdef", "serverless"])
      await expect(admin(`endpoint create --slug=${slug}`), slug).rejects.toMatchObject(ends(1, holds("--slug")));
    await expect(operator.run("waybill.ts", ["endpoint", "create", "--slug", ""])).rejects.toMatchObject(
      ends(2, "--slug is missing\n"),
    );
    await makeEndpoint("taken");
    await expect(admin("endpoint create --slug taken")).rejects.toMatchObject(
      ends(1, expect.stringMatching(/^--slug [^\n]*in use\n$/)),
    );
  });

  it("opens routes of an OpenAI server by name, and all of them only where it is not shared", async () => {
    const { id } = await makeEndpoint("routes");
    const set = (...words: string[]) =>
      operator.run("waybill.ts", ["endpoint", "set", "--endpoint", "routes", ...words]);
    const routesOf = () =>
      operator.rowsOf(`SELECT openai_routes, shared, version FROM endpoints WHERE id = '${id}'`)[0];
    expect(routesOf()).toEqual({ openai_routes: "inference", shared: 0, version: 1 });
    await set("--openai-routes", "inference,GET /v1/files/*");
    expect(routesOf()).toEqual({ openai_routes: "inference,GET /v1/files/*", shared: 0, version: 2 });
    await set("--openai-routes", "all");
    const both = holds("--openai-routes all is not for a public endpoint: name the routes");
    await expect(set("--shared")).rejects.toMatchObject(ends(1, both));
    await set("--shared", "--openai-routes", "inference");
    expect(routesOf()).toEqual({ openai_routes: "inference", shared: 1, version: 4 });
    await expect(set("--openai-routes", "all")).rejects.toMatchObject(ends(1, both));
    await expect(set("--openai-routes", "files")).rejects.toMatchObject(
      ends(1, holds('--openai-routes "files" is neither "inference", "all" nor a route such as')),
    );
    await expect(set()).rejects.toMatchObject(ends(2, expect.stringMatching(/^--shared, --private, .* is missing\n$/)));
    await expect(set("--shared", "--private")).rejects.toMatchObject(ends(2, "--shared or --private, not both\n"));
    await set("--private", "--openai-routes", "all");
    expect(routesOf()).toEqual({ openai_routes: "all", shared: 0, version: 5 });
    const shared = admin("endpoint create --slug wide --shared --openai-routes all");
    await expect(shared).rejects.toMatchObject(ends(1, both));
  });
});

it("an endpoint is deleted where that is meant, and its jobs can be listed before", async () => {
  await makeEndpoint("gone");
  await operator.broker.call("/v2/gone/run", '{"input":1}');
  expect((await admin("job list --endpoint gone --status IN_QUEUE")).stdout).toMatch(/^\S+ +IN_QUEUE /m);
  await expect(admin("endpoint delete --endpoint gone")).rejects.toMatchObject(ends(2, holds("--yes is missing")));
  expect((await admin("endpoint delete --endpoint gone --yes")).stdout).toBe("endpoint gone is deleted\n");
  await expect(admin("endpoint show --endpoint gone")).rejects.toMatchObject(
    ends(5, holds("there is no endpoint gone")),
  );
});

it("the secret of webhooks is rotated and shown once, and webhooks that were given up are listed", async () => {
  const rotated = await admin("webhook rotate --overlap 1h");
  expect(rotated.stdout).toMatch(/^secret: whsec_/m);
  expect(rotated.stderr).toContain("it is not shown again");
  expect((await admin("webhook dead")).stdout).toBe("(none)\n");
  expect((await admin("webhook tries --endpoint first")).stdout).toBe("(none)\n");
  await expect(admin("webhook redeliver")).rejects.toMatchObject(ends(2, "--id or --all, one of them\n"));
  expect(await json("webhook redeliver --all")).toMatchObject({ delivered: 0, failed: 0 });
});

describe("an upstream", () => {
  const credential = { WAYBILL_CREDENTIAL: "rp_secret" };

  it("is added with a sealed credential, and raises the version of its endpoint", async () => {
    const { id: endpointId } = await makeEndpoint("ocr", "--max-attempts 3");
    const words = "--endpoint ocr --url http://127.0.0.1:8000 --dialect runpod --slots 2 --tier l4 --with-credential";
    const { id } = await json(`upstream add ${words}`, credential);
    const [row] = operator.rowsOf(
      `SELECT upstreams.*, endpoints.version AS of_endpoint, max_attempts FROM upstreams JOIN endpoints
       ON endpoints.id = endpoint_id WHERE endpoint_id = '${endpointId}'`,
    );
    expect(row).toMatchObject({ id, slots: 2, tier: "l4", rate_kind: "flex", enabled: 1, max_attempts: 3 });
    expect(row?.of_endpoint).toBe(2);
    expect(await open(String(row?.sealed_credential), encryptionKey, `upstream:${id}`)).toBe("rp_secret");
    expect(JSON.stringify(await json("upstream list --endpoint ocr"))).not.toContain("rp_secret");
  });

  it("runs jobs at once, and none while it is disabled; its address can be changed, and it can be tried", async () => {
    await makeEndpoint("echo");
    const { call } = operator.broker;
    const { id } = await json(
      "upstream add --endpoint echo --url http://127.0.0.1:9/ --dialect http --slots 4 --tier a4000 --name rack",
    );
    const one = `--endpoint echo --upstream ${id}`;
    await expect(admin(`upstream test ${one}`)).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^failed: .+ \(\d+ ms\)\n$/),
    });
    expect(await json(`upstream set ${one} --url ${worker.url}`)).toMatchObject({ url: worker.url, name: "rack" });
    expect((await admin(`upstream test ${one}`)).stdout).toMatch(/^ok: .+ \(\d+ ms\)\n$/);
    expect(await json(`upstream disable ${one}`)).toMatchObject({ enabled: false });
    const waiting = await (await call("/v2/echo/run", '{"input":1}')).json();
    expect(await json(`upstream enable ${one}`)).toMatchObject({ enabled: true });
    const ended = await (await call(`/v2/echo/status-sync/${textOfId(waiting)}?wait=20000`)).json();
    expect(ended).toMatchObject({ status: "COMPLETED", output: { echo: 1 } });
    const { stdout } = await admin(`upstream remove ${one}`);
    expect(stdout).toBe(`upstream ${id} is removed\n`);
    expect((await admin("upstream list --endpoint echo")).stdout).toBe("(none)\n");
  });

  it("that is active is in the bill, by its id, from when it is added until it is removed", async () => {
    await makeEndpoint("held");
    const words = "--endpoint held --url http://127.0.0.1:9/ --dialect http --slots 4 --tier a4000 --rate active";
    const { id } = await json(`upstream add ${words}`);
    await admin(`upstream remove --endpoint held --upstream ${id}`);
    const bill = async () => (await admin("usage --endpoint held")).stdout;
    await expect
      .poll(bill, { timeout: 5_000 })
      .toMatch(new RegExp(`^active-${id} +1 +20\\S+ +\\d+ +a4000 +active +0\\.00`, "m"));
    expect(await bill()).toMatch(/^JOB +ATTEMPT +ENDED +SECONDS +TIER +RATE +DOLLARS *$/m);
    expect(await bill()).toMatch(/\nSum of all that match: \$0\.00\d+\n$/);
  });

  it("keeps its credential until another one takes its place, or none", async () => {
    await makeEndpoint("sealed");
    const words = "--endpoint sealed --url http://127.0.0.1:8000/work --dialect http --tier l4 --with-credential";
    const { id } = await json(`upstream add ${words}`, credential);
    const sealed = () => operator.rowsOf(`SELECT sealed_credential AS text FROM upstreams WHERE id = '${id}'`)[0]?.text;
    const one = `--endpoint sealed --upstream ${id}`;
    await admin(`upstream set ${one} --slots 3`);
    expect(await open(String(sealed()), encryptionKey, `upstream:${id}`)).toBe("rp_secret");
    const short = await admin(`upstream set ${one} --with-credential`, { WAYBILL_CREDENTIAL: "short" });
    expect(short.stderr).toContain("8 characters");
    await admin(`upstream set ${one} --without-credential`);
    expect(sealed()).toBe(null);
    await expect(admin(`upstream set ${one} --with-credential`)).rejects.toMatchObject(
      ends(1, holds("WAYBILL_CREDENTIAL is not set")),
    );
  });

  it("that no job could be sent to is refused in a sentence that names the option", async () => {
    await makeEndpoint("strict");
    const rows: [string, string][] = [
      ["--url not-a-url --dialect http --tier l4", "--url must be an absolute http: or https: URL"],
      [
        "--url http://127.0.0.1:1/v1?api_key=abc --dialect openai --tier l4",
        "--url must not hold a credential (its parameter api_key)",
      ],
      ["--url http://127.0.0.1:1/ --dialect http --tier l5", "a4000, 4090-pro, l4, a6000, l40s, a100, h100-pro"],
    ];
    for (const [words, sentence] of rows)
      await expect(admin(`upstream add --endpoint strict ${words}`), words).rejects.toMatchObject(
        ends(1, expect.stringMatching(new RegExp(`^[^\n]*${sentence.replace(/[()?]/g, "\\$&")}[^\n]*\n$`))),
      );
    expect(operator.rowsOf("SELECT id FROM upstreams WHERE url LIKE '%127.0.0.1:1/%'")).toEqual([]);
  });
});

const textOfId = (answer: unknown): string =>
  typeof answer === "object" && answer !== null && "id" in answer ? String(answer.id) : "";

describe("a provider", () => {
  const add = async (words: readonly string[], env: Record<string, string> = {}) =>
    JSON.parse((await operator.run("waybill.ts", ["provider", "add", "--name", "p", ...words, "--json"], env)).stdout);

  it("is added with a secret that is shown once, changed, listed, and removed once no endpoint names it", async () => {
    const hook = ["--kind", "webhook", "--url", "http://127.0.0.1:9/hook", "--offers", "NVIDIA L4=0.43"];
    const made = await add(hook);
    expect(made.secret).toMatch(/^whsec_/);
    const [row] = operator.rowsOf(`SELECT * FROM providers WHERE id = '${made.id}'`);
    expect(await open(String(row?.sealed_credential), encryptionKey, `provider:${made.id}`)).toBe(made.secret);
    await makeEndpoint("provided", `--providers ${made.id} --max-cost 2.5 --init-timeout 5m`);
    expect(await json("endpoint show --endpoint provided")).toMatchObject({
      providers: [made.id],
      maxCostPerHour: "2.500000000",
      initTimeout: 300,
    });
    expect(await json(`provider set --provider ${made.id} --name renamed --default`)).toMatchObject({
      name: "renamed",
      default: true,
      version: 2,
    });
    const listed = await admin("provider list");
    expect(listed.stdout).toContain(made.id);
    expect(listed.stdout).toContain("NVIDIA L4=0.430000000");
    expect(JSON.stringify(await json("provider list"))).not.toContain("whsec_");
    await expect(admin(`provider remove --provider ${made.id}`)).rejects.toMatchObject(ends(1, holds("provided")));
    await admin("endpoint set --endpoint provided --providers none");
    await json(`provider set --provider ${made.id} --not-default`);
    const { stdout } = await admin(`provider remove --provider ${made.id}`);
    expect(stdout).toBe(`provider ${made.id} is removed\n`);
  });

  it("that could not work is refused in a sentence that names the option", async () => {
    const rows: [string[], string][] = [
      [["--kind", "webhook", "--offers", "NVIDIA L4=1"], "--url is required for the kind webhook"],
      [["--kind", "runpod", "--offers", "NVIDIA L4=1"], "--with-credential is required for the kind runpod"],
      [["--kind", "none", "--offers", "RTX 4090=1"], "--offers there is no GPU type RTX 4090"],
      [["--kind", "none", "--offers", "NVIDIA L4=cheap"], "--offers must be a decimal text"],
    ];
    for (const [words, sentence] of rows)
      await expect(add(words), sentence).rejects.toMatchObject({ code: 1, stderr: holds(sentence.slice(2)) });
    await expect(admin("provider set --provider prv-1 --name n")).rejects.toMatchObject(
      ends(5, holds("there is no provider prv-1; there")),
    );
  });
});

describe("what there is", () => {
  it("is listed: tenants, endpoints and keys of everybody for an admin, of itself for others", async () => {
    const { stdout } = await admin("list");
    expect(stdout.match(/^\w+$/gm)).toEqual(["Tenants", "Endpoints", "Keys"]);
    expect(stdout).toContain(tenant.id);
    const all = await json("list");
    expect(all.endpoints).toContainEqual(expect.objectContaining({ slug: "web", tenantId: tenant.id }));
    const { key } = await json(`key create --tenant ${tenant.id} --scopes jobs,manage`);
    const own = await json("list", { WAYBILL_KEY: key });
    expect(own.tenants).toMatchObject([{ id: tenant.id, name: "Another" }]);
    expect(own.endpoints).toMatchObject([{ slug: "web" }]);
    const { key: jobs } = await json(`key create --tenant ${tenant.id} --scopes jobs`);
    const least = await admin("list", { WAYBILL_KEY: jobs });
    expect(least.stderr).toContain("keys: ");
    expect(least.stdout).toContain("web");
  });

  it("is told in words where it is more than a page", async () => {
    for (let made = 0; made < 3; made += 1) await makeEndpoint(`many-${made}`);
    const first = await admin("endpoint list --limit 2");
    const cursor = /--cursor (\S+)\n$/.exec(first.stderr)?.[1] ?? "";
    const second = await json(`endpoint list --limit 2 --cursor ${cursor}`);
    expect(second.endpoints).toHaveLength(2);
    expect(first.stdout).not.toContain(second.endpoints[0].id);
  });

  it("has changed as the audit says, by which key", async () => {
    const { id } = await makeEndpoint("audited");
    await admin("endpoint set --endpoint audited --max-attempts 9");
    const { lines } = await json("audit");
    expect(lines[0]).toMatchObject({
      action: "endpoint.update",
      objectId: id,
      keyId: parseApiKey(operator.broker.key)?.id,
    });
    expect((await admin("audit --limit 1")).stdout).toContain("maxAttempts: 2 → 9");
  });

  it("has prices, to which one can be announced", async () => {
    const { stdout } = await admin("gpu-types");
    expect(stdout).toMatch(/^a4000 .*0\.00016/m);
    const announced = await json("rates add --tier l4 --rate flex --dollars 0.0002");
    expect(announced).toMatchObject({ tier: "l4", kind: "flex" });
    expect((await json("rates list")).rates).toContainEqual(expect.objectContaining({ tier: "l4", kind: "flex" }));
    await expect(admin("rates add --tier l5 --rate flex --dollars 0.0002")).rejects.toMatchObject(
      ends(1, holds("a4000")),
    );
  });
});

describe("advice", () => {
  it("names the GPUs for a model, the smallest first, and why", async () => {
    const { stdout } = await admin("recommend gpu --parameters 70B --bits 4");
    expect(stdout).toContain("35 GB of weights");
    expect(stdout).toMatch(/^TIER .*\na6000 .* 1\.224/m);
    await expect(admin("recommend gpu --parameters many")).rejects.toMatchObject(ends(1, holds("--parameters")));
  });

  it("counts the active workers for a load", async () => {
    await admin("endpoint create --slug advised");
    const { stdout } = await admin("recommend workers --endpoint advised --per-minute 6 --seconds 30");
    expect(stdout).toMatch(/^Active workers: 3$/m);
  });
});

describe("a command that cannot be done", () => {
  it("names what there is in place of what does not exist", async () => {
    const rows: [string, string][] = [
      ["key create --tenant nobody", "there is no tenant nobody; there are ten-"],
      ["tenant set --tenant nobody --waiting-max 5", "there is no tenant nobody; there are ten-"],
      ["upstream list --endpoint nowhere", "there is no endpoint nowhere; there are "],
      ["upstream remove --endpoint first --upstream up-1", "there is no upstream up-1; there is none yet"],
      [
        "worker-key revoke --endpoint first --id AAAAAAAAAAAA",
        "there is no worker key AAAAAAAAAAAA; there is none yet",
      ],
      ["key revoke --id AAAAAAAAAAAA", "there is no key AAAAAAAAAAAA; there are "],
    ];
    for (const [words, sentence] of rows)
      await expect(admin(words), words).rejects.toMatchObject(
        ends(5, expect.stringMatching(new RegExp(`^${sentence}[^\n]*\n$`))),
      );
  });

  it("names the option that is missing, wrong or of another command", async () => {
    const rows: [string, string][] = [
      ["key rotate", "--id is missing\n"],
      ["tenant create --name x --waiting-max many", "--waiting-max must be a whole number from 0 to 200000\n"],
      [
        "key create --scopes jobs,worker",
        "a key of the scope worker belongs to an endpoint: make it with npm run admin -- worker-env\n",
      ],
      ["key create --scopes all", "--scopes must be one of jobs, manage, admin\n"],
      [
        "key create --expires-in soon",
        "--expires-in must be a duration such as 90s, 15m, 12h or 30d, and at most 3650 d\n",
      ],
      [
        "key create --tier l4",
        "key create has no option --tier; it has --tenant, --scopes, --name, --endpoints, --expires-in\n",
      ],
      ["key", 'there is no command "key"; there are key create, key list, key rotate, key revoke\n'],
      ["list --remote", "list speaks to a broker, not to a database: --broker URL in place of --remote\n"],
      ["list --broker gpu.example", "--broker must be an http(s): URL\n"],
      ["list --broker http://gpu.example", "--broker must be an https: URL: each call carries the key\n"],
      ["list --broker https://a:b@gpu.example", "--broker must be an address without a user, a query or a fragment\n"],
    ];
    for (const [words, sentence] of rows) await expect(admin(words), words).rejects.toMatchObject(ends(2, sentence));
    await expect(admin("list --bogus")).rejects.toMatchObject(
      ends(2, expect.stringMatching(/^Unknown option '--bogus'.*\n$/)),
    );
  });

  it("says where it looked for the broker and for the key", async () => {
    const port = await takePort();
    const nowhere = admin(`list --broker http://127.0.0.1:${port}`);
    await expect(nowhere).rejects.toMatchObject(
      ends(
        3,
        expect.stringMatching(/^no broker answers at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\): npm start [^\n]*\n$/),
      ),
    );
    await expect(admin("list", { WAYBILL_KEY: "" })).rejects.toMatchObject(ends(4, holds("WAYBILL_KEY is not set")));
    await expect(admin("list", { WAYBILL_KEY: "wb_live_x" })).rejects.toMatchObject(
      ends(4, `${operator.broker.url} refuses the key in WAYBILL_KEY: the API key is missing or not valid\n`),
    );
    await expect(admin(`list --broker ${worker.url}`)).rejects.toMatchObject(
      ends(1, holds("is that the address of a broker?")),
    );
  });
});

describe("the broker of a state folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "waybill-state-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const list = (env = {}) => runCommand("waybill.ts", ["whoami", "--state", folder, "--json"], env);

  it("is found by its folder, with the key that is kept there, and before what the environment names", async () => {
    await expect(list()).rejects.toMatchObject(
      ends(3, holds(`no broker runs on the state in ${folder}: npm start starts one`)),
    );
    const port = Number(new URL(operator.broker.url).port);
    const lock = takeStateLock(folder, port);
    try {
      writeFileSync(join(folder, "first.json"), JSON.stringify({ key: operator.broker.key }));
      const found = await list({ WAYBILL_URL: "https://gpu.example" });
      expect(JSON.parse(found.stdout)).toMatchObject({ tenantId: ownTenant });
      const other = runCommand("waybill.ts", ["whoami", "--state", folder, "--broker", "http://127.0.0.1:9"]);
      await expect(other, "the kept key goes to no other broker").rejects.toMatchObject(
        ends(4, holds("WAYBILL_KEY is not set")),
      );
    } finally {
      lock.release();
    }
  });
});
