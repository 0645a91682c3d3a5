// An upstream that is pushed to and answers with a stream: its chunks land in the same log as those of a pulling worker.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { CHUNK_MAX_BYTES, GATHER_BYTES } from "../../../src/core/limits.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

/**
 * An answer whose parts the test sends, one by one. The stream lives where the carrier runs, as a real one would, so it
 * looks for them: objects of one invocation must not be used in another.
 */
function openAnswer(type: string) {
  const sent: (string | Uint8Array | "close" | "cut")[] = [];
  const encoder = new TextEncoder();
  answerUpstreams(() => {
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        while (sent.length === 0) await scheduler.wait(5);
        const part = sent.shift() ?? "";
        if (part === "close") controller.close();
        else if (part === "cut") controller.error(new Error("cut"));
        else controller.enqueue(typeof part === "string" ? encoder.encode(part) : part);
      },
    });
    return new Response(body, { headers: { "content-type": type } });
  });
  return {
    send: (part: string | Uint8Array) => sent.push(part),
    close: () => sent.push("close"),
    cut: () => sent.push("cut"),
  };
}

async function job(maxAttempts = 2) {
  const tenant = await makeTenant({ upstreams: [{}], maxAttempts });
  const ask = (path: string, body: string | null = null) => {
    const headers = { authorization: tenant.key, "content-type": "application/json" };
    const method = body === null ? "GET" : "POST";
    return exports.default.fetch(
      new Request(`https://waybill.test/v2/${tenant.endpointId}/${path}`, { method, headers, body }),
    );
  };
  const { id } = z.object({ id: z.string() }).parse(await (await ask("run", '{"input":{}}')).json());
  return {
    stream: async () => (await ask(`stream/${id}`)).json(),
    done: async () => (await ask(`status-sync/${id}`)).json(),
  };
}

describe("a pushed stream", () => {
  it("of events is readable while it runs, and its chunks are the output", async () => {
    const answer = openAnswer("text/event-stream");
    const { stream, done } = await job();
    answer.send('data: {"n":1.0}\n\ndata: words\n\n');
    expect(await stream()).toMatchObject({
      status: "IN_PROGRESS",
      stream: [{ output: { n: 1 } }, { output: "words" }],
    });
    answer.send("data: 3\n\ndata: [DONE]\n\n");
    expect(await done()).toMatchObject({ status: "COMPLETED", output: [{ n: 1 }, "words", 3] });
    expect(await stream()).toMatchObject({ status: "COMPLETED", stream: [{ output: 3 }] });
    expect(await stream()).toMatchObject({ status: "COMPLETED", stream: [] });
  });

  it("gathers what comes within 20 ms, or up to 16 KB, into one call and so into one row", async () => {
    const appends = vi.spyOn(EndpointBroker.prototype, "appendChunks");
    const answer = openAnswer("text/event-stream");
    const { done } = await job();
    answer.send(Array.from({ length: 10 }, (_, n) => `data: ${n}\n\n`).join(""));
    await vi.waitFor(() => expect(appends).toHaveBeenCalledTimes(1));
    expect(appends.mock.calls[0]?.[0].chunks).toHaveLength(10);
    answer.send(Array.from({ length: 3 }, () => `data: "${"x".repeat(GATHER_BYTES)}"\n\n`).join(""));
    answer.close();
    expect(await done()).toMatchObject({ status: "COMPLETED" });
    expect(appends.mock.calls.map(([{ firstSeq }]) => firstSeq)).toEqual([1, 11, 12, 13]);
  });

  it("of lines ends with its body", async () => {
    const answer = openAnswer("application/x-ndjson");
    const { done } = await job();
    answer.send('{"a":1}\n{"a"');
    answer.send(":2}\n");
    answer.close();
    expect(await done()).toMatchObject({ status: "COMPLETED", output: [{ a: 1 }, { a: 2 }] });
  });

  it("ends with its [DONE], also where more stands in the same piece", async () => {
    const answer = openAnswer("text/event-stream");
    const { stream, done } = await job();
    answer.send("data: 1\n\ndata: [DONE]\n\ndata: 2\n\n");
    expect(await done()).toMatchObject({ status: "COMPLETED", output: [1] });
    expect(await stream()).toMatchObject({ stream: [{ output: 1 }] });
  });

  it("that is cut is a failed attempt, not a short result", async () => {
    const answer = openAnswer("text/event-stream");
    const { stream, done } = await job(1);
    answer.send("data: 1\n\n");
    expect(await stream()).toMatchObject({ stream: [{ output: 1 }] });
    answer.cut();
    expect(await done()).toMatchObject({ status: "FAILED", error: "the upstream's answer was cut short" });
  });
});

describe("a chunk of a pushed stream that is larger than the log takes", () => {
  const MIB = 1024 * 1024;
  const doneSchema = z.object({ status: z.string(), output: z.unknown().optional(), error: z.string().optional() });
  const pageSchema = z.object({ status: z.string(), stream: z.array(z.object({ output: z.unknown() })) });

  /** Runs a job whose upstream answers with this body, by default in pieces of 64 KiB. */
  async function answered(body: string, type = "text/event-stream", pieceBytes = 65_536) {
    const answer = openAnswer(type);
    const { stream, done } = await job(1);
    const bytes = new TextEncoder().encode(body);
    for (let at = 0; at < bytes.length; at += pieceBytes) answer.send(bytes.slice(at, at + pieceBytes));
    answer.close();
    const ended = doneSchema.parse(await done());
    return { ...ended, pieces: pageSchema.parse(await stream()).stream.map(({ output }) => output) };
  }

  /** Large values are compared here, because a failed comparison by the test runner would print them. */
  const isSame = (left: unknown, right: unknown) => JSON.stringify(left) === JSON.stringify(right);
  const joined = (pieces: readonly unknown[]) => pieces.map((piece) => z.string().parse(piece)).join("");

  it.each([
    ["below the limit", CHUNK_MAX_BYTES - 3, 1],
    ["at the limit", CHUNK_MAX_BYTES - 2, 1],
    ["above the limit", CHUNK_MAX_BYTES - 1, 2],
    ["3 MiB", 3 * MIB, 4],
  ])("is cut into strings, and whole in the output: a text %s", async (_size, chars, count) => {
    const text = "x".repeat(chars);
    const { status, output, pieces } = await answered(`data: ${text}\n\n`);
    expect([status, isSame(output, [text])]).toEqual(["COMPLETED", true]);
    expect([pieces.length, joined(pieces) === text]).toEqual([count, true]);
  });

  it("is whole where it is small, byte by byte", async () => {
    const { output, pieces } = await answered('data: "é😀"\n\ndata: {"n":1}\n\n', undefined, 1);
    expect([output, pieces]).toEqual([
      ["é😀", { n: 1 }],
      ["é😀", { n: 1 }],
    ]);
  });

  it("has no character in two strings", async () => {
    const text = "é日😀".repeat(MIB / 3);
    const { output, pieces } = await answered(`data: ${text}\n\ndata: ${JSON.stringify(`"${text}`)}\n\n`);
    expect(isSame(output, [text, `"${text}`])).toBe(true);
    expect(joined(pieces) === `${text}"${text}`).toBe(true);
    expect(pieces.every((piece) => String(piece).isWellFormed())).toBe(true);
  });

  it("is cut into strings of its JSON text where it is no string", async () => {
    const [small, large] = [{ n: 1 }, { list: Array.from({ length: 150_000 }, (_, n) => `${n}"é`) }];
    const { output, pieces } = await answered(`data: ${JSON.stringify(small)}\n\ndata: ${JSON.stringify(large)}\n\n`);
    expect(isSame(output, [small, large])).toBe(true);
    expect(isSame(pieces[0], small)).toBe(true);
    expect(isSame(JSON.parse(joined(pieces.slice(1))), large)).toBe(true);
  });

  it.each([
    ["an event", "text/event-stream", (json: string) => `data: 1\n\ndata: ${json}\n\ndata: 2\n\n`],
    ["a line", "application/x-ndjson", (json: string) => `1\n${json}\n2\n`],
  ])("may be %s of 20 MiB, which is read as it comes", async (_kind, type, bodyOf) => {
    const large = { list: Array.from({ length: 20 }, () => "y".repeat(MIB)) };
    const { status, output, pieces } = await answered(bodyOf(JSON.stringify(large)), type);
    expect([status, isSame(output, [1, large, 2])]).toEqual(["COMPLETED", true]);
    expect([pieces.at(0), pieces.at(-1)]).toEqual([1, 2]);
    expect(joined(pieces.slice(1, -1)) === JSON.stringify(large)).toBe(true);
  });

  it("fails the attempt where it begins as JSON and is cut short, because it is no whole answer", async () => {
    const { status, error } = await answered(`data: ["${"x".repeat(4 * MIB)}\n\n`);
    expect(status).toBe("FAILED");
    expect(error).toMatch(/^the upstream's answer is not valid: .* at byte \d+$/);
  });
});
