// What npm start makes on a broker that runs, and finds again at the next start: its endpoint, and the environment of its worker.
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Api, makeApi } from "../../src/cli/api.ts";
import { rowsOf } from "../../src/cli/commands/show.ts";
import { ensureEndpoint, ensureFirst } from "../../src/cli/dev-first.ts";
import type { First } from "../../src/cli/first-file.ts";
import { type Operator, startOperator } from "./operator.ts";

const secrets = new Map(Object.entries({ PEPPER: "p".repeat(32), ENCRYPTION_KEY: randomBytes(32).toString("base64") }));
let operator: Operator;
let api: Api;
let first: First;
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
const read = (): First & Record<string, unknown> => JSON.parse(readFileSync(file(), "utf8"));
const write = (content: object) => writeFileSync(file(), JSON.stringify(content));
const UPSTREAMS = "/v1/endpoints/ocr/upstreams";
const upstreams = async () => rowsOf(await api.get(UPSTREAMS), "upstreams");
const WORKER_KEYS = "/v1/endpoints/ocr/worker-keys";
/** Newest first. */
const workerKeys = async () => rowsOf(await api.get(WORKER_KEYS), "workerKeys");
/** A later start of npm start, on the same broker. */
const startAgain = async () => ensureEndpoint(api, folder, await ensureFirst(folder, secrets));

/** As every release has digested two variables. */
function digestOf(): string {
  return createHash("sha256")
    .update(JSON.stringify([...secrets]))
    .digest("hex");
}

describe("npm start", { timeout: 60_000 }, () => {
  it("makes the endpoint and the environment of its worker once, and keeps both at a later start", async () => {
    const made = await ensureEndpoint(api, folder, first);
    expect(made).toMatchObject({ slug: "ocr", made: true });
    const address = `${operator.broker.url}/v2/${made.endpointId}/job-take/$ID?gpu=a4000`;
    expect(made.environment).toMatchObject({
      RUNPOD_WEBHOOK_GET_JOB: address,
      RUNPOD_AI_API_KEY: expect.stringMatching(/^wb_live_/),
    });
    const keys = await workerKeys();
    expect(keys).toMatchObject([{ name: "npm start", tier: "a4000", rateKind: "flex", slots: 1, revokedAt: null }]);
    const { endpointId, environment } = made;
    expect(read()).toMatchObject({ endpointId, worker: { keyId: keys[0]?.id, environment } });
    expect(await startAgain()).toEqual({ ...made, made: false });
    expect(await workerKeys()).toEqual(keys);
  });

  it("makes the environment anew where the broker has another port, and ends the key of the old one", async () => {
    const { worker, ...rest } = read();
    const moved = JSON.parse(JSON.stringify(worker).replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:9"));
    write({ ...rest, worker: moved });
    const { environment } = await startAgain();
    expect(environment.RUNPOD_WEBHOOK_GET_JOB).toContain(`${operator.broker.url}/v2/`);
    const [key, old] = await workerKeys();
    expect(read().worker).toEqual({ keyId: key?.id, environment });
    expect(old).toMatchObject({ id: worker?.keyId, revokedAt: expect.any(String) });
  });

  it("makes it anew where somebody has revoked the key", async () => {
    const keyId = read().worker?.keyId;
    await api.send("DELETE", `${WORKER_KEYS}/${keyId}`);
    const { environment } = await startAgain();
    const [key] = await workerKeys();
    expect(key).toMatchObject({ name: "npm start", revokedAt: null });
    expect(environment.RUNPOD_AI_API_KEY).toContain(key?.id);
    expect(read().worker).toEqual({ keyId: key?.id, environment });
  });

  it("goes on where an earlier start has ended in the middle", async () => {
    const { endpointId, worker: _, ...cut } = read();
    write({ ...cut, endpointId: undefined });
    expect(await startAgain()).toMatchObject({ endpointId, made: false });
    expect(read().worker?.keyId).toBe((await workerKeys())[0]?.id);
  });

  it.each(["noted", "not noted"])(
    "removes the upstream by which an earlier release called its worker (%s), and no other",
    async (how) => {
      const called = {
        url: "http://127.0.0.1:8788/v2/ocr",
        dialect: "runpod",
        slots: 1,
        tier: "a4000",
        rateKind: "flex",
      };
      const own = await api.send("POST", UPSTREAMS, { ...called, name: "another" });
      const { id } = await api.send("POST", UPSTREAMS, { ...called, name: "npm start", credential: "a worker's key" });
      const noted = how === "noted" ? { upstreamId: id, upstreamUrl: called.url } : {};
      write({ ...read(), ...noted, workerKey: "a worker's key" });
      expect(await startAgain()).toMatchObject({ made: false });
      expect(await upstreams()).toMatchObject([{ id: own.id, name: "another" }]);
      expect(Object.keys(read())).not.toEqual(expect.arrayContaining([expect.stringMatching(/^upstream|^workerKey/)]));
      await api.send("DELETE", `${UPSTREAMS}/${own.id}`);
    },
  );

  it("works on with the file of an earlier release, which digested every variable of .dev.vars", async () => {
    const more = new Map([...secrets, ["OTHER", "x"]]);
    const digest = createHash("sha256").update(JSON.stringify([...more]));
    const known = read();
    write({ ...known, secrets: digest.digest("hex") });
    const old = await ensureFirst(folder, more);
    expect(old).toMatchObject({ tenantId: known.tenantId, key: known.key });
    expect(await ensureEndpoint(api, folder, old)).toMatchObject({ endpointId: known.endpointId, made: false });
    const other = new Map([...more, ["PEPPER", "q".repeat(32)]]);
    await expect(ensureFirst(folder, other)).rejects.toThrow("The secrets in .dev.vars are not those that");
  });

  it("takes no other tenant's endpoint for its own", async () => {
    const { key } = read();
    const foreign = { secrets: digestOf(), tenantId: "ten-other", key, webhookSecret: "" };
    await expect(ensureEndpoint(api, folder, foreign)).rejects.toThrow("is another tenant's");
  });
});
