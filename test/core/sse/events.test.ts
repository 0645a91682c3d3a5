// Events come out whole and with the bytes that they were sent with, however the stream is cut.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseSplitter } from "../../../src/core/sse/events.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a splitter makes of bytes that come in pieces ending at the given indexes. */
function split(bytes: Uint8Array, cuts: readonly number[] = []) {
  const splitter = new SseSplitter();
  const events: { raw: string; data: string | null }[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    for (const { raw, data } of splitter.push(bytes.slice(from, cut))) events.push({ raw: decoder.decode(raw), data });
    from = cut;
  }
  return { events, rest: decoder.decode(splitter.rest()), heldBytes: splitter.heldBytes };
}

const splitText = (text: string) => split(encoder.encode(text));

describe("an event stream", () => {
  it.each([
    ["line feeds", "data: a\n\ndata: b\n\n"],
    ["returns and line feeds", "data: a\r\n\r\ndata: b\r\n\r\n"],
    ["returns", "data: a\r\rdata: b\r\r"],
    ["a mix", "data: a\r\n\ndata: b\n\r\n"],
  ])("is cut at blank lines made of %s", (_kind, text) => {
    const { events, rest } = splitText(text);
    expect(events.map((event) => event.data)).toEqual(["a", "b"]);
    expect(events.map((event) => event.raw).join("")).toBe(text);
    expect(events[0]?.raw).toBe(text.slice(0, text.indexOf("data: b")));
    expect(rest).toBe("");
  });

  it.each([
    ["data lines are joined", "data: a\nevent: x\ndata: b\nid: 1\n\n", "a\nb"],
    ["one space after the colon is no data", "data:  a \n\n", " a "],
    ["none need be there", "data:a\n\n", "a"],
    ["a line without a colon is empty data", "data\n\n", ""],
    ["an empty line of data is data", "data:\n\n", ""],
    ["a field that begins alike is another one", "database: a\n\n", null],
    ["a comment has none", ": keep-alive data: a\n\n", null],
    ["a field alone has none", "event: ping\n\n", null],
    ["a blank line alone has none", "\n", null],
    ["a byte order mark at the start is neither text nor passed on", "\ufeffdata: a\n\n", "a"],
  ])("%s", (_rule, text, data) => {
    expect(splitText(text).events).toEqual([{ raw: text.replace(/^\ufeff/, ""), data }]);
  });

  it("keeps a byte order mark that is part of the text", () => {
    const { events } = splitText("data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n");
    expect(events.map((event) => event.data)).toEqual(["a", null, "\ufeffc"]);
  });

  it("holds an event that is not over and says how large it is", () => {
    const splitter = new SseSplitter();
    expect(splitter.push(encoder.encode("data: a\n\ndata: é"))).toHaveLength(1);
    expect(splitter.heldBytes).toBe(8);
    expect(decoder.decode(splitter.rest())).toBe("data: é");
    expect(splitter.push(encoder.encode("\n\n"))).toEqual([
      { raw: encoder.encode("data: é\n\n"), data: "é", name: null, unframed: "" },
    ]);
    expect(splitter.heldBytes).toBe(0);
    expect(splitter.rest()).toHaveLength(0);
  });

  it("gives an event at the return that ends it, and its line feed with what follows", () => {
    const splitter = new SseSplitter();
    expect(splitter.push(encoder.encode("data: a\r\n\r"))).toHaveLength(1);
    expect(splitter.push(encoder.encode("\ndata: b\r\n\r\n"))).toEqual([
      { raw: encoder.encode("\ndata: b\r\n\r\n"), data: "b", name: null, unframed: "" },
    ]);
  });

  it("reads the name of an event, and the lines that belong to no field", () => {
    const events = new SseSplitter().push(
      encoder.encode('event: a\nevent: b\ndata: 1\n{"x":\n1}\nid: 7\nretry: 1\n: c\nerror: d\n\nevent\n\n'),
    );
    expect(events.map(({ name, data, unframed }) => [name, data, unframed])).toEqual([
      ["b", "1", '{"x":\n1}\nerror: d'],
      ["", null, ""],
    ]);
  });

  it("hands out what is held of an event, and its end without data", () => {
    const splitter = new SseSplitter();
    expect(splitter.push(encoder.encode("data: a\n\ndata: b"))).toHaveLength(1);
    expect(decoder.decode(splitter.takeHeld())).toBe("data: b");
    expect(splitter.heldBytes).toBe(0);
    const [end, next] = splitter.push(encoder.encode("bb\n\ndata: c\n\n"));
    expect(end).toEqual({ raw: encoder.encode("bb\n\n"), data: null, name: null, unframed: "" });
    expect(next?.data).toBe("c");
  });

  it("ends an event whose beginning was handed out", () => {
    const splitter = new SseSplitter();
    splitter.push(encoder.encode("data: b"));
    splitter.takeHeld();
    expect(splitter.end()).toEqual([{ raw: encoder.encode("\n\n"), data: null, name: null, unframed: "" }]);
  });

  it("copies nothing of events that come whole", () => {
    const bytes = encoder.encode("data: a\n\ndata: b\n\n");
    for (const { raw } of new SseSplitter().push(bytes)) expect(raw.buffer).toBe(bytes.buffer);
  });

  it("reads alike in any pieces, and loses no byte", () => {
    const line = fc.constantFrom("data: {}", "data: é😀", "data", ": ping", "event: x", "data: [DONE]", "", "id: 1");
    const ends = fc.constantFrom("\n", "\r\n", "\r");
    const stream = fc.array(fc.tuple(line, ends), { maxLength: 20 }).map((lines) => lines.flat().join(""));
    const check = fc.property(stream, fc.array(fc.nat(200), { maxLength: 12 }), (text, places) => {
      const bytes = encoder.encode(text);
      const cuts = places.filter((at) => at <= bytes.length).sort((one, other) => one - other);
      const whole = split(bytes);
      const pieces = split(bytes, cuts);
      expect(pieces.events.map((event) => event.data)).toEqual(whole.events.map((event) => event.data));
      expect(pieces.events.map((event) => event.raw).join("") + pieces.rest).toBe(text);
      expect(pieces.heldBytes).toBe(encoder.encode(pieces.rest).length);
    });
    fc.assert(check, { numRuns: 1_000 });
  });

  it("reads a line end of two bytes as one, also behind a lone return and at a cut", () => {
    const bytes = encoder.encode("id: 1\r\r\n\n");
    for (let cut = 0; cut <= bytes.length; cut += 1) expect(split(bytes, [cut]).events).toHaveLength(2);
  });

  it("reads alike when every byte comes alone", () => {
    const text = 'data: {"a":"é😀"}\r\n\r\n: ping\n\ndata: x\rdata: y\r\revent: z\n\n';
    const bytes = encoder.encode(text);
    const { events } = split(bytes, Array.from(bytes.keys()));
    expect(events.map((event) => event.data)).toEqual(['{"a":"é😀"}', null, "x\ny", null]);
  });
});
