// A UTF-8 byte order mark before JSON is skipped, from clients and from workers, in one piece or cut into bytes, and
// stands in nothing that is stored or sent on.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { PAYLOAD_ROW_MAX_BYTES } from "../../../src/core/limits.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makePulling } from "../../support/pulling.ts";

const MARK = "\ufeff";

afterEach(() => vi.restoreAllMocks());

/** The spaces within the braces that a call to an upstream adds. */
const PADDING = /(?<=^\{) +| +(?=\}$)/g;
const CUT_BYTES = 100;

/** A body whose first bytes come one by one. */
function inBytes(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      const bytes = new TextEncoder().encode(text);
      for (const byte of bytes.subarray(0, CUT_BYTES)) controller.enqueue(Uint8Array.of(byte));
      if (bytes.length > CUT_BYTES) controller.enqueue(bytes.subarray(CUT_BYTES));
      controller.close();
    },
  });
}

/** The bytes as characters, because a text decoder may drop the mark by itself. */
async function rawText(body: Request | Response): Promise<string> {
  return String.fromCharCode(...new Uint8Array(await body.arrayBuffer()));
}

const FORMS: readonly [string, (text: string) => string | ReadableStream<Uint8Array>][] = [
  ["in one piece", (text) => text],
  ["byte by byte", inBytes],
];

describe.each(FORMS)("a byte order mark before a body %s", (_form, form) => {
  it("of /run and /runsync is skipped, and the worker gets the input without it", async () => {
    const { tenant, take, done, status } = await makePulling();
    const post = (route: string, body: string) =>
      exports.default.fetch(
        new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, {
          method: "POST",
          headers: { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" },
          body: form(body),
        }),
      );
    const made = await post("run", `${MARK}{"input":"a"}`);
    expect(made.status).toBe(200);
    const { id } = (await made.json()) as { id: string };
    expect(await rawText(await take())).toBe(`{"id":"${id}","input":"a"}`);
    expect((await done(id, `${MARK}{"output":"b"}`)).status).toBe(200);
    expect(await status(id)).toMatchObject({ status: "COMPLETED", output: "b" });
    const sync = await post("runsync?wait=1000", `${MARK} {"input":1}`);
    expect(await sync.json()).toMatchObject({ status: "IN_QUEUE" });
    for (const wrong of [`${MARK}${MARK}{"input":1}`, ` ${MARK}{"input":1}`, `{"input":${MARK}1}`, MARK])
      expect((await post("run", wrong)).status).toBe(400);
  });

  it("of an OpenAI route is skipped, and the server gets the body without it", async () => {
    const sent: string[] = [];
    answerUpstreams(async (request) => {
      sent.push((await rawText(request)).replace(PADDING, ""));
      return new Response(form(`${MARK}{"ok":true}`), { headers: { "content-type": "application/json" } });
    });
    const { ask } = await openAiClient();
    const headers = { "content-type": "application/json" };
    const long = `{"model":"m","input":"${"x".repeat(5_000)}"}`;
    for (const [path, body] of [
      ["/v1/chat/completions", '{"model":"m"}'],
      ["/v1/embeddings", long],
    ] as const) {
      const answer = await ask(path, { method: "POST", headers, body: form(`${MARK}${body}`) });
      expect(answer.status).toBe(200);
      expect(await rawText(answer)).toBe('{"ok":true}');
      expect(sent.pop()).toBe(body);
    }
  });

  it("of a large OpenAI body is not in what is kept in R2", async () => {
    const sent: string[] = [];
    answerUpstreams(async (request) => {
      sent.push((await request.text()).replace(PADDING, ""));
      return Response.json({});
    });
    const { ask } = await openAiClient();
    const body = `{"model":"m","input":"${"x".repeat(PAYLOAD_ROW_MAX_BYTES)}"}`;
    const answer = await ask("/v1/embeddings", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: form(`${MARK}${body}`),
    });
    expect(answer.status).toBe(200);
    expect(sent).toEqual([body]);
  });

  it("of a stream of an OpenAI server is skipped", async () => {
    const events = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n';
    answerUpstreams(() => new Response(form(`${MARK}${events}`), { headers: { "content-type": "text/event-stream" } }));
    const { chat } = await openAiClient();
    expect(await rawText(await chat({ model: "m", messages: [], stream: true }))).toBe(events);
  });

  it("of a worker's chunk, progress and result is skipped", async () => {
    const pulling = await makePulling();
    const id = await pulling.submit("1");
    await pulling.takeOne();
    const post = async (route: string, body: string) => {
      const headers = { authorization: pulling.tenant.workerKeys[0] ?? "" };
      const url = `https://waybill.test/v2/${pulling.tenant.endpointId}/${route}/w1/${id}?isStream=true`;
      return (await exports.default.fetch(new Request(url, { method: "POST", headers, body: form(body) }))).json();
    };
    const accepted = { accepted: true };
    expect(await post("job-stream", `${MARK}{"output":"chunk"}`)).toEqual(accepted);
    expect(await post("job-done", `${MARK}{"status":"IN_PROGRESS","output":"half"}`)).toEqual(accepted);
    expect(await pulling.status(id)).toMatchObject({ status: "IN_PROGRESS", output: "half" });
    expect(await post("job-done", `${MARK}{"output":[]}`)).toEqual(accepted);
    expect(await pulling.status(id)).toMatchObject({ status: "COMPLETED", output: ["chunk"] });
  });

  it("of a settings object is skipped", async () => {
    const { tenant } = await makePulling({ scopes: ["admin"] });
    const answer = await exports.default.fetch(
      new Request("https://waybill.test/v1/admin/configure", {
        method: "POST",
        headers: { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" },
        body: form(`${MARK}{"endpointId":"${tenant.endpointId}"}`),
      }),
    );
    expect(answer.status).toBe(200);
  });
});
