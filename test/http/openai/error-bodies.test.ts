// Answers with status 200 whose body is an error: the job is FAILED with the server's message, whoever ran it.
import { afterEach, describe, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling } from "../../support/pulling.ts";

const POLL = { timeout: 10_000, interval: 20 };
const ERROR = { error: { message: "no such model", type: "NotFoundError", param: null, code: 404 } };
const OLD_ERROR = { object: "error", message: "no such model", type: "NotFoundError", param: null, code: 404 };
const EVENTS = `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: ${JSON.stringify(ERROR)}\n\n`;

afterEach(() => vi.restoreAllMocks());

describe.each([
  ["OpenAI's form", ERROR],
  ["the form of older vLLM servers", OLD_ERROR],
])("an error in %s", (_form, body) => {
  it.each([false, true])("of an OpenAI server fails the job (stream: %s)", async (stream) => {
    answerUpstreams(() => Response.json(body));
    const { chat, status, usage } = await openAiClient();
    const answer = await chat({ messages: [], stream });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject(ERROR);
    const job = await status(answer.headers.get("x-job-id"));
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("no such model"), output: body });
    // An error of the handler is billed, as everywhere.
    await vi.waitFor(async () => expect(await usage()).toMatchObject([{ seconds: 1 }]), POLL);
  });

  it("fails a job of /runsync, too", async () => {
    answerUpstreams(() => Response.json(body));
    const { run } = await openAiClient();
    expect(await run('{"prompt":"a"}')).toMatchObject({ status: "FAILED" });
  });

  it.each([
    ["as it is", body],
    ["in a list", [body]],
    ["as a text", JSON.stringify(body)],
    ["as a text in a list", [JSON.stringify(body)]],
  ])("of a pulling worker %s fails the job", async (_how, output) => {
    const pulling = await makeReadyPulling();
    const answer = pulling.asClient("openai/v1/chat/completions", '{"messages":[]}');
    const id = await pulling.takeOne();
    await pulling.done(id, JSON.stringify({ output }));
    expect((await answer).status).toBe(404);
    expect(await pulling.status(id)).toMatchObject({ status: "FAILED", output });
  });
});

it("an error among the events of a pulling worker fails the job", async () => {
  const pulling = await makeReadyPulling();
  const answer = pulling.asClient("openai/v1/chat/completions", '{"messages":[],"stream":true}');
  const id = await pulling.takeOne();
  await pulling.done(id, JSON.stringify({ output: [EVENTS.slice(0, 30), EVENTS.slice(30)] }));
  expect(await (await answer).text()).toContain("no such model");
  expect(await pulling.status(id)).toMatchObject({ status: "FAILED" });
});

it("a response object whose error is null is a result", async () => {
  answerUpstreams(() => Response.json({ object: "response", error: null, output: [] }));
  const { ask, status } = await openAiClient();
  const headers = { "content-type": "application/json" };
  const answer = await ask("/v1/responses", { method: "POST", headers, body: "{}" });
  expect(answer.status).toBe(200);
  expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "COMPLETED" });
});

it("an `error` in the output of a job that came by RunPod's API is the handler's own matter", async () => {
  const pulling = await makeReadyPulling();
  const { id } = (await (await pulling.asClient("run", '{"input":{}}')).json()) as { id: string };
  expect(await pulling.takeOne()).toBe(id);
  await pulling.done(id, JSON.stringify({ output: ERROR }));
  expect(await pulling.status(id)).toMatchObject({ status: "COMPLETED", output: ERROR });
});
