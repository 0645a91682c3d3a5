// Streams of upstreams, cut into chunks whatever the pieces are that they come in.

import { describe, expect, it } from "vitest";
import { EVENT_HELD_MAX_BYTES } from "../../../src/core/limits.ts";
import { SseSplitter } from "../../../src/core/sse/events.ts";
import { StreamParser, streamFormat } from "../../../src/core/sse/stream-parser.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";

function parse(format: "events" | "lines", text: string, size: number): string[] {
  const parser = new StreamParser(format);
  const bytes = new TextEncoder().encode(text);
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(...parser.push(bytes.subarray(at, at + size)));
  parts.push(...parser.end());
  return parts.map((part) => (part.kind === "chunk" ? part.text : "END"));
}

const EVENTS = [
  ['data: {"a":1}\n\ndata: 2\n\n', ['{"a":1}', "2"]],
  ["data: plain words\r\n\r\ndata: é\r\rdata:no space\n\n", ['"plain words"', '"é"', '"no space"']],
  [': comment\nevent: delta\nid: 7\ndata: {"x":\ndata: 1}\n\n', ['{"x":\n1}']],
  ["data: 1\n\ndata: [DONE]\n\n", ["1", "END"]],
  ["data: without a blank line", ['"without a blank line"']],
] as const;

describe("server-sent events", () => {
  it.each(EVENTS)("%j give their data", (text, expected) => {
    for (let size = 1; size <= text.length; size += 1) expect(parse("events", text, size)).toEqual(expected);
  });
});

describe("an event that does not end", () => {
  it.each(["data: some words\n", "data:\n", "data\n"])("is held, and counted, line by line of %j", (line) => {
    const splitter = new SseSplitter("events");
    const bytes = new TextEncoder().encode(line.repeat(1_000));
    for (let n = 0; n < 10; n += 1) splitter.push(bytes);
    expect(splitter.heldBytes).toBeGreaterThanOrEqual(10_000);
  });

  it("costs what is new of each piece, not what is held", () => {
    const parser = new StreamParser("events");
    const line = new TextEncoder().encode(`data: ${"x".repeat(4_000_000)}\n\n`);
    const tookMs = cpuMsOf(() => {
      for (let at = 0; at < line.length; at += 1_024) parser.push(line.subarray(at, at + 1_024));
    });
    expect(tookMs).toBeLessThan(2_000);
  });
});

describe("an event that is too large to be held", () => {
  const size = EVENT_HELD_MAX_BYTES;

  /** The chunks of a stream that comes in pieces: those that came in parts are joined. */
  function read(format: "events" | "lines", text: string, pieceBytes: number): string[] {
    const parser = new StreamParser(format);
    const bytes = new TextEncoder().encode(text);
    const found: string[] = [];
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    let held = "";
    const take = (parts: ReturnType<StreamParser["push"]>) => {
      for (const part of parts) {
        if (part.kind === "chunk") found.push(part.text);
        else if (part.kind !== "piece") found.push(part.kind);
        else {
          expect(part.json.length).toBeLessThan(3 * size);
          held += decoder.decode(part.json, { stream: true });
          if (part.isLast) found.push(held);
          if (part.isLast) held = "";
        }
      }
    };
    for (let at = 0; at < bytes.length; at += pieceBytes) take(parser.push(bytes.subarray(at, at + pieceBytes)));
    take(parser.end());
    return found;
  }

  const words = "é日😀 words ".repeat(size / 8);
  const lines = Array.from({ length: 40 }, () => `"${"x".repeat(size / 8)}"`);
  const cases: readonly (readonly [string, "events" | "lines", string, string[]])[] = [
    [
      "a JSON string",
      "events",
      `data: 1\n\ndata: ${JSON.stringify(words)}\n\ndata: 2\n\n`,
      ["1", JSON.stringify(words), "2"],
    ],
    ["a text", "events", `data: ${words}\r\n\r\ndata: 2\r\n\r\n`, [JSON.stringify(words), "2"]],
    ["a text at the stream's end", "events", `data: 1\r\rdata:${words}`, ["1", JSON.stringify(words)]],
    [
      "a value over many lines",
      "events",
      `event: x\ndata: [\ndata:${lines.join(",\ndata: ")}\nid: 7\ndata: ]\n\n`,
      [`[\n${lines.join(",\n")}\n]`],
    ],
    [
      "NaN",
      "events",
      `data: [1.0,${"NaN,-Infinity ,".repeat(size / 8)}2]\n\n`,
      [`[1.0,${"null,null ,".repeat(size / 8)}2]`],
    ],
    ["a value that is cut", "events", `data: ["${words}\n\n`, ["broken"]],
    ["comments", "events", `${": comment\n".repeat(size / 4)}data: {"a":1}\n\ndata: 2\n\n`, ['{"a":1}', "2"]],
    ["no data", "events", `${"id: 7\n".repeat(size / 2)}\ndata: 2\n\n`, ["2"]],
    ["a byte order mark", "events", `\ufeffdata: ${words}\n\n`, [JSON.stringify(words)]],
    ["a line", "lines", `1\n${JSON.stringify([words])}\r\n2\n`, ["1", JSON.stringify([words]), "2"]],
    ["a last line", "lines", `${JSON.stringify([words])}`, [JSON.stringify([words])]],
  ];

  it.each(cases)("is read as it comes: %s", (_kind, format, text, expected) => {
    for (const pieceBytes of [65_537, Number.POSITIVE_INFINITY]) {
      const found = read(format, text, pieceBytes);
      expect(found.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
      expect(found.every((chunk, at) => chunk === expected[at])).toBe(true);
    }
  });

  it("is read byte by byte as in one piece", () => {
    const text = `data: ["\\ud83d\ndata: é😀${"x".repeat(size)}é😀"\r\ndatabase: 1\r\ndata: ]\r\n\r\ndata: 2\n\n`;
    const [chunk, next] = read("events", text.replace("\ndata: é", "é"), 1);
    expect(chunk === `["\\ud83dé😀${"x".repeat(size)}é😀"\n]`).toBe(true);
    expect(next).toBe("2");
  });
});

describe("newline-delimited JSON", () => {
  it("gives each line, also the last one without a line end", () => {
    const text = '{"a":1}\n\n[2]\r\n"three"';
    for (let size = 1; size <= text.length; size += 1) {
      expect(parse("lines", text, size)).toEqual(['{"a":1}', "[2]", '"three"']);
    }
  });
});

describe("the kind of an answer", () => {
  it.each([
    ["text/event-stream; charset=utf-8", "events"],
    ["application/x-ndjson", "lines"],
    ["application/json", null],
    [null, null],
  ] as const)("%s is %s", (type, format) => {
    expect(streamFormat(type)).toBe(format);
  });
});
