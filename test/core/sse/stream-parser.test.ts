// Streams of upstreams, cut into chunks whatever the pieces are that they come in.

import { describe, expect, it } from "vitest";
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
    const parser = new StreamParser("events");
    const bytes = new TextEncoder().encode(line.repeat(1_000));
    for (let n = 0; n < 10; n += 1) parser.push(bytes);
    expect(parser.heldBytes).toBeGreaterThanOrEqual(10_000);
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
