// The JSON text of what a handler gives back, or the path of the part that has none. JSON.stringify would drop functions, turn NaN
// into null and a picture into an object with a million numbered members, each without a word.

export type JsonText =
  | { readonly ok: true; readonly text: string }
  /** `path`: such as `output.items[3].size`. */
  | { readonly ok: false; readonly path: string; readonly problem: string };

/** Objects in one another. A deeper one is taken for a mistake before it takes the whole stack. */
const DEPTH_MAX = 500;

class NotJson extends Error {
  readonly path: string;
  constructor(path: string, problem: string) {
    super(problem);
    this.path = path;
  }
}

/**
 * Writes a value as JSON. A Date is its ISO text, bytes (Uint8Array, Buffer, ArrayBuffer, DataView) are base64, another typed array
 * is a list of numbers; `undefined` is null, and left out as a member of an object; whatever has `toJSON` is what that returns.
 * `name` begins each path. `copyOf`: the object that the value is a copy of, if it is one.
 */
export function jsonTextOf(value: unknown, name: string, copyOf: object | null = null): JsonText {
  try {
    return { ok: true, text: JSON.stringify(plainOf(value, name, copyOf === null ? [] : [copyOf])) };
  } catch (error) {
    if (error instanceof NotJson) return { ok: false, path: error.path, problem: error.message };
    throw error;
  }
}

function plainOf(value: unknown, path: string, parents: readonly object[]): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new NotJson(path, `is ${value}, which JSON does not have: null may stand for it`);
    case "bigint":
      throw new NotJson(path, "is a BigInt, which JSON does not have: String(value) keeps all its digits");
    case "undefined":
      return null;
    case "object":
      return value === null ? null : plainOfObject(value, path, parents);
    default:
      throw new NotJson(path, `is a ${typeof value}, which JSON does not have`);
  }
}

function plainOfObject(value: object, path: string, parents: readonly object[]): unknown {
  if (parents.includes(value)) throw new NotJson(path, "is an object that it is itself a part of");
  if (parents.length >= DEPTH_MAX) throw new NotJson(path, `is deeper than ${DEPTH_MAX} levels`);
  const bytes = bytesOf(value);
  if (bytes !== null) return bytes.toString("base64");
  const within = [...parents, value];
  if (ArrayBuffer.isView(value) && Symbol.iterator in value) {
    return Array.from(value as Iterable<unknown>, (item, at) => plainOf(item, `${path}[${at}]`, within));
  }
  if (Array.isArray(value)) return Array.from(value, (item, at) => plainOf(item, `${path}[${at}]`, within));
  // It is told with its path, and its own failure, for which nobody waits, must not end the process with all its jobs.
  if (value instanceof Promise) value.catch(() => undefined);
  const other = OTHERS.find(([type]) => value instanceof type);
  if (other !== undefined) throw new NotJson(path, other[1]);
  if (value instanceof Date && Number.isNaN(value.getTime())) throw new NotJson(path, "is a Date without a time");
  if ("toJSON" in value && typeof value.toJSON === "function") return plainOf(value.toJSON(), path, within);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, plainOf(member, pathTo(path, name), within)]));
}

/** Objects whose JSON would be `{}`, with what to do instead. */
const OTHERS = [
  [Promise, "is a Promise: await is missing"],
  [Map, "is a Map: Object.fromEntries(map) makes an object of it"],
  [Set, "is a Set: [...set] makes a list of it"],
  [Error, "is an Error: throw it, or give its message"],
  [WeakMap, "is a WeakMap, which JSON does not have"],
  [WeakSet, "is a WeakSet, which JSON does not have"],
  [RegExp, "is a regular expression: its source is a text"],
  [Response, "is a Response: await response.json() or response.text() is what it brings"],
  [Blob, "is a Blob: await blob.arrayBuffer() is what it holds"],
  [ReadableStream, "is a stream: a handler that returns it alone streams what it brings"],
] as const;

function bytesOf(value: object): Buffer | null {
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return Buffer.from(value);
  const isBytes = value instanceof Uint8Array || value instanceof Uint8ClampedArray || value instanceof DataView;
  return isBytes ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : null;
}

function pathTo(path: string, name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}
