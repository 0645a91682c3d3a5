// While a deployment is being made of an export nobody gets at what is there in part, and no caller learns that a key is unknown: an
// isolate would remember that.
import { listDurableObjectIds } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect, it } from "vitest";
import { repairBrokers } from "../../../src/consumers/repair.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../../src/core/access/api-key.ts";
import { beginImport, endImport } from "../../../src/db/importing.ts";
import { runAll } from "../../../src/db/statement.ts";
import { makePulling } from "../../support/pulling.ts";

const TAKE = "job-take/WORKER?gpu=SIM&job_in_progress=0";

it("every key is answered with 503 until an import has ended, and works at once when it has; no broker is started", async () => {
  await runAll(env.DB, [beginImport("f")]);
  const { asClient, asWorker, tenant } = await makePulling();
  await env.DB.prepare("UPDATE endpoints SET version = version + 1").run();
  // The key is not written yet.
  const { key: later } = makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
  const health = (key: string) =>
    exports.default.fetch(
      new Request(`https://waybill.test/v2/${tenant.endpointId}/health`, { headers: { authorization: key } }),
    );
  const refused = [await asClient("run", '{"input":1}'), await asWorker(TAKE), await health(later)];
  for (const answer of refused) {
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("the deployment is being made of an export");
  }
  await repairBrokers(env);
  const started = await listDurableObjectIds(env.ENDPOINT_BROKER);
  expect(started.filter((id) => id.equals(env.ENDPOINT_BROKER.idFromName(tenant.endpointId)))).toEqual([]);

  await runAll(env.DB, endImport("f"));
  expect((await asClient("run", '{"input":1}')).status).toBe(200);
  expect((await asWorker(TAKE)).status).toBe(200);
  expect((await health(later)).status).toBe(401);
});
