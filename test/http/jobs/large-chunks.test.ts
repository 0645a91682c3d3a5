// Chunks of pulling workers that are too large for a row of the log: what becomes of them, and of posts that are
// refused, repeated or cut short while their pieces are on their way.
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { CHUNK_MAX_BYTES } from "../../../src/core/limits.ts";
import { keptOf } from "../../support/kept.ts";
import { makePulling } from "../../support/pulling.ts";

afterEach(() => vi.restoreAllMocks());

const MIB = 1024 * 1024;
const pageSchema = z.object({ status: z.string(), stream: z.array(z.object({ output: z.unknown() })) });

/** A job that worker `w1` holds, and what to post for it. */
async function runningJob() {
  const pulling = await makePulling();
  await pulling.submit("{}");
  const id = await pulling.takeOne();
  const post = (body: string | ReadableStream) =>
    pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=false`, { body });
  const drain = async () => {
    const page = pageSchema.parse(await (await pulling.asClient(`stream/${id}?wait=1000`)).json());
    return page.stream.map(({ output }) => output);
  };
  return {
    ...pulling,
    id,
    post,
    chunk: (value: unknown) => post(JSON.stringify({ output: value })),
    drain,
    /** Ends the job without an aggregate, and returns its output. */
    output: async () => {
      await pulling.asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, { body: '{"output":[]}' });
      return z.array(z.unknown()).parse((await pulling.status(id)).output);
    },
  };
}

const joined = (pieces: readonly unknown[]) => pieces.map((piece) => z.string().parse(piece)).join("");

/** Large values are compared here, because a failed comparison by the test runner would print them. */
const isSame = (left: unknown, right: unknown) => JSON.stringify(left) === JSON.stringify(right);

/** A text whose pieces differ, so that one that is missing, doubled or misplaced is seen. */
const textOf = (bytes: number) => "0123456789é😀".repeat(Math.ceil(bytes / 16));

describe("a posted chunk", () => {
  it.each([
    ["below the limit", CHUNK_MAX_BYTES - 3, 1],
    ["at the limit", CHUNK_MAX_BYTES - 2, 1],
    ["above the limit", CHUNK_MAX_BYTES - 1, 2],
    ["3 MiB", 3 * MIB, 4],
  ])("is one or more strings: a text %s", async (_size, chars, count) => {
    const job = await runningJob();
    const text = "x".repeat(chars);
    expect((await job.chunk(text)).status).toBe(200);
    expect((await job.chunk("next")).status).toBe(200);
    const pieces = await job.output();
    expect([pieces.length, joined(pieces) === `${text}next`]).toEqual([count + 1, true]);
  });

  it("is the JSON text of another value in strings, with null for NaN", async () => {
    const job = await runningJob();
    const list = Array.from({ length: 150_000 }, (_, n) => `${n}"é`);
    expect((await job.post(`{"output": {"list": ${JSON.stringify(list)}, "none": NaN} }`)).status).toBe(200);
    const pieces = await job.output();
    expect(pieces.length).toBeGreaterThan(1);
    expect(isSame(JSON.parse(joined(pieces)), { list, none: null })).toBe(true);
  });

  it("of 20 MiB is handed out whole, with characters that no piece has cut", { timeout: 30_000 }, async () => {
    const job = await runningJob();
    const text = textOf(20 * MIB);
    expect((await job.chunk(text)).status).toBe(200);
    const pieces: unknown[] = [];
    while (joined(pieces).length < text.length) pieces.push(...(await job.drain()));
    expect(joined(pieces) === text).toBe(true);
    expect(pieces.every((piece) => String(piece).isWellFormed())).toBe(true);
    expect(joined(await job.output()) === text).toBe(true);
  });
});

describe("a large post", () => {
  const overloaded = () => Object.assign(new Error("overloaded"), { overloaded: true });
  const reset = () => Object.assign(new Error("reset"), { durableObjectReset: true });
  const text = textOf(3 * MIB);

  /** Lets the calls with these indexes fail, after the broker has done its work where `isDone`. */
  function failPieces(indexes: readonly number[], isDone: boolean, error: () => Error) {
    const left = [...indexes];
    const append = EndpointBroker.prototype.appendPiece;
    return vi.spyOn(EndpointBroker.prototype, "appendPiece").mockImplementation(async function (
      this: EndpointBroker,
      call,
    ) {
      const fails = left[0] === call.index;
      if (fails) left.shift();
      const reply = fails && !isDone ? "lost" : await append.call(this, call);
      if (fails) throw error();
      return reply;
    });
  }

  it.each([0, 1, 3])(
    "that is refused at piece %i shows nothing, and is whole when the worker repeats it",
    async (index) => {
      const job = await runningJob();
      await job.chunk("before");
      failPieces([index], false, overloaded);
      expect((await job.chunk(text)).status).toBe(503);
      expect(await job.drain()).toEqual(["before"]);
      expect((await job.chunk(text)).status).toBe(200);
      expect((await job.chunk("after")).status).toBe(200);
      expect(joined(await job.output()) === `before${text}after`).toBe(true);
    },
  );

  it.each([[[0]], [[1, 1]], [[3]], [[0, 1, 2, 3]]])(
    "counts once where the broker's answers to %j are lost",
    async (indexes) => {
      const job = await runningJob();
      failPieces(indexes, true, reset);
      expect((await job.chunk(text)).status).toBe(200);
      expect(joined(await job.output()) === text).toBe(true);
    },
  );

  it("is asked for again where the broker was started anew in its middle, and nothing of it stands twice", async () => {
    const job = await runningJob();
    const object = env.ENDPOINT_BROKER.getByName(job.tenant.endpointId);
    await job.chunk("before");
    failPieces([2], false, overloaded);
    expect((await job.chunk(text)).status).toBe(503);
    await evictDurableObject(object);
    expect(await job.drain()).toEqual(["before"]);
    vi.restoreAllMocks();
    expect((await job.chunk(text)).status).toBe(200);
    const { rows, memory } = await keptOf(job.tenant.endpointId, [job.tenant.tenantId]);
    expect(memory).toEqual(rows.tallies);
    expect(joined(await job.output()) === `before${text}`).toBe(true);
  });

  it("that the worker has given up leaves no gap before its next chunk", async () => {
    const job = await runningJob();
    failPieces([2], false, overloaded);
    expect((await job.chunk(text)).status).toBe(503);
    expect((await job.chunk("next")).status).toBe(200);
    expect(await job.drain()).toEqual(["next"]);
    expect(await job.output()).toEqual(["next"]);
  });

  it("that is no JSON at its end shows nothing, and ends the attempt", async () => {
    const job = await runningJob();
    expect((await job.post(`{"output":"${text}`)).status).toBe(400);
    expect(await job.drain()).toEqual([]);
    expect(await job.status(job.id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("whose connection breaks shows nothing, and ends the attempt, because the SDK sends it only once", async () => {
    const job = await runningJob();
    await job.chunk("before");
    const half = new TextEncoder().encode(`{"output":"${text}`);
    const pieces = [half.subarray(0, MIB), half.subarray(MIB)];
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const piece = pieces.shift();
        if (piece === undefined) controller.error(new Error("connection lost"));
        else controller.enqueue(piece);
      },
    });
    expect((await job.post(broken)).status).toBe(400);
    expect(await job.drain()).toEqual(["before"]);
    expect(await job.status(job.id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("of a worker that does not hold the job changes nothing", async () => {
    const job = await runningJob();
    const body = JSON.stringify({ output: text });
    const foreign = await job.asWorker(`job-stream/WORKER/${job.id}?isStream=false`, { workerId: "w2", body });
    expect(await foreign.json()).toEqual({ accepted: false });
    expect(await job.output()).toEqual([]);
  });
});
