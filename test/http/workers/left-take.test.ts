// A worker that hangs up while its job is being read for it.
import { env, exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

it("a take whose client goes away while its input is read from R2 gives its job back", async () => {
  const tenant = await makeTenant({ workerKeys: [{}] });
  const [key = ""] = tenant.workerKeys;
  const base = `https://waybill.test/v2/${tenant.endpointId}`;
  const ask = (path: string, init: RequestInit = {}, as = tenant.key) =>
    exports.default.fetch(new Request(`${base}${path}`, { ...init, headers: { authorization: as } }));
  const body = JSON.stringify({ input: "x".repeat(300_000) });
  const { id } = await (await ask("/run", { method: "POST", body })).json<{ id: string }>();
  const statusOf = async () => (await ask(`/status/${id}`)).json();
  let goOn = (): void => undefined;
  const reading = new Promise<null>((resolve) => {
    goOn = () => resolve(null);
  });
  const get = vi.spyOn(Object.getPrototypeOf(env.PAYLOADS), "get").mockImplementation(() => reading);
  const leaving = new AbortController();
  const taking = ask("/job-take/w1?job_in_progress=0", { signal: leaving.signal }, key).catch(() => null);
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  expect(await statusOf()).toMatchObject({ status: "IN_PROGRESS" });
  leaving.abort();
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ status: "IN_QUEUE" }));
  goOn();
  await taking;
});
