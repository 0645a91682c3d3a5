// What a client of an OpenAI route is told when its job failed, by the texts that servers and SDKs leave.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERROR_TEXT_MAX_BYTES } from "../../../src/core/limits.ts";
import { openAiErrorOf, openAiErrorOfOutput } from "../../../src/core/openai/error.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";

const MESSAGE = "The model `x` does not exist.";
const VLLM = { message: MESSAGE, type: "NotFoundError", param: "model", code: 404 };
const VLLM_REPR =
  "{'message': 'The model `x` does not exist.', 'type': 'NotFoundError', 'param': 'model', 'code': 404}";
/** What RunPod's SDK makes of an exception. */
function raised(
  type: string,
  message: string,
  traceback = 'Traceback (most recent call last):\n  File "secret.py"',
): string {
  return JSON.stringify({
    error_type: `<class '${type}'>`,
    error_message: message,
    error_traceback: traceback,
    hostname: "h",
  });
}

describe("an error with a shape of its own", () => {
  it.each([
    ["OpenAI's JSON", JSON.stringify({ error: VLLM })],
    ["a repr of it", `{'error': ${VLLM_REPR}}`],
    ["a repr of its inside", VLLM_REPR],
    ["vLLM's older JSON", JSON.stringify({ object: "error", ...VLLM })],
    ["a body behind our prefix", `the upstream answered 404: ${JSON.stringify({ error: VLLM })}`],
    ["a repr in a JSON text", JSON.stringify(`{'error': ${VLLM_REPR}}`)],
    ["the exception of OpenAI's client", raised("openai.NotFoundError", `Error code: 404 - {'error': ${VLLM_REPR}}`)],
    ["JSON in the message of an exception", raised("RuntimeError", JSON.stringify({ error: VLLM }))],
  ])("comes through as it is from %s", (_form, text) => {
    expect(openAiErrorOf(text)).toEqual({ status: 404, error: VLLM });
  });

  it("keeps a code that is a word, and a status behind our prefix goes before it", () => {
    const error = { message: "no", type: "invalid_request_error", param: null, code: "model_not_found" };
    expect(openAiErrorOf(`the upstream answered 422: ${JSON.stringify({ error })}`)).toEqual({ status: 422, error });
  });
});

describe("the error of a server", () => {
  it.each([
    [
      "llama.cpp",
      400,
      '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',
      "too long",
      "exceed_context_size_error",
      null,
      400,
    ],
    [
      "TGI",
      422,
      '{"error":"Input validation error","error_type":"validation"}',
      "Input validation error",
      "validation",
      null,
      null,
    ],
    ["FastAPI", 404, '{"detail":"Not Found"}', "Not Found", "not_found_error", null, null],
    [
      "FastAPI's validation",
      422,
      '{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"missing"},{"loc":["body"],"msg":"bad"}]}',
      "messages.0.role: field required; bad",
      "invalid_request_error",
      "messages.0.role",
      null,
    ],
    ["an empty body", 400, "", "the upstream answered 400", "invalid_request_error", null, null],
    [
      "a proxy's page",
      413,
      "<html>\n<head><title>413 Too Large</title></head></html>",
      "413 Too Large",
      "invalid_request_error",
      null,
      null,
    ],
    ["a page without a title", 404, "<!DOCTYPE html><p>no", "the upstream answered 404", "not_found_error", null, null],
    ["plain text", 429, "slow down", "slow down", "rate_limit_error", null, null],
    ["a list", 400, "[1,2]", "[1,2]", "invalid_request_error", null, null],
  ] as const)("%s is read", (_server, status, body, message, type, param, code) => {
    const text = body === "" ? `the upstream answered ${status}` : `the upstream answered ${status}: ${body}`;
    expect(openAiErrorOf(text)).toEqual({ status, error: { message, type, param, code } });
  });
});

describe("the status", () => {
  it.each([
    [400, '{"error":{"message":"a","type":"BadRequestError"}}'],
    [400, '{"error":{"message":"a","type":"invalid_request_error"}}'],
    [401, '{"error":{"message":"a","type":"AuthenticationError"}}'],
    [403, '{"error":{"message":"a","type":"PermissionDeniedError"}}'],
    [404, '{"error":{"message":"a","type":"NotFoundError"}}'],
    [404, '{"error":{"message":"a","code":"model_not_found"}}'],
    [429, '{"error":{"message":"a","type":"RateLimitError"}}'],
    [429, '{"error":{"message":"a","code":"429"}}'],
    [503, '{"error":{"message":"a"},"status_code":503}'],
    [500, '{"error":{"message":"a","type":"KeyError"}}'],
    [500, '{"error":{"message":"a","type":"constructor"}}'],
    [500, '{"error":{"message":"a","code":200}}'],
    [500, '{"error":{"message":"a","code":404.5}}'],
    [500, '{"error":{"message":"a","code":1404}}'],
    [404, "the upstream answered 302: {'message': 'a', 'code': 404}"],
    [500, raised("ValueError", "boom")],
    [404, raised("openai.NotFoundError", "boom")],
    [504, "executionTimeout exceeded"],
    [502, "job timed out after 2 retries"],
    [500, "boom"],
    [500, "404"],
    [500, ""],
  ])("is %i for %s", (status, text) => {
    const { error, ...rest } = openAiErrorOf(text);
    expect(rest.status).toBe(status);
    expect(error.message).not.toBe("");
  });
});

describe("any other text", () => {
  it("is the message of a 500", () => {
    expect(openAiErrorOf("CUDA out of memory")).toEqual({
      status: 500,
      error: { message: "CUDA out of memory", type: "server_error", param: null, code: null },
    });
  });

  it.each([['{"a":1}'], ["{'a': [1]}"], ["{broken"], ["[{'a"]])("may look like a shape: %s", (text) => {
    expect(openAiErrorOf(text)).toMatchObject({ status: 500, error: { type: "server_error" } });
  });
});

describe("a traceback", () => {
  const texts = [
    raised("ValueError", "boom"),
    'boom  \ntraceback: Traceback (most recent call last):\n  File "secret.py"',
    'boom\nTraceback (most recent call last):\n  File "secret.py", line 1\nValueError: boom',
    JSON.stringify({ error: { message: 'boom\nTraceback (most recent call last):\n  File "secret.py"' } }),
  ];

  it.each(texts)("does not reach the client: %s", (text) => {
    expect(openAiErrorOf(text).error.message).toBe("boom");
  });

  it("that is all there is gives the exception at its end", () => {
    const text =
      'Traceback (most recent call last):\n  File "secret.py", line 1, in run\n    raise x\nValueError: boom\n';
    expect(openAiErrorOf(text).error.message).toBe("ValueError: boom");
    expect(openAiErrorOf(text.slice(0, -25)).error.message).toBe("the worker failed without a message");
  });

  it("does not reach the client from a text that was cut anywhere behind its message", () => {
    const text = raised(
      "openai.NotFoundError",
      'it is "gone" é',
      `Traceback (most recent call last):\n${'  File "secret.py"\\u00e9\n'.repeat(9)}`,
    );
    for (let at = text.indexOf("error_traceback"); at <= text.length; at += 1) {
      const { status, error } = openAiErrorOf(text.slice(0, at));
      expect(error.message).toBe('it is "gone" é');
      expect(status).toBe(404);
    }
  });
});

it("reads a repr that was cut in its message", () => {
  const text = `{'error': {'type': 'BadRequestError', 'code': 400, 'message': "it's too long: \\u00e9\\n${"x".repeat(50)}`;
  for (let at = text.indexOf("too long"); at <= text.length; at += 1) {
    const { status, error } = openAiErrorOf(text.slice(0, at));
    expect(status).toBe(400);
    expect(error).toMatchObject({ type: "BadRequestError", message: expect.stringMatching(/^it's/) });
  }
});

it("is not fooled by depth", () => {
  let text = "boom";
  for (let depth = 0; depth < 12; depth += 1) text = JSON.stringify({ error: text });
  expect(openAiErrorOf(text).status).toBe(500);
  expect(openAiErrorOf(`${'{"a":['.repeat(2_000)}`).status).toBe(500);
});

describe("a completed job's output", () => {
  it.each([
    ["OpenAI's shape", { error: VLLM }],
    ["vLLM's older shape", { object: "error", ...VLLM }],
    ["a repr", { error: `{'error': ${VLLM_REPR}}` }],
  ])("is an error in %s", (_shape, output) => {
    expect(openAiErrorOfOutput(output)).toEqual({ status: 404, error: VLLM });
  });

  it.each([
    ["a completion", { object: "chat.completion", choices: [] }],
    ["an error of null", { choices: [], error: null }],
    ["a response that failed", { object: "response", status: "failed", error: { message: "a" } }],
    ["a text", "error"],
    ["a list", [{ error: VLLM }]],
    ["nothing", null],
  ])("is no error when it is %s", (_kind, output) => {
    expect(openAiErrorOfOutput(output)).toBeNull();
  });
});

it("makes an error that clients can read of any value, whole or cut", () => {
  const name = fc.constantFrom(
    "error",
    "message",
    "type",
    "code",
    "detail",
    "loc",
    "msg",
    "error_message",
    "object",
    "status",
  );
  const leaf = fc.oneof(
    fc.constantFrom(null, "error", "{'error': 1}", 404, "", "Error code: 400 - x", true),
    fc.string(),
  );
  const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      leaf,
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(name, tie("value"), { maxKeys: 4 }),
    ),
  }));
  const check = fc.property(anyValue, fc.nat(200), (value, at) => {
    const text = JSON.stringify(value);
    for (const { status, error } of [openAiErrorOf(text), openAiErrorOf(text.slice(0, at))]) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThanOrEqual(599);
      expect(error).toMatchObject({ message: expect.stringMatching(/./), type: expect.stringMatching(/./) });
    }
  });
  fc.assert(check, { numRuns: 1_000 });
});

it.each([
  ["white space", " ".repeat(200_000)],
  ["lines", `Traceback (most recent call last):${"\n x".repeat(50_000)}`],
  ["tabs before a traceback's end", `${"\t".repeat(200_000)}traceback`],
])("a hostile message of %s is read in no time, and what is kept of it is bounded", (_name, message) => {
  let answer: unknown;
  const tookMs = cpuMsOf(() => {
    answer = openAiErrorOfOutput({ error: { message, type: "x".repeat(200_000) } });
  });
  expect(tookMs).toBeLessThan(1_000);
  expect(JSON.stringify(answer).length).toBeLessThan(2 * ERROR_TEXT_MAX_BYTES);
});

it("a hostile type beside an error is read in no time", () => {
  const output = { error: { error_message: "no", error_type: `${"x".repeat(200_000)} ` } };
  expect(cpuMsOf(() => openAiErrorOfOutput(output))).toBeLessThan(1_000);
});
