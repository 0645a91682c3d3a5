// The tokens of a job are found in its output while the bytes pass, in every form that workers give it.
import { describe, expect, it } from "vitest";
import { OutputTap } from "../../../src/core/openai/output-usage.ts";
import type { TokenUsage } from "../../../src/core/openai/token-usage.ts";

const PROMPT_BYTES = 400;
const usage = { prompt_tokens: 31, completion_tokens: 12, total_tokens: 43 };
const TOLD: TokenUsage = { prompt: 31, completion: 12, estimated: false };
const chat = { id: "é", object: "chat.completion", choices: [{ message: { content: 'a "usage":{} }]' } }], usage };

/** A server's stream, with a text beyond ASCII, a quote and a line end in it. */
function events(last?: object): string {
  const deltas = ["é😀", '"}\n', "c"].map((content) => ({ choices: [{ delta: { content } }], usage: null }));
  const all = last === undefined ? deltas : [...deltas, last];
  return `: ping\n\n${all.map((one) => `data: ${JSON.stringify(one)}\n\n`).join("")}data: [DONE]\n\n`;
}

/** A text in pieces of `size` characters, as a worker yields them: borders stand anywhere. */
function pieces(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size));
}

/** As Python's json.dumps writes. */
function toAscii(json: string): string {
  return json.replace(/[^ -~\n]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What a tap finds in a text that is pushed in pieces; each is wiped after its push, as a reader would. */
function found(output: string, ...cuts: number[]): TokenUsage | null {
  const bytes = new TextEncoder().encode(output);
  const tap = new OutputTap();
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    const piece = bytes.slice(from, cut);
    tap.push(piece);
    piece.fill(0);
    from = cut;
  }
  return tap.facts(PROMPT_BYTES).tokens;
}

const OUTPUTS: readonly [string, string, TokenUsage | null][] = [
  ["a body", JSON.stringify(chat), TOLD],
  ["a body with white space", JSON.stringify(chat, null, 2), TOLD],
  ["a body in a list", JSON.stringify([chat]), TOLD],
  ["a body as a text", JSON.stringify(JSON.stringify(chat)), TOLD],
  ["a body as a text in a list", toAscii(JSON.stringify([JSON.stringify(chat)])), TOLD],
  [
    "embeddings",
    JSON.stringify({
      object: "list",
      data: [{ embedding: [0.5] }],
      model: "m",
      usage: { prompt_tokens: 6, total_tokens: 6 },
    }),
    { prompt: 6, completion: 0, estimated: false },
  ],
  [
    "usage before other members",
    JSON.stringify({ object: "response", usage, metrics: { usage: { prompt_tokens: 1 } }, text: "}" }),
    TOLD,
  ],
  ["pieces of events", JSON.stringify(pieces(events({ choices: [], usage }), 7)), TOLD],
  ["pieces of events by Python", toAscii(JSON.stringify(pieces(events({ choices: [], usage }), 11))), TOLD],
  ["events as one text", JSON.stringify(events({ choices: [], usage })), TOLD],
  ["events without usage", JSON.stringify(pieces(events(), 5)), { prompt: 100, completion: 3, estimated: true }],
  ["events that were trimmed", JSON.stringify([`data: ${JSON.stringify({ choices: [], usage })}`]), TOLD],
  [
    "a Responses stream",
    JSON.stringify([
      `event: response.completed\ndata: ${JSON.stringify({ type: "response.completed", response: { usage } })}\n\n`,
    ]),
    TOLD,
  ],
  ["an error", JSON.stringify({ error: { message: "no" } }), null],
  ["an OpenAI body that tells no usage", JSON.stringify({ object: "list", data: [] }), null],
  ["usage that is not the body's", JSON.stringify({ object: "x", inner: { usage } }), null],
  ["a usage within a text", JSON.stringify({ object: "x", text: JSON.stringify({ usage }) }), null],
  ["an image", JSON.stringify("iVBORw0KGgo="), null],
  ["texts", JSON.stringify(["data", "base", ": x"]), null],
  [
    "events of another kind",
    JSON.stringify(["data: hello\n\n", `data: ${JSON.stringify({ choices: [], usage })}\n\n`]),
    null,
  ],
  ["numbers", "[1,2,3]", null],
  ["a number", "7", null],
  ["an empty list", "[ ]", null],
  ["null", "null", null],
  ["nothing", "", null],
];

describe("the usage of an output", () => {
  it.each(OUTPUTS)("that is %s", (_form, output, expected) => {
    expect(found(output)).toEqual(expected);
  });

  it.each(OUTPUTS)("is the same wherever it is cut: %s", (_form, output, expected) => {
    const { length } = new TextEncoder().encode(output);
    for (let cut = 0; cut <= length; cut += 1) expect(found(output, cut)).toEqual(expected);
    expect(found(output, ...Array(length).keys())).toEqual(expected);
  });
});

describe("a large output", () => {
  const large = "x".repeat(3_000_000);

  it("has its usage at its end", () => {
    expect(found(JSON.stringify({ object: "list", data: [large], usage }))).toEqual(TOLD);
    const many = JSON.stringify({ object: "list", data: [large.slice(0, 100_000)], usage });
    const cuts = pieces(many, 1_000).map((_piece, at) => at * 1_000);
    expect(found(many, ...cuts)).toEqual(TOLD);
  });

  it.each([
    ["an object", `{"image":"${"x".repeat(3_000)}`],
    ["a text", `"${"x".repeat(100)}`],
    ["a list of texts", `["${"x".repeat(100)}`],
    ["events of another kind", '["data: hello\\n\\n'],
    ["numbers", "[1,2,"],
  ])("is looked at no longer than it may be OpenAI's: %s", (_kind, start) => {
    const tap = new OutputTap();
    expect(tap.isLooking).toBe(true);
    tap.push(new TextEncoder().encode(start));
    expect(tap.isLooking).toBe(false);
  });

  it("is none of OpenAI's by what comes late", () => {
    expect(found(JSON.stringify({ image: large, object: "x", usage }))).toBeNull();
    expect(found(JSON.stringify([large, `data: ${JSON.stringify({ choices: [], usage })}\n\n`]))).toBeNull();
  });

  it("steps over an event that is too large to be held, and reads those behind it", () => {
    const output = JSON.stringify([events(), `data: ${large}\n\n`, `${events({ choices: [], usage })}`]);
    const { length } = output;
    expect(found(output, length - 2_000_000, length - 1_000_000)).toEqual(TOLD);
  });
});
