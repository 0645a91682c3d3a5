// What npm start makes on a broker that runs, and finds again at the next start: its endpoint, and the way to its worker.
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Api, makeApi } from "../../src/cli/api.ts";
import { ensureEndpoint, ensureFirst, type FirstWithWorker } from "../../src/cli/dev-first.ts";
import { type Operator, startOperator } from "./operator.ts";

const secrets = new Map(Object.entries({ PEPPER: "p".repeat(32), ENCRYPTION_KEY: randomBytes(32).toString("base64") }));
const URL = "http://127.0.0.1:9/v2/ocr";
let operator: Operator;
let api: Api;
let first: FirstWithWorker;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "waybill-first-test-"));
  operator = await startOperator();
  const { key, url } = operator.broker;
  api = makeApi({ base: url, key, keyFrom: "of the test" });
  const { tenantId } = await operator.json("whoami");
  // The tenant and key of the broker stand for those that the first start has made.
  write({ secrets: digestOf(), tenantId, key, webhookSecret: "whsec_x" });
  first = await ensureFirst(folder, secrets);
}, 120_000);

afterAll(async () => {
  await operator?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const file = () => join(folder, "first.json");
const read = (): Record<string, string> => JSON.parse(readFileSync(file(), "utf8"));
const write = (content: object) => writeFileSync(file(), JSON.stringify(content));
const upstreams = async () => (await operator.json("upstream list --endpoint ocr")).upstreams;

/** As every release has digested two variables. */
function digestOf(): string {
  return createHash("sha256")
    .update(JSON.stringify([...secrets]))
    .digest("hex");
}

describe("npm start", { timeout: 60_000 }, () => {
  it("makes the endpoint with its worker as upstream once, and leads it to the worker's new port at a later start", async () => {
    const made = await ensureEndpoint(api, folder, first, URL);
    expect(made).toMatchObject({ slug: "ocr", made: true });
    const [upstream] = await upstreams();
    expect(upstream).toMatchObject({ url: URL, dialect: "runpod", tier: "a4000", hasCredential: true });
    expect(read()).toMatchObject({ endpointId: made.endpointId, upstreamId: upstream.id, upstreamUrl: URL });
    const again = await ensureFirst(folder, secrets);
    const moved = URL.replace(":9/", ":10/");
    expect(await ensureEndpoint(api, folder, again, moved)).toEqual({ ...made, made: false });
    expect(await upstreams()).toMatchObject([{ id: upstream.id, url: moved }]);
    expect(read().upstreamUrl).toBe(moved);
  });

  it("goes on where an earlier start has ended in the middle", async () => {
    const [before] = await upstreams();
    const { endpointId: _endpoint, upstreamId: _upstream, ...cut } = read();
    write(cut);
    expect(await ensureEndpoint(api, folder, await ensureFirst(folder, secrets), URL)).toMatchObject({ made: false });
    expect(await upstreams()).toMatchObject([{ id: before.id, url: URL }]);
  });

  it("works on with the file of an earlier release, which digested every variable of .dev.vars", async () => {
    const more = new Map([...secrets, ["OTHER", "x"]]);
    const { workerKey, ...rest } = read();
    write({
      ...rest,
      workerKey,
      secrets: createHash("sha256")
        .update(JSON.stringify([...more]))
        .digest("hex"),
    });
    const old = await ensureFirst(folder, more);
    expect(old).toMatchObject({ workerKey, tenantId: rest.tenantId, key: rest.key });
    expect(await ensureEndpoint(api, folder, old, URL)).toMatchObject({ endpointId: rest.endpointId, made: false });
    const other = new Map([...more, ["PEPPER", "q".repeat(32)]]);
    await expect(ensureFirst(folder, other)).rejects.toThrow("The secrets in .dev.vars are not those that");
  });

  it("adds the upstream again where it was removed", async () => {
    const [before] = await upstreams();
    await operator.admin(`upstream remove --endpoint ocr --upstream ${before.id}`);
    await ensureEndpoint(api, folder, await ensureFirst(folder, new Map([...secrets, ["OTHER", "x"]])), URL);
    const now = await upstreams();
    expect(now).toMatchObject([{ url: URL }]);
    expect(read().upstreamId).toBe(now[0].id);
  });

  it("takes no other tenant's endpoint for its own", async () => {
    const { tenantId: _tenant, endpointId: _endpoint, upstreamId: _upstream, ...rest } = read();
    const foreign = { ...rest, tenantId: "ten-other", secrets: digestOf(), key: rest.key ?? "", webhookSecret: "" };
    await expect(ensureEndpoint(api, folder, { ...foreign, workerKey: "w" }, URL)).rejects.toThrow(
      "is another tenant's",
    );
  });
});
