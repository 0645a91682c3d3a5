// The operator's command as it is typed, against a database in a folder of its own.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEndpoint, createTenant } from "../../src/cli/admin-create.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { statement } from "../../src/db/statement.ts";
import { open } from "../../src/outbound/credentials.ts";
import { makeOperator, type Printed } from "./operator.ts";

const { context, pepper, encryptionKey, rowsOf, ...operator } = makeOperator();

afterAll(() => {
  operator.discard();
});

/** Runs the command as it is typed, words apart by spaces. */
function admin(words: string, env: Record<string, string> = {}): Promise<Printed> {
  return operator.run("admin.ts", words.split(" "), env);
}

describe("npm run admin", { timeout: 60_000 }, () => {
  let tenant: { tenantId: string; webhookSecret: string };

  beforeAll(async () => {
    tenant = await createTenant(context, { name: "O'Brien'); DROP TABLE tenants; --" });
  }, 60_000);

  it("stores a name as it was given, whatever is in it, and seals the webhook secret", async () => {
    const [row] = rowsOf(`SELECT name, sealed_webhook_secret FROM tenants WHERE id = '${tenant.tenantId}'`);
    expect(row).toMatchObject({ name: "O'Brien'); DROP TABLE tenants; --" });
    expect(await open(String(row?.sealed_webhook_secret), encryptionKey, "webhook")).toBe(tenant.webhookSecret);
    expect(tenant.webhookSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  });

  it("makes a key that is printed once and stored as a digest", async () => {
    const { stdout } = await admin(`key create --tenant ${tenant.tenantId} --scopes jobs,manage --json`);
    const made: { keyId: string; key: string } = JSON.parse(stdout);
    expect(parseApiKey(made.key)).toEqual({ id: made.keyId });
    const [row] = rowsOf(`SELECT * FROM api_keys WHERE id = '${made.keyId}'`);
    expect(row).toMatchObject({ tenant_id: tenant.tenantId, scopes: "jobs,manage", revoked_at: null });
    expect(JSON.stringify(row)).not.toContain(made.key.split("_")[3]);
  });

  it("adds an endpoint to the database of an earlier release, which it migrates for it", async () => {
    await context.execute(
      statement("DROP INDEX endpoint_numbers"),
      statement("ALTER TABLE endpoints DROP COLUMN number"),
      statement("DELETE FROM d1_migrations WHERE name = '0011_endpoint_numbers.sql'"),
    );
    const { stdout } = await admin(`endpoint create --tenant ${tenant.tenantId} --slug migrated --json`);
    const { endpointId }: { endpointId: string } = JSON.parse(stdout);
    const [row] = rowsOf(`SELECT slug, number FROM endpoints WHERE id = '${endpointId}'`);
    expect(row).toMatchObject({ slug: "migrated", number: expect.any(Number) });
  });

  it("adds an upstream with a sealed credential, raises the version, and says when it will be seen", async () => {
    const { endpointId } = await createEndpoint(context, { tenantId: tenant.tenantId, slug: "ocr", maxAttempts: 3 });
    const upstream = "--url http://127.0.0.1:8000 --dialect runpod --slots 2 --tier l4 --with-credential";
    const credential = { WAYBILL_CREDENTIAL: "rp_secret" };
    const { stdout, stderr } = await admin(`upstream add --endpoint ${endpointId} ${upstream}`, credential);
    expect(stderr).toContain("within 30 s");
    const upstreamId = /upstreamId: (\S+)/.exec(stdout)?.[1];
    const [row] = rowsOf(
      `SELECT upstreams.*, endpoints.version AS endpoint_version, max_attempts FROM upstreams JOIN endpoints ON endpoints.id = endpoint_id
       WHERE endpoint_id = '${endpointId}'`,
    );
    expect(row).toMatchObject({
      id: upstreamId,
      slots: 2,
      tier: "l4",
      enabled: 1,
      endpoint_version: 2,
      max_attempts: 3,
    });
    expect(await open(String(row?.sealed_credential), encryptionKey, `upstream:${upstreamId}`)).toBe("rp_secret");
  });

  it("sets what one tenant may keep of an endpoint, at first or later, and raises the version", async () => {
    const place = `--tenant ${tenant.tenantId} --slug share`;
    const { stdout } = await admin(`endpoint create ${place} --tenant-share 10 --json`);
    const { endpointId }: { endpointId: string } = JSON.parse(stdout);
    const row = () => rowsOf(`SELECT tenant_share_percent, version FROM endpoints WHERE id = '${endpointId}'`);
    expect(row()).toEqual([{ tenant_share_percent: 10, version: 1 }]);
    const { stderr } = await admin(`endpoint set --endpoint ${endpointId} --tenant-share 40`);
    expect(stderr).toContain("within 30 s");
    expect(row()).toEqual([{ tenant_share_percent: 40, version: 2 }]);
    const words = "endpoint set --endpoint nothing --tenant-share";
    await expect(admin(`${words} 40`)).rejects.toMatchObject({
      stderr: expect.stringContaining("there is no endpoint"),
    });
    await expect(admin(`${words} 101`)).rejects.toMatchObject({
      stderr: expect.stringContaining("--tenant-share must be"),
    });
  });

  it("refuses a pepper that is not the one of this database", async () => {
    const other = { WAYBILL_PEPPER: randomBytes(32).toString("base64") };
    const refused = admin("tenant create --name second", other);
    await expect(refused).rejects.toMatchObject({ stderr: expect.stringContaining("the pepper is not the one") });
    expect(rowsOf("SELECT id FROM tenants WHERE name = 'second'")).toEqual([]);
  });

  it.each([
    [{ WAYBILL_ENCRYPTION_KEY: "oops" }, "WAYBILL_ENCRYPTION_KEY must be 32 bytes in base64"],
    [{ WAYBILL_PEPPER: "short" }, "WAYBILL_PEPPER must be at least 32 characters"],
  ])("refuses a malformed secret before the database could remember it", async (secrets, sentence) => {
    await expect(admin("tenant create --name third", secrets)).rejects.toMatchObject({
      stderr: expect.stringContaining(sentence),
    });
  });

  it("says in one line what does not exist, and what no job could be sent to", async () => {
    const rows: [string, string][] = [
      ["key create --tenant nobody", "there is no tenant nobody\n"],
      [
        `upstream add --endpoint ocr --url not-a-url --dialect http --tier l4`,
        "--url must be an absolute http: or https: URL\n",
      ],
      [
        `upstream add --endpoint ocr --url http://127.0.0.1:1/ --dialect http --tier l4`,
        "there is no endpoint with the id ocr",
      ],
      [
        "upstream add --endpoint ocr --url http://127.0.0.1:1/v1?api_key=abc --dialect openai --tier l4",
        "--url must not hold a credential (its parameter api_key): --with-credential takes it, and seals it\n",
      ],
      ["tenant set --tenant nobody --waiting-max 5", "there is no tenant nobody\n"],
      [
        `key create --tenant ${tenant.tenantId} --scopes jobs,worker`,
        "a key of the scope worker belongs to an endpoint: make it with npm run worker:env\n",
      ],
    ];
    for (const [words, sentence] of rows) {
      await expect(admin(words)).rejects.toMatchObject({ stdout: "", stderr: expect.stringContaining(sentence) });
    }
    await expect(admin("list --bogus")).rejects.toMatchObject({
      stderr: expect.stringMatching(/^Unknown option '--bogus'.*\n$/),
    });
  });

  it("makes no worker key for a load-balanced endpoint, whose workers do not pull", async () => {
    await createEndpoint(context, { tenantId: tenant.tenantId, slug: "balanced", kind: "load_balancer" });
    await expect(operator.run("worker-env.ts", ["balanced", "--tier", "l4"])).rejects.toMatchObject({
      stderr: expect.stringContaining("balanced is load-balanced: its workers do not pull; add each as an upstream"),
      stdout: "",
    });
  });

  it("names the option that is missing or wrong", async () => {
    const missing = admin("key create");
    await expect(missing).rejects.toMatchObject({ stderr: "--tenant is missing\n", stdout: "" });
    const wrong = admin("tenant create --name x --waiting-max many");
    await expect(wrong).rejects.toMatchObject({ stderr: expect.stringContaining("--waiting-max must be a whole") });
  });

  it("refuses a slug that no path can name, or that has the form of an endpoint id", async () => {
    for (const slug of ["", "a/b", "-a", "0123456789abcdef"]) {
      await expect(createEndpoint(context, { tenantId: tenant.tenantId, slug })).rejects.toThrow(/the slug/);
    }
  });

  it("opens routes of an OpenAI server by name, and all of them only where the endpoint is not shared", async () => {
    const { endpointId } = await createEndpoint(context, { tenantId: tenant.tenantId, slug: "routes" });
    const set = (...words: string[]) =>
      operator.run("admin.ts", ["endpoint", "set", "--endpoint", endpointId, ...words], {});
    const routesOf = () => rowsOf(`SELECT openai_routes, shared, version FROM endpoints WHERE id = '${endpointId}'`)[0];
    expect(routesOf()).toEqual({ openai_routes: "inference", shared: 0, version: 1 });
    await set("--openai-routes", "inference,GET /v1/files/*");
    expect(routesOf()).toEqual({ openai_routes: "inference,GET /v1/files/*", shared: 0, version: 2 });
    await set("--openai-routes", "all");
    const both = "--openai-routes all is not for a shared endpoint: name the routes";
    await expect(set("--shared")).rejects.toMatchObject({ stderr: expect.stringContaining(both) });
    await set("--shared", "--openai-routes", "inference");
    expect(routesOf()).toEqual({ openai_routes: "inference", shared: 1, version: 4 });
    await expect(set("--openai-routes", "all")).rejects.toMatchObject({ stderr: expect.stringContaining(both) });
    await expect(set("--openai-routes", "files")).rejects.toMatchObject({
      stderr: expect.stringContaining('--openai-routes: "files" is neither "inference", "all" nor a route such as'),
    });
    await expect(set()).rejects.toMatchObject({
      stderr: "--shared, --private, --openai-routes or --tenant-share is missing\n",
    });
    await set("--private", "--openai-routes", "all");
    expect(routesOf()).toEqual({ openai_routes: "all", shared: 0, version: 5 });
    const shared = admin(`endpoint create --tenant ${tenant.tenantId} --slug wide --shared --openai-routes all`);
    await expect(shared).rejects.toMatchObject({ stderr: expect.stringContaining(both) });
  });
});
