// Chunks whose worker numbers them, as our own SDK does: each counts once, however often its post comes, and none is left out.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { keptOf } from "../../support/kept.ts";
import { makePulling } from "../../support/pulling.ts";

afterEach(() => vi.restoreAllMocks());

const attemptsSchema = z.object({ attempts: z.array(z.object({ code: z.string().nullable(), message: z.string() })) });
const LARGE = "0123456789é😀".repeat(200_000);

/** A job that worker `w1` holds, and its stream. */
async function streaming() {
  const pulling = await makePulling();
  const object = env.ENDPOINT_BROKER.getByName(pulling.tenant.endpointId);
  await pulling.submit("{}");
  const id = await pulling.takeOne();
  const post = (output: unknown, number?: string | number, workerId = "w1") => {
    const named = number === undefined ? "" : `&chunk=${number}`;
    const body = JSON.stringify({ output });
    return pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=false${named}`, { body, workerId });
  };
  return {
    ...pulling,
    id,
    post,
    /** Posts a chunk that is taken, whether it is stored by this post or was before. */
    accept: async (output: unknown, number?: number) => {
      expect(await (await post(output, number)).json()).toEqual({ accepted: true });
    },
    restart: () => evictDurableObject(object),
    rows: () =>
      runInDurableObject(object, (_instance, { storage }) =>
        storage.sql.exec("SELECT count FROM chunks ORDER BY attempt, seq").toArray(),
      ),
    /** Ends the job, and returns what it has streamed, with the pieces of the large text as one. */
    output: async () => {
      await pulling.asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, { body: '{"output":[]}' });
      const chunks = z.array(z.string()).parse((await pulling.status(id)).output);
      return chunks.join("").replaceAll(LARGE, "LARGE");
    },
    attempts: async () => {
      const headers = { authorization: `Bearer ${pulling.tenant.key}` };
      const answer = await exports.default.fetch(new Request(`https://waybill.test/v1/jobs/${id}`, { headers }));
      return attemptsSchema.parse(await answer.json()).attempts;
    },
  };
}

describe("a numbered chunk that is posted again", () => {
  it("counts once, with the broker started anew in between or not, and takes no row more than others", async () => {
    const job = await streaming();
    await job.accept("a", 0);
    await job.accept("a", 0);
    await job.accept("b", 1);
    await job.restart();
    await job.accept("b", 1);
    await job.accept("a", 0);
    await job.accept("c", 2);
    await job.accept("c", 2);
    expect(await job.rows()).toEqual([{ count: 1 }, { count: 1 }, { count: 1 }]);
    expect(await job.output()).toBe("abc");
  });

  it("counts once where it is stored in pieces", async () => {
    const job = await streaming();
    await job.accept("a", 0);
    await job.accept(LARGE, 1);
    await job.accept(LARGE, 1);
    await job.restart();
    await job.accept(LARGE, 1);
    await job.accept("b", 2);
    const { rows, memory } = await keptOf(job.tenant.endpointId, [job.tenant.tenantId]);
    expect(memory).toEqual(rows.tallies);
    expect(await job.output()).toBe("aLARGEb");
  });

  it("is whole where the broker was started anew in the middle of its first post", async () => {
    const job = await streaming();
    await job.accept("a", 0);
    const append = EndpointBroker.prototype.appendPiece;
    vi.spyOn(EndpointBroker.prototype, "appendPiece").mockImplementation(function (this: EndpointBroker, call) {
      if (call.index === 2) throw Object.assign(new Error("overloaded"), { overloaded: true });
      return append.call(this, call);
    });
    expect((await job.post(LARGE, 1)).status).toBe(503);
    vi.restoreAllMocks();
    await job.restart();
    await job.accept(LARGE, 1);
    await job.accept(LARGE, 1);
    await job.accept("b", 2);
    expect(await job.output()).toBe("aLARGEb");
  });

  it("counts once where the broker was lost before it had answered the edge, which asks it again", async () => {
    const job = await streaming();
    const append = EndpointBroker.prototype.appendChunk;
    const appends = vi.spyOn(EndpointBroker.prototype, "appendChunk").mockImplementationOnce(async function (
      this: EndpointBroker,
      call,
    ) {
      await append.call(this, call);
      throw Object.assign(new Error("reset"), { durableObjectReset: true });
    });
    await job.accept("a", 0);
    expect(appends).toHaveBeenCalledTimes(2);
    expect(await job.output()).toBe("a");
  });
});

describe("a chunk without a number", () => {
  it("stands as often as it is posted, as RunPod's SDK posts it", async () => {
    const job = await streaming();
    await job.accept("a");
    await job.accept("a");
    expect(await job.output()).toBe("aa");
  });

  it("counts before numbered ones: an earlier release has stored the beginning of such a stream by no number", async () => {
    const job = await streaming();
    await job.accept("a");
    await job.accept(LARGE);
    await job.restart();
    await job.accept(LARGE, 1);
    await job.accept("b", 2);
    expect(await job.output()).toBe("aLARGEb");
  });
});

describe("a number", () => {
  it("ahead of the chunks that are stored ends the attempt instead of leaving a hole", async () => {
    const job = await streaming();
    await job.accept("a", 0);
    const refused = await job.post("c", 2);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: "chunk: is 2, and chunks of this attempt before it are missing",
    });
    expect(await job.status(job.id)).toMatchObject({ status: "IN_QUEUE" });
    expect(await job.attempts()).toMatchObject([
      {
        code: "bad_answer",
        message: "the number of a streamed chunk is 2, and chunks of this attempt before it are missing",
      },
    ]);
  });

  it("ahead of them ends the attempt by the first piece of a large chunk", async () => {
    const job = await streaming();
    expect((await job.post(LARGE, 1)).status).toBe(400);
    expect(await job.rows()).toEqual([]);
    expect(await job.status(job.id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it.each(["", "-1", "1.5", "one", "9".repeat(20)])("that is none, %j, is refused by name", async (number) => {
    const job = await streaming();
    const refused = await job.post("a", number);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: "chunk: must be a whole number from 0 on" });
    expect(await job.status(job.id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("of an attempt that another one has replaced changes nothing, and the new one begins at zero", async () => {
    const job = await streaming();
    await job.accept("old", 0);
    await job.post("worse", "none");
    // Held until the pause before the second attempt is over.
    expect(await job.takeOne()).toBe(job.id);
    expect(await (await job.post("foreign", 1, "w2")).json()).toEqual({ accepted: false });
    await job.accept("new", 0);
    await job.accept("new", 0);
    expect(await job.output()).toBe("new");
  });
});
