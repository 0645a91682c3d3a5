// What the hook of an operator is sent, and what its words mean.
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hookRequestSchema } from "../../src/contract/fleet-hook.ts";
import { HOOK_SECRET, machineOf, Provided, WORKER } from "../support/provided.ts";

const ID = "k3v9x0ab12cd";
const OTHER = "a1b2c3d4e5f6";
const NAME = `wb-0123456789abcdef-${ID}`;

let provided: Provided;

beforeEach(() => {
  provided = new Provided("webhook");
});

afterEach(() => vi.restoreAllMocks());

const answerWith = (status: number, body: unknown) =>
  provided.calls.meet({ kind: "status", status, body: JSON.stringify(body) });

/** The request that came last, read as a hook reads it. */
function lastRequest() {
  const call = provided.calls.seen.at(-1);
  if (call === undefined) throw new Error("nothing was sent");
  const verified = new Webhook(HOOK_SECRET).verify(call.body, Object.fromEntries(call.headers));
  return { call, body: hookRequestSchema.parse(verified) };
}

describe("a hook is sent", () => {
  it("all machines that are wanted, and what they are made of, signed by Standard Webhooks", async () => {
    await provided.ask("create", machineOf(ID));
    await provided.ask("create", machineOf(OTHER));
    await provided.ask("stop", machineOf(ID, "m1"));
    const { call, body } = lastRequest();
    expect(call.method).toBe("POST");
    expect(call.headers.get("content-type")).toBe("application/json");
    expect(call.headers.get("webhook-id")).toBe("fleet_0123456789abcdef_3");
    const shared = { gpuTypeId: "NVIDIA L4", tier: "l4", endsAt: "2099-01-31T12:00:00.000Z" };
    expect(body).toEqual({
      type: "fleet.desired",
      version: 1,
      endpointId: "0123456789abcdef",
      number: 3,
      operation: "stop",
      machine: NAME,
      worker: WORKER,
      machines: [
        {
          name: NAME,
          instanceId: ID,
          id: "m1",
          state: "stopped",
          env: { RUNPOD_POD_ID: ID, TOKEN: "of the machine" },
          ...shared,
        },
        {
          name: `wb-0123456789abcdef-${OTHER}`,
          instanceId: OTHER,
          id: null,
          state: "running",
          env: { RUNPOD_POD_ID: OTHER, TOKEN: "of the machine" },
          ...shared,
        },
      ],
    });
  });

  it("a list, too, as the state that is wanted", async () => {
    await provided.ask("create", machineOf(ID));
    await provided.ask("list");
    expect(lastRequest().body).toMatchObject({
      operation: "list",
      machine: null,
      number: 2,
      machines: [{ name: NAME }],
    });
  });

  it("no worker where none can be made, such as when the endpoint is deleted", async () => {
    await provided.ask("end", machineOf(ID, "m1"), { plan: null });
    expect(lastRequest().body).toMatchObject({ operation: "end", machine: NAME, worker: null, machines: [] });
  });
});

describe("a hook that has taken a newer state", () => {
  it("refuses an older one that comes late, and nothing is ended by it", async () => {
    await provided.ask("create", machineOf(ID));
    await provided.ask("create", machineOf(OTHER));
    expect(await provided.ask("list", null, { number: 1 })).toEqual({
      kind: "unclear",
      detail: "The hook has taken the state 2 already, so it did not take 1.",
    });
    expect(await provided.listed()).toHaveLength(2);
  });
});

describe("the words of a hook", () => {
  it.each([
    [
      { reason: "no_capacity", detail: "the rack is full" },
      { kind: "no_capacity", detail: "the rack is full" },
    ],
    [{ reason: "bad_config" }, { kind: "bad_config", detail: "The hook refuses: bad_config." }],
    [{ reason: "unpaid" }, { kind: "unpaid" }],
    [{ reason: "denied" }, { kind: "denied" }],
    [{ reason: "unclear" }, { kind: "unclear" }],
    [
      { reason: "unreachable", detail: "the cloud is down" },
      { kind: "unreachable", detail: "the cloud is down" },
    ],
    [
      { reason: "wait", retryAfterSeconds: 2.5 },
      { kind: "wait", retryAfterMs: 2_500 },
    ],
    [{ reason: "wait" }, { kind: "wait", retryAfterMs: null }],
  ])("%j about one machine are taken for it", async (said, meaning) => {
    answerWith(200, { machines: [], refused: [{ name: NAME, ...said }] });
    expect(await provided.ask("create", machineOf(ID))).toMatchObject(meaning);
  });

  it("about another machine are not taken for this one", async () => {
    answerWith(200, {
      machines: [{ name: NAME, id: "m1", status: "creating" }],
      refused: [{ name: `wb-0123456789abcdef-${OTHER}`, reason: "no_capacity" }],
    });
    expect(await provided.ask("create", machineOf(ID))).toMatchObject({
      kind: "done",
      instance: { status: "creating" },
    });
  });

  it.each([
    [400, { reason: "no_capacity", detail: "full" }, { kind: "no_capacity", detail: "The hook answered 400: full." }],
    [503, { reason: "wait", retryAfterSeconds: 9 }, { kind: "wait", retryAfterMs: 9_000 }],
    [500, { reason: "unpaid" }, { kind: "unpaid" }],
    [429, { retryAfterSeconds: 3 }, { kind: "wait", retryAfterMs: 3_000 }],
    [409, {}, { kind: "unclear", detail: "The hook has taken a newer state already, so it did not take 1." }],
    [400, { detail: "no such GPU" }, { kind: "bad_config", detail: "The hook answered 400: no such GPU." }],
    [404, {}, { kind: "unreachable", detail: "The hook answered 404." }],
    [405, {}, { kind: "unreachable" }],
    [408, {}, { kind: "unclear" }],
    [502, { reason: "what" }, { kind: "unclear", detail: "The hook answered 502." }],
  ])("beside the status %i: %j", async (status, said, meaning) => {
    answerWith(status, said);
    expect(await provided.ask("create", machineOf(ID))).toMatchObject(meaning);
  });

  it.each(["create", "start", "stop", "end"] as const)(
    "409 with a newer number means that the %s is done: a newer state has it in it",
    async (operation) => {
      answerWith(409, { number: 17 });
      expect(await provided.ask(operation, machineOf(ID))).toEqual({ kind: "done", instance: null });
    },
  );

  it("409 with a newer number leaves unclear what a list would have shown", async () => {
    answerWith(409, { number: 17 });
    expect(await provided.ask("list")).toMatchObject({ kind: "unclear" });
  });

  it("that are wrong are named with their place", async () => {
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "up" }] });
    const { detail } = (await provided.ask("list")) as { detail: string };
    expect(detail).toMatch(/^The hook answered 200 with a body that cannot be used: .+ at machines\.0\.status\.$/);
  });

  it("with an address that is longer than 2,048 characters cannot be used, and one of that length can", async () => {
    const url = (length: number) => "https://gpu.example.org/".padEnd(length, "a");
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "running", url: url(2_048) }] });
    expect(await provided.ask("list")).toMatchObject({ kind: "listed", instances: [{ url: url(2_048) }] });
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "running", url: url(2_049) }] });
    expect(await provided.ask("list")).toMatchObject({
      kind: "unclear",
      detail: expect.stringContaining("at machines.0.url."),
    });
  });

  it("of a machine that it takes and does not show yet make no second one", async () => {
    answerWith(200, { machines: [] });
    expect(await provided.ask("create", machineOf(ID))).toEqual({ kind: "done", instance: null });
  });

  it("of a machine that is ended are that it is gone", async () => {
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "ended" }] });
    expect(await provided.ask("end", machineOf(ID, "m1"))).toEqual({ kind: "gone" });
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "running" }] });
    expect(await provided.ask("end", machineOf(ID, "m1"))).toMatchObject({ kind: "done" });
  });

  it("have the price, the address and the last words of a machine", async () => {
    const more = { pricePerHour: 0.1 + 0.2, url: "https://gpu.example.org:8443/", detail: "out of\nmemory" };
    answerWith(200, { machines: [{ name: NAME, id: "m1", status: "failed", ...more }] });
    expect(await provided.ask("list")).toEqual({
      kind: "listed",
      instances: [
        {
          name: NAME,
          ref: "m1",
          status: "failed",
          priceNanodollarsPerHour: 300_000_000,
          url: "https://gpu.example.org:8443/",
          detail: "out of memory",
        },
      ],
    });
  });

  it.each([{ url: "rack-7" }, { pricePerHour: -1 }, { pricePerHour: 1e9 }, { status: "gone" }])(
    "with %j are no list",
    async (wrong) => {
      answerWith(200, { machines: [{ name: NAME, id: "m1", status: "running", ...wrong }] });
      expect(await provided.ask("list")).toMatchObject({ kind: "unclear" });
    },
  );
});

it("a secret that cannot sign is the provider's fault, and nothing is sent", async () => {
  expect(await provided.ask("list", null, { credential: "whsec_no base64" })).toMatchObject({ kind: "denied" });
  expect(provided.calls.seen).toEqual([]);
});
