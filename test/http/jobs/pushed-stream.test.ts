// An upstream that is pushed to and answers with a stream: its chunks land in the same log as those of a pulling worker.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { GATHER_BYTES } from "../../../src/core/limits.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

/**
 * An answer whose parts the test sends, one by one. The stream lives where the carrier runs, as a real one would, so it
 * looks for them: objects of one invocation must not be used in another.
 */
function openAnswer(type: string) {
  const sent: (string | "close" | "cut")[] = [];
  const encoder = new TextEncoder();
  answerUpstreams(() => {
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        while (sent.length === 0) await scheduler.wait(5);
        const part = sent.shift() ?? "";
        if (part === "close") controller.close();
        else if (part === "cut") controller.error(new Error("cut"));
        else controller.enqueue(encoder.encode(part));
      },
    });
    return new Response(body, { headers: { "content-type": type } });
  });
  return {
    send: (text: string) => sent.push(text),
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

  it("with a chunk over 1 MiB fails the job by name", async () => {
    const answer = openAnswer("text/event-stream");
    const { done } = await job(1);
    answer.send(`data: ${"x".repeat(1_100_000)}\n\n`);
    expect(await done()).toMatchObject({ status: "FAILED", error: "a streamed chunk is larger than 1024 KiB" });
  });
});
