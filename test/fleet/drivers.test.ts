// What every driver does alike, whatever its vendor's API is: a machine's life, and each way in which a vendor can refuse or fail.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { machineOf, Provided } from "../support/provided.ts";
import type { Fault } from "../support/vendor-faults.ts";

const ID = "k3v9x0ab12cd";
const NAME = `wb-0123456789abcdef-${ID}`;

let provided: Provided;

afterEach(() => vi.restoreAllMocks());

describe.each(["runpod", "webhook", "local"] as const)("a provider of the kind %s", (kind) => {
  beforeEach(() => {
    provided = new Provided(kind);
  });

  /** A machine that runs, with the provider's own id. */
  async function created() {
    const answer = await provided.ask("create", machineOf(ID));
    if (answer.kind !== "done" || answer.instance === null) throw new Error(`not made: ${JSON.stringify(answer)}`);
    return machineOf(ID, answer.instance.ref);
  }

  describe("has a machine that", () => {
    it("is created, listed, stopped, started, ended, and gone", async () => {
      const instance = { name: NAME, status: "running", priceNanodollarsPerHour: 440_000_000, url: null, detail: null };
      expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "done", instance });
      const [listed] = await provided.listed();
      expect(listed).toMatchObject(instance);
      const machine = machineOf(ID, listed?.ref ?? "");
      expect(await provided.ask("stop", machine)).toMatchObject({ kind: "done", instance: { status: "stopped" } });
      expect(await provided.listed()).toMatchObject([{ name: NAME, ref: machine.ref, status: "stopped" }]);
      expect(await provided.ask("start", machine)).toMatchObject({ kind: "done", instance: { status: "running" } });
      expect(await provided.listed()).toMatchObject([{ name: NAME, ref: machine.ref, status: "running" }]);
      expect(["done", "gone"]).toContain((await provided.ask("end", machine)).kind);
      expect(await provided.listed()).toEqual([]);
      expect(await provided.ask("end", machine)).toEqual({ kind: "gone" });
      expect(provided.made(ID)).toBe(1);
    });

    it("is as it was asked for when that is asked for again", async () => {
      const machine = await created();
      expect(await provided.ask("start", machine)).toMatchObject({ kind: "done", instance: { status: "running" } });
      await provided.ask("stop", machine);
      expect(await provided.ask("stop", machine)).toMatchObject({ kind: "done", instance: { status: "stopped" } });
    });

    it("never was, and so is gone, whatever is asked for", async () => {
      expect(await provided.ask("end", machineOf(ID, "unknown"))).toEqual({ kind: "gone" });
      expect(await provided.ask("stop", machineOf(ID, "unknown"))).toEqual({ kind: "gone" });
    });

    it("is ended by its name where its id is not known", async () => {
      await created();
      expect(["done", "gone"]).toContain((await provided.ask("end", machineOf(ID))).kind);
      expect(await provided.listed()).toEqual([]);
      expect(await provided.ask("end", machineOf(ID))).toEqual({ kind: "gone" });
    });

    it("cannot be had, and none is made", async () => {
      provided.sellOut();
      expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "no_capacity" });
      expect(provided.made(ID)).toBe(0);
    });

    it("cannot be started again where its GPU is somebody else's by now", async () => {
      const machine = await created();
      await provided.ask("stop", machine);
      provided.sellOut();
      expect(await provided.ask("start", machine)).toMatchObject({ kind: "no_capacity" });
    });

    it("is not in a list that is behind, and is in a later one", async () => {
      provided.lag(30_000);
      expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "done" });
      expect(await provided.listed()).toEqual([]);
      provided.nowMs += 30_000;
      expect(await provided.listed()).toMatchObject([{ name: NAME }]);
    });
  });

  describe("that refuses", () => {
    it.each<[string, Fault, object]>([
      ["for lack of money", { kind: "status", status: 402 }, { kind: "unpaid" }],
      ["the key", { kind: "status", status: 401 }, { kind: "denied" }],
      ["what the key may not do", { kind: "status", status: 403 }, { kind: "denied" }],
      ["too many calls", { kind: "status", status: 429 }, { kind: "wait", retryAfterMs: null }],
      [
        "too many calls, for a time",
        { kind: "status", status: 429, headers: { "retry-after": "7" } },
        { kind: "wait", retryAfterMs: 7_000 },
      ],
      ["what is asked for", { kind: "status", status: 422 }, { kind: "bad_config" }],
      [
        "by a redirect",
        { kind: "status", status: 302, headers: { location: "https://b.example.org/" } },
        { kind: "unreachable" },
      ],
      ["by a proxy that cannot reach it", { kind: "status", status: 521, body: "<html>" }, { kind: "unreachable" }],
    ])("%s says so, and nothing is made", async (_what, fault, answer) => {
      provided.calls.meet(fault);
      expect(await provided.ask("create", machineOf(ID))).toMatchObject(answer);
      expect(provided.made(ID)).toBe(0);
      // One call: nothing is tried again here.
      expect(provided.calls.seen).toHaveLength(1);
    });

    it.each([401, 402, 403, 429])("with %i is as clear for every other call", async (status) => {
      const machine = await created();
      const kinds = { 401: "denied", 402: "unpaid", 403: "denied", 429: "wait" };
      for (const operation of ["stop", "start", "end", "list"] as const) {
        provided.calls.meet({ kind: "status", status });
        const answer = await provided.ask(operation, operation === "list" ? null : machine);
        expect(answer.kind).toBe(kinds[status as keyof typeof kinds]);
      }
    });

    it("a credential that is not its own says so", async () => {
      const credential = kind === "runpod" ? "rpa_of_somebody_else" : `whsec_${btoa("the secret of somebody else")}`;
      expect(await provided.ask("create", machineOf(ID), { credential })).toMatchObject({ kind: "denied" });
      expect(await provided.ask("list", null, { credential })).toMatchObject({ kind: "denied" });
    });

    it("has its words in the sentence, in one line and cut", async () => {
      const detail = `No way\n${"x".repeat(2_000)}`;
      provided.calls.meet({ kind: "status", status: 402, body: JSON.stringify({ detail }) });
      const answer = await provided.ask("create", machineOf(ID));
      const words = "detail" in answer ? answer.detail : "";
      expect(words).toMatch(/^(RunPod|The hook) answered 402: No way x+…$/);
      expect(words.length).toBeLessThan(600);
    });
  });

  describe("that fails", () => {
    it.each([false, true])(
      "with 500 leaves a create unclear, whether it was done (%s) or not, and a list tells",
      async (isDone) => {
        provided.calls.meet({ kind: "status", status: 500, isDone, body: "<html>" });
        expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "unclear" });
        expect(provided.made(ID)).toBe(isDone ? 1 : 0);
        // A provider that takes the whole state makes what is wanted by any call.
        if (isDone || kind !== "runpod") expect(await provided.listed()).toMatchObject([{ name: NAME }]);
        else expect(await provided.listed()).toEqual([]);
      },
    );

    it.each<[string, Fault]>([
      ["breaks the connection", { kind: "lost", isDone: true }],
      ["does not answer", { kind: "silent", isDone: true }],
      ["breaks off within its answer", { kind: "half", isDone: true }],
      ["answers with what is no JSON", { kind: "status", status: 200, body: "<html>", isDone: true }],
      ["answers with another object", { kind: "status", status: 201, body: '{"ok":true}', isDone: true }],
      [
        "answers with a machine without a name",
        { kind: "status", status: 200, body: '{"machines":[{"id":"m"}],"id":"m"}', isDone: true },
      ],
    ])("and %s after a create leaves it unclear, and it is found by its name", async (_what, fault) => {
      provided.calls.meet(fault);
      expect(await provided.ask("create", machineOf(ID), { withinMs: 200 })).toMatchObject({ kind: "unclear" });
      const [listed] = await provided.listed();
      expect(listed).toMatchObject({ name: NAME, status: "running" });
      const machine = machineOf(ID, listed?.ref ?? "");
      expect(["done", "gone"]).toContain((await provided.ask("end", machine)).kind);
      expect(await provided.listed()).toEqual([]);
      expect(provided.made(ID)).toBe(1);
    });

    it("by the lost answer to an end leaves it unclear, and the next one finds nothing", async () => {
      const machine = await created();
      provided.calls.meet({ kind: "lost", isDone: true });
      expect(await provided.ask("end", machine)).toMatchObject({ kind: "unclear" });
      expect(await provided.ask("end", machine)).toEqual({ kind: "gone" });
    });

    it("by the lost answer to a stop is stopped all the same, and says so next time", async () => {
      const machine = await created();
      provided.calls.meet({ kind: "lost", isDone: true });
      expect(await provided.ask("stop", machine)).toMatchObject({ kind: "unclear" });
      expect(await provided.ask("stop", machine)).toMatchObject({ kind: "done", instance: { status: "stopped" } });
    });

    it.each<[string, Fault]>([
      ["breaks the connection", { kind: "lost", isDone: false }],
      ["does not answer", { kind: "silent", isDone: false }],
      ["breaks off", { kind: "half", isDone: true }],
      ["has an error", { kind: "status", status: 500 }],
      ["answers with no JSON", { kind: "status", status: 200, body: "<html>" }],
      ["answers with another object", { kind: "status", status: 200, body: '{"machines":{},"pods":{}}' }],
      [
        "lists a machine without an id",
        { kind: "status", status: 200, body: JSON.stringify({ machines: [{ name: NAME }], pods: [{ name: NAME }] }) },
      ],
    ])("and %s gives no list, so that no machine seems to be gone", async (_what, fault) => {
      await created();
      provided.calls.meet(fault);
      const answer = await provided.ask("list", null, { withinMs: 200 });
      expect(["unclear", "unreachable"]).toContain(answer.kind);
      expect(await provided.listed()).toHaveLength(1);
    });

    it("by a refused connection is unreachable: surely nothing was made", async () => {
      vi.restoreAllMocks();
      expect(await provided.ask("create", machineOf(ID), { isClosed: true })).toMatchObject({
        kind: "unreachable",
        detail: expect.stringContaining("could not be reached: the connection was refused"),
      });
      expect(await provided.ask("list", null, { isClosed: true })).toMatchObject({ kind: "unreachable" });
    });
  });

  it("shows no machine that is not the endpoint's", async () => {
    await created();
    provided.hook?.machines.set("wb-fedcba9876543210-k3v9x0ab12cd", {
      name: "wb-fedcba9876543210-k3v9x0ab12cd",
      id: "x",
      status: "running",
    });
    provided.calls.meet({
      kind: "status",
      status: 200,
      body: JSON.stringify({
        machines: [{ name: "my own", id: "a", status: "running" }],
        pods: [{ name: "my own" }, { name: "wb-fedcba9876543210-k3v9x0ab12cd", status: 7 }],
      }),
    });
    expect(await provided.listed()).toEqual([]);
    expect(await provided.listed()).toHaveLength(1);
  });
});
