// The scanner against JSON.parse: the same documents pass, and the bytes that come out are the bytes that went in.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JsonScanError, type JsonScanner, scanObject, scanValue } from "../../../src/core/json/scanner.ts";
import { JSON_DEPTH_MAX } from "../../../src/core/limits.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

function toBytes(document: string | readonly number[]): Uint8Array {
  return typeof document === "string" ? encoder.encode(document) : Uint8Array.from(document);
}

/** Feeds a scanner in chunks that end at the given indexes; every chunk is wiped after use, as a reader would. */
function feed(scanner: JsonScanner, bytes: Uint8Array, cuts: readonly number[]): JsonScanError | null {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    const chunk = bytes.slice(from, cut);
    const error = scanner.push(chunk);
    chunk.fill(0);
    if (error !== null) return error;
    from = cut;
  }
  return scanner.end();
}

function everyByte(bytes: Uint8Array): number[] {
  return Array.from(bytes.keys());
}

interface Scanned {
  readonly error: JsonScanError | null;
  readonly value: string;
}

function scanOne(document: string | readonly number[], cuts?: readonly number[], lenientNumbers = false): Scanned {
  const bytes = toBytes(document);
  const out: number[] = [];
  const sink = { bytes: (view: Uint8Array) => void out.push(...view), end: () => undefined };
  const error = feed(scanValue(sink, { lenientNumbers }), bytes, cuts ?? []);
  return { error, value: decoder.decode(Uint8Array.from(out)) };
}

function scanFields(document: string, cuts: readonly number[] = [], namesMaxBytes = 1_000) {
  const fields: [string, string][] = [];
  const open: { name: string; bytes: number[] } = { name: "", bytes: [] };
  const sink = {
    begin(name: string) {
      open.name = name;
      open.bytes = [];
    },
    bytes: (view: Uint8Array) => void open.bytes.push(...view),
    end: () => void fields.push([open.name, decoder.decode(Uint8Array.from(open.bytes))]),
  };
  const error = feed(scanObject(sink, { namesMaxBytes }), toBytes(document), cuts);
  return { error, fields };
}

// biome-ignore format: a table
const DOCUMENTS = [
  "0", "-0", "1", "10", "-12.50", "1e21", "1E+2", "1e-0", "0.1e1", "123456789012345678901234567890",
  "01", "-", "+1", ".5", "1.", "1.e1", "1e", "1e+", "0x1", "--1", "1-1", "1.2.3", "1e1.5", "-01", "1_0",
  "true", "false", "null", "tru", "nulll", "True", "t", "truefalse", "undefined",
  '""', '"a"', '"', '"a', '"a"b', '"\\n\\t\\r\\b\\f\\/\\\\\\""', '"\\u00e9\\uD83D\\ude00\\ud800"', '"\\x"', '"\\u12"',
  '"\\u12g4"', '"\\', '"\\u"', '"\n"', '"\u0000"', '"\u001f"', '"\u007f"', '"é€😀\u2028\u2029"', '"\ufeff"', "'a'",
  "[]", "[ ]", "[1,2]", "[1,]", "[,1]", "[1 2]", "[", "]", "[1}", "[[]", "[]]", "[[[[1]]],{}]",
  "{}", "{ }", '{"a":1}', '{"a":1,}', '{,"a":1}', '{"a"}', '{"a":}', '{"a" 1}', "{a:1}", '{"a":1]', "{1:2}", '{"a":1 "b":2}',
  '{"":{"":[{"b":null}]}}', "{", "}", '{"a', '{"a":', '{"a":1', '{"a":1,', ":", ",", "",
  " ", "\t1\r\n", "1 2", "1,2", "{} {}", "[] x", "\u00a01", "1\u00a0", "\ufeff1", "\ufeff{}", "\ufeff \"\ufeff\"", "//x\n1", "1/**/",
  "\u000b1", "\f1", "NaN", "Infinity", "-Infinity", "[NaN]",
  "\ufeff", "\ufeff\ufeff1", " \ufeff1", "1\ufeff", "[\ufeff1]", "\ufeff1 2", "\u00ef1", "\ufec01", "\ufffe1",
];

describe("the JSON scanner", () => {
  it.each(DOCUMENTS)(
    "agrees with JSON.parse about %j but for one byte order mark, whole and byte by byte",
    (document) => {
      const whole = scanOne(document);
      const inBytes = scanOne(document, everyByte(toBytes(document)));
      expect(whole.error === null).toBe(isJson(document));
      expect(inBytes.error).toEqual(whole.error);
      if (whole.error === null) expect([whole.value, inBytes.value]).toEqual([document.trim(), document.trim()]);
    },
  );

  it("reproduces any JSON value cut anywhere, white space inside included", () => {
    const indent = fc.constantFrom(0, 1, "\t");
    fc.assert(
      fc.property(fc.json(), indent, fc.array(fc.nat(400)), (json, space, cutsDrawn) => {
        const document = JSON.stringify(JSON.parse(json), null, space);
        const bytes = toBytes(document);
        const cuts = cutsDrawn.filter((cut) => cut < bytes.length).sort((left, right) => left - right);
        expect(scanOne(` ${document}\n`, cuts)).toEqual({ error: null, value: document });
      }),
      { numRuns: 500 },
    );
  });

  it("agrees with JSON.parse about JSON with one character changed", () => {
    const alphabet = [...'{}[]",:\\0123.eE+-tfnu \n\u0001é'];
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom(...alphabet), (json, place, char) => {
        const at = place % json.length;
        const document = json.slice(0, at) + char + json.slice(at + 1);
        const well = document.isWellFormed();
        fc.pre(well);
        expect(scanOne(document).error === null).toBe(isJson(document));
      }),
      { numRuns: 2_000 },
    );
  });

  it("agrees with a strict UTF-8 decoder about any bytes in a string", () => {
    const hostile = fc.constantFrom(
      0x41,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc0,
      0xc1,
      0xc2,
      0xe0,
      0xed,
      0xef,
      0xf0,
      0xf4,
      0xf5,
      0xff,
    );
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 6 }), fc.nat(8), (inner, cut) => {
        const document = [0x22, ...inner, 0x22];
        const { error } = scanOne(document, [Math.min(cut, document.length)]);
        expect(error === null).toBe(isUtf8(document));
      }),
      { numRuns: 5_000 },
    );
  });

  it("says what is wrong and at which byte", () => {
    expect(scanOne('{"a":1,é}').error?.message).toBe("the body is not valid JSON: unexpected character at byte 7");
    expect(scanOne("[1, 2").error?.message).toBe("the body is not valid JSON: unexpected end at byte 5");
    expect(scanOne("{} {}").error?.message).toBe("the body is not valid JSON: more than one value at byte 3");
  });

  it("takes JSON_DEPTH_MAX containers and not one more", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(scanOne(nested(JSON_DEPTH_MAX)).error).toBeNull();
    expect(scanOne(nested(JSON_DEPTH_MAX + 1)).error).toMatchObject({ code: "too_deep", offset: JSON_DEPTH_MAX });
    expect(scanOne("[".repeat(1_000_000)).error?.code).toBe("too_deep");
  });

  it("tells objects from lists at any depth", () => {
    const opening = '[{"a":'.repeat(JSON_DEPTH_MAX / 2);
    const closing = "}]".repeat(JSON_DEPTH_MAX / 2);
    expect(scanOne(`${opening}1${closing}`).error).toBeNull();
    for (let at = 0; at < closing.length; at += 1) {
      const wrong = closing.slice(0, at) + (at % 2 === 0 ? "]" : "}") + closing.slice(at + 1);
      expect(scanOne(`${opening}1${wrong}`).error).toMatchObject({ code: "syntax", offset: opening.length + 1 + at });
    }
  });

  it("takes a byte order mark cut anywhere, and counts its bytes", () => {
    for (const cuts of [[], [1], [2], [3], [1, 2, 3, 4]]) {
      const scanner = scanValue({ bytes: () => undefined, end: () => undefined });
      expect(feed(scanner, toBytes("\ufeff[1]"), cuts)).toBeNull();
      expect(scanner).toMatchObject({ markBytes: 3, endsAt: 6 });
    }
    for (const [broken, offset] of [
      [[0xef, 0x31], 1],
      [[0xef, 0xbb, 0x31], 2],
      [[0xef, 0xbb], 2],
      [[0xbb, 0xbf, 0x31], 0],
    ] as const) {
      expect(scanOne(broken).error).toMatchObject({ code: "syntax", offset });
      expect(scanOne(broken, everyByte(toBytes(broken))).error).toMatchObject({ code: "syntax", offset });
    }
  });

  it("lets NaN and the infinities pass as they are only when told to", () => {
    const document = '[NaN,Infinity,-Infinity,-1,{"a":NaN}]';
    expect(scanOne(document, everyByte(toBytes(document)), true)).toEqual({ error: null, value: document });
    expect(scanOne("-Infinity", [1], true)).toEqual({ error: null, value: "-Infinity" });
    for (const wrong of ["Nan", "-NaN", "Inf", "+Infinity", "-Infinit", "NaNN"]) {
      expect(scanOne(wrong, [], true).error?.code).toBe("syntax");
    }
  });
});

describe("the JSON scanner of an object", () => {
  it("gives each top-level field with its decoded name and its raw value", () => {
    const document =
      ' { "input" : { "a" : [1.0, 1e21] } , "\\u0069d\\n":"\\u2028\u2028", "__proto__":-0,"":null,"z":[ ]}\n';
    const fields = [
      ["input", '{ "a" : [1.0, 1e21] }'],
      ["id\n", '"\\u2028\u2028"'],
      ["__proto__", "-0"],
      ["", "null"],
      ["z", "[ ]"],
    ];
    expect(scanFields(document)).toEqual({ error: null, fields });
    expect(scanFields(document, everyByte(toBytes(document)))).toEqual({ error: null, fields });
  });

  it("gives back random objects cut anywhere", () => {
    const objects = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { maxKeys: 8 });
    fc.assert(
      fc.property(objects, fc.array(fc.nat(300)), (object, cutsDrawn) => {
        const document = JSON.stringify(object);
        const cuts = cutsDrawn.filter((cut) => cut < toBytes(document).length).sort((left, right) => left - right);
        const expected = Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)]);
        expect(scanFields(document, cuts, 10_000)).toEqual({ error: null, fields: expected });
      }),
      { numRuns: 500 },
    );
  });

  it("refuses a name that stands twice at the top, also when escaped, but not below", () => {
    expect(scanFields('{"a":1,"a":2}').error?.code).toBe("duplicate_field");
    expect(scanFields('{"input":1,"\\u0069nput":2}').error?.message).toContain('the field "input" stands twice');
    expect(scanFields('{"a":{"b":1,"b":2}}').error).toBeNull();
  });

  it.each(["[]", '"a"', "1", "-1", "true", "null", " [{}]"])("refuses %j because it is no object", (document) => {
    expect(scanFields(document).error?.code).toBe("not_object");
  });

  it.each(["", "x", "\ufeff", "\ufeff\ufeff{}", " \ufeff{}", "{}{}", "}"])(
    "refuses %j because it is no JSON",
    (document) => {
      expect(scanFields(document).error?.code).toBe("syntax");
    },
  );

  it("refuses names that are too long together, before it holds them", () => {
    const long = `{"${"n".repeat(600)}":1,"${"m".repeat(600)}":2}`;
    expect(scanFields(long).error?.code).toBe("fields_too_large");
    expect(scanFields(`{"${"n".repeat(2_000)}`).error?.code).toBe("fields_too_large");
  });

  it("answers its first error again and gives no more bytes", () => {
    const seen: string[] = [];
    const sink = {
      begin: (name: string) => void seen.push(name),
      bytes: () => void seen.push("bytes"),
      end: () => void seen.push("end"),
    };
    const scanner = scanObject(sink);
    const first = scanner.push(toBytes('{"a":tru,'));
    expect(scanner.push(toBytes('"b":1}'))).toBe(first);
    expect(scanner.end()).toBe(first);
    expect(seen).toEqual(["a"]);
  });
});

function isJson(document: string): boolean {
  try {
    JSON.parse(document.replace(/^\ufeff/, ""));
    return true;
  } catch {
    return false;
  }
}

function isUtf8(document: readonly number[]): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(document));
    return true;
  } catch {
    return false;
  }
}
