// What an upstream is given to know and repeats: the operator's credential reaches no tenant, in no form, by no way.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import type { Upstream } from "../../src/contract/settings.ts";
import { log } from "../../src/log.ts";
import { open, seal } from "../../src/outbound/credentials.ts";
import { openAnswer } from "../support/answering.ts";
import { answerUpstreams } from "../support/broker.ts";
import { openAiClient } from "../support/openai-client.ts";
import { makePulling } from "../support/pulling.ts";
import { makeTenant } from "../support/tenant.ts";

const POLL = { timeout: 10_000, interval: 10 };
const CREDENTIAL = "sk-operator-0123456789";
const STARS = "*".repeat(CREDENTIAL.length);

afterEach(() => vi.restoreAllMocks());

const openai = { url: "http://127.0.0.1:9/", dialect: "openai" as const, credential: CREDENTIAL };

/** An upstream's answer that repeats the Authorization it got, in a few forms. */
function echo(request: Request): string {
  const authorization = request.headers.get("authorization") ?? "";
  expect(authorization).toBe(`Bearer ${CREDENTIAL}`);
  return `got ${authorization}, ${encodeURIComponent(authorization)}, ${btoa(authorization)}`;
}

function expectClean(text: string): void {
  expect(text).toContain(STARS);
  expect(text).not.toContain(CREDENTIAL);
  for (const inBase64 of [btoa(`Bearer ${CREDENTIAL}`), btoa(CREDENTIAL)]) {
    expect(text).not.toContain(inBase64.slice(12, 24));
  }
}

describe("an OpenAI server that repeats the credential", () => {
  it.each([400, 404, 422, 500, 502])(
    "in an error of status %d shows it neither to the client nor in the job",
    async (status) => {
      answerUpstreams((request) =>
        Response.json({ error: { message: echo(request), code: echo(request) } }, { status }),
      );
      const { chat, status: statusOf } = await openAiClient({ upstreams: [openai], maxAttempts: 1 });
      const answer = await chat({ messages: [] });
      expect(answer.status).toBe(status);
      expectClean(await answer.text());
      expectClean(JSON.stringify(await statusOf(answer.headers.get("x-job-id"))));
    },
  );

  it("in an answer and its headers does not", async () => {
    answerUpstreams((request) =>
      Response.json({ choices: [], said: echo(request) }, { headers: { "openai-version": echo(request) } }),
    );
    const { chat, status } = await openAiClient({ upstreams: [openai] });
    const answer = await chat({ messages: [] });
    expectClean(answer.headers.get("openai-version") ?? "");
    expectClean(await answer.text());
    expectClean(JSON.stringify(await status(answer.headers.get("x-job-id"))));
  });

  it("in a stream, cut in its middle, does not, and nothing else is held up", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status } = await openAiClient({ upstreams: [openai] });
    upstream.send('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    const answer = await chat({ messages: [], stream: true });
    const reader = answer.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    expect(first).toBe('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    upstream.send(`data: {"choices":[{"delta":{"content":"${CREDENTIAL.slice(0, 9)}`);
    upstream.send(`${CREDENTIAL.slice(9)}"}}]}\n\n`);
    upstream.send("data: [DONE]\n\n");
    let rest = "";
    for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
      rest += new TextDecoder().decode(read.value);
    }
    expect(rest).toBe(`data: {"choices":[{"delta":{"content":"${STARS}"}}]}\n\ndata: [DONE]\n\n`);
    expectClean(JSON.stringify(await status(answer.headers.get("x-job-id"))));
  });

  it("in bytes such as speech does not", async () => {
    answerUpstreams((request) => new Response(echo(request), { headers: { "content-type": "audio/mpeg" } }));
    const { ask } = await openAiClient({ upstreams: [openai] });
    expectClean(await (await ask("/v1/audio/speech", { method: "POST", body: "{}" })).text());
  });
});

describe("a worker that repeats its credential", () => {
  const upstreams: [string, Partial<Upstream>][] = [
    ["http", { dialect: "http" }],
    ["local runpod", { dialect: "runpod", local: true }],
    ["hosted runpod", { dialect: "runpod" }],
  ];

  it.each(upstreams)("of the dialect %s shows it in no output, error, stream or webhook", async (_name, upstream) => {
    const hooks: string[] = [];
    let said: (request: Request) => object = (request) => ({ status: "COMPLETED", id: "j", output: echo(request) });
    answerUpstreams(async (request) => {
      if (new URL(request.url).hostname === "hook.test") hooks.push(await request.text());
      return Response.json(said(request));
    });
    const { run, runs, status } = await openAiClient({ upstreams: [{ ...upstream, credential: CREDENTIAL }] });
    expectClean(JSON.stringify(await run("{}")));
    said = (request) => ({ status: "FAILED", id: "j", error: echo(request), output: echo(request) });
    const answer = await runs({ input: {}, webhook: "http://hook.test/" });
    const { id } = z.object({ id: z.string() }).parse(await answer.json());
    await vi.waitFor(() => expect(hooks).toHaveLength(1), POLL);
    expectClean(hooks.join());
    expectClean(JSON.stringify(await status(id)));
  });

  it("in the words of a refusal shows it in no error", async () => {
    answerUpstreams((request) => Response.json({ detail: echo(request) }, { status: 422 }));
    const { run } = await openAiClient({ upstreams: [{ credential: CREDENTIAL }] });
    const job = await run("{}");
    expect(job).toMatchObject({
      status: "FAILED",
      error: expect.stringContaining("the upstream answered 422: got Bearer"),
    });
    expectClean(JSON.stringify(job));
  });

  it("that stands in an address of an older release does not show that one either", async () => {
    answerUpstreams((request) => Response.json({ path: new URL(request.url).search }));
    const { run } = await openAiClient({ upstreams: [{ url: `http://127.0.0.1:9/?api_key=${CREDENTIAL}` }] });
    expect(await run("{}")).toMatchObject({ status: "COMPLETED", output: { path: `?api_key=${STARS}` } });
  });

  it("that is very short is left alone: answers would be full of it", async () => {
    answerUpstreams((request) => Response.json({ said: request.headers.get("authorization") }));
    const { run } = await openAiClient({ upstreams: [{ credential: "EMPTY" }] });
    expect(await run("{}")).toMatchObject({ output: { said: "Bearer EMPTY" } });
  });
});

describe("a load-balanced worker that repeats its credential", () => {
  const makeLb = async (answer: (request: Request) => Response) => {
    answerUpstreams((request) => (request.url.endsWith("/ping") ? new Response("ok") : answer(request)));
    const upstreams = [{ url: "http://127.0.0.1:9", credential: CREDENTIAL }];
    const tenant = await makeTenant({ kind: "load_balancer", upstreams });
    const headers = { authorization: `Bearer ${tenant.key}`, "accept-encoding": "gzip" };
    return exports.default.fetch(new Request(`https://waybill.test/lb/${tenant.endpointId}/x`, { headers }));
  };

  it("shows it in no header and no body of a known length, which stays true", async () => {
    let length = 0;
    const answer = await makeLb((request) => {
      const body = `${"x".repeat(200_000)}${echo(request)}`;
      length = body.length;
      const headers = { "content-length": String(length), "x-said": echo(request), "content-type": "text/plain" };
      return new Response(body, { status: 500, headers });
    });
    expect(answer.status).toBe(500);
    expectClean(answer.headers.get("x-said") ?? "");
    const text = await answer.text();
    expect(text).toHaveLength(length);
    expectClean(text.slice(199_000));
  });

  it("shows it in no body that is streamed, wherever its pieces end", async () => {
    const answer = await makeLb((request) => {
      const text = `${"y".repeat(150_000)}${echo(request)}`;
      const pieces = [text.slice(0, 10), text.slice(10, 150_012), text.slice(150_012, 150_020), text.slice(150_020)];
      const { readable: body, writable } = new IdentityTransformStream();
      const send = async (): Promise<void> => {
        const writer = writable.getWriter();
        for (const piece of pieces) {
          await scheduler.wait(20);
          await writer.write(new TextEncoder().encode(piece));
        }
        await writer.close();
      };
      void send();
      return new Response(body);
    });
    const text = await answer.text();
    expectClean(text.slice(149_000));
  });

  it("is asked for an answer that can be searched", async () => {
    const codings: (string | null)[] = [];
    await makeLb((request) => {
      codings.push(request.headers.get("accept-encoding"));
      return new Response("x");
    });
    expect(codings).toEqual(["identity"]);
  });
});

describe("a worker that pulls and repeats its own key", () => {
  it("shows it in no output, error, progress or chunk", async () => {
    const pulling = await makePulling();
    const [key = ""] = pulling.tenant.workerKeys;
    const said = { text: `my key is ${key}`, encoded: btoa(`Bearer ${key}`) };
    const first = await pulling.submit("1");
    await pulling.takeOne();
    await pulling.asWorker(`job-done/WORKER/${first}?gpu=SIM&isStream=false`, {
      body: JSON.stringify({ status: "IN_PROGRESS", output: said }),
    });
    await pulling.asWorker(`job-stream/WORKER/${first}?gpu=SIM&isStream=true`, {
      body: JSON.stringify({ output: said }),
    });
    const states = [
      JSON.stringify(await pulling.status(first)),
      await (await pulling.asClient(`stream/${first}`)).text(),
    ];
    await pulling.done(first, JSON.stringify({ error: JSON.stringify(said), output: said }));
    states.push(JSON.stringify(await pulling.status(first)));
    const large = await pulling.submit("2");
    await pulling.takeOne();
    await pulling.done(large, JSON.stringify({ output: ["x".repeat(300_000), said] }));
    states.push((await (await pulling.asClient(`status/${large}`)).text()).slice(-1_000));
    for (const state of states) {
      expect(state).toContain("my key is ****");
      expect(state).not.toContain(key);
      expect(state).not.toContain(btoa(key).slice(3, 20));
    }
  });
});

it("no line of the log has a secret in it that was opened, whatever an error's text repeats", async () => {
  const lines: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line) => void lines.push(String(line)));
  const sealed = await seal(CREDENTIAL, env.ENCRYPTION_KEY, "place");
  expect(await open(sealed, env.ENCRYPTION_KEY, "place")).toBe(CREDENTIAL);
  log("carry_failed", { reason: `TypeError: Invalid header value: "Bearer ${CREDENTIAL}"`, encoded: btoa(CREDENTIAL) });
  const [line = ""] = lines.filter((text) => text.includes("carry_failed"));
  expect(JSON.parse(line)).toMatchObject({ event: "carry_failed" });
  expectClean(line);
});
