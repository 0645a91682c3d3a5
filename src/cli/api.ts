// The broker's HTTP API as the operator's commands call it: JSON in and out, and a refusal as an error that a sentence is made of.
import { messageOf } from "../core/failure.ts";
import { type Fields, fieldsOf, parseJson, textOf } from "../core/json/value.ts";
import { Failed, WrongUse } from "./wrong-use.ts";

/** Where a broker is, and the key to call it with. */
export interface BrokerPlace {
  /** Its address, without a slash at its end. */
  readonly base: string;
  readonly key: string;
  /** Where the key was found, for a sentence about it. */
  readonly keyFrom: string;
}

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface Api {
  readonly base: string;
  /** `maxMs`: how long the answer may take, for who does not wait as long as a change takes. */
  get(path: string, query?: Query, maxMs?: number): Promise<Fields>;
  /** The same with the version that the answer shows, for `send`; null: it shows none. */
  getVersioned(path: string): Promise<Versioned>;
  /**
   * `body` is left out where the route takes none. `version`: of what is changed, if the change was made of what that holds. Resolves
   * with {} where the answer has no body.
   */
  send(method: "POST" | "PATCH" | "DELETE", path: string, body?: object, version?: number): Promise<Fields>;
  /** Posts a body that is JSON already. The same call may be made again: `once` tells the broker that it is the same one. */
  post(path: string, json: string, once: string): Promise<Fields>;
  /** The text of an answer that is no single JSON value, however long it takes. */
  text(path: string, query?: Query): Promise<string>;
}

export interface Versioned {
  readonly answer: Fields;
  readonly version: number | null;
}

/** A field that a request must not have as it was. */
export interface RefusedField {
  readonly field: string;
  readonly message: string;
}

/** The broker has answered a call with a refusal. */
export class Refusal extends Failed {
  readonly status: number;
  /** What was wrong, by field; empty where the refusal is about the call as a whole. */
  readonly fields: readonly RefusedField[];

  constructor(status: number, sentence: string, fields: readonly RefusedField[]) {
    super(ENDING_OF_STATUS[status] ?? "failed", sentence);
    this.status = status;
    this.fields = fields;
  }
}

const ENDING_OF_STATUS: Readonly<Record<number, "forbidden" | "notFound">> = {
  401: "forbidden",
  403: "forbidden",
  404: "notFound",
};

/** A change is a commit in D1 and a push to the broker, which has 5 s by itself. */
const ANSWER_MAX_MS = 60_000;

/** Throws a sentence where the key can be none: Node would print it in an error of its own, as a header that cannot be. */
export function makeApi(place: BrokerPlace): Api {
  if (!/^[\x21-\x7e]+$/.test(place.key.trim()))
    throw new Failed(
      "forbidden",
      `the key ${place.keyFrom} is none: a key has no blanks, line breaks or special signs`,
    );
  return {
    base: place.base,
    get: (path, query = {}, maxMs = ANSWER_MAX_MS) => call(place, "GET", `${path}${queryText(query)}`, { maxMs }),
    getVersioned: (path) => exchange(place, "GET", path),
    send: (method, path, body, version) =>
      call(place, method, path, {
        ...(body === undefined ? {} : { json: JSON.stringify(body) }),
        headers: version === undefined ? {} : { "if-match": `"${version}"` },
      }),
    post: (path, json, once) => call(place, "POST", path, { json, headers: { "idempotency-key": once } }),
    text: (path, query = {}) => download(place, `${path}${queryText(query)}`),
  };
}

/** What a path answers; null: there is no such thing. */
export async function findAt(api: Api, path: string): Promise<Fields | null> {
  try {
    return await api.get(path);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  }
}

/** A part of a path, such as an id that somebody has typed. */
export function part(text: string): string {
  // However it is written, an address loses such a part and the one before it.
  if (text === "." || text === "..") throw new WrongUse(`nothing has the name ${text}`);
  return encodeURIComponent(text);
}

function queryText(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

interface Sent {
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxMs?: number;
}

async function call(place: BrokerPlace, method: string, path: string, sent?: Sent): Promise<Fields> {
  return (await exchange(place, method, path, sent)).answer;
}

async function exchange(
  place: BrokerPlace,
  method: string,
  path: string,
  { json, headers = {}, maxMs = ANSWER_MAX_MS }: Sent = {},
): Promise<Versioned> {
  const response = await ask(place, path, {
    method,
    headers: { ...headers, ...(json === undefined ? {} : { "content-type": "application/json" }) },
    ...(json === undefined ? {} : { body: json }),
    signal: AbortSignal.timeout(maxMs),
  });
  const text = await response.text().catch((error: unknown) => failUnreachable(place.base, error));
  const answer = text === "" ? {} : fieldsOf(parseJson(text));
  if (!response.ok || answer === null) throw refusalOf(place, method, path, response.status, answer ?? {});
  // A proxy that compresses an answer makes its tag a weak one.
  const [, version] = /^(?:W\/)?"(\d{1,15})"$/.exec(response.headers.get("etag") ?? "") ?? [];
  return { answer, version: version === undefined ? null : Number(version) };
}

async function download(place: BrokerPlace, path: string): Promise<string> {
  const response = await ask(place, path, { method: "GET" });
  const text = await response.text();
  if (response.ok) return text;
  throw refusalOf(place, "GET", path, response.status, fieldsOf(parseJson(text)) ?? {});
}

function ask({ base, key }: BrokerPlace, path: string, init: RequestInit): Promise<Response> {
  const headers = { ...init.headers, authorization: `Bearer ${key}` };
  // The key is for this address: whoever is redirected to must not get it.
  return fetch(`${base}${path}`, { ...init, headers, redirect: "manual" }).catch((error: unknown) =>
    failUnreachable(base, error),
  );
}

function failUnreachable(base: string, error: unknown): never {
  // The message of fetch is only "fetch failed"; the reason is in its cause.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const isLate = cause instanceof Error && cause.name === "TimeoutError";
  const code = !isLate && cause instanceof Error && "code" in cause ? String(cause.code) : messageOf(cause);
  const next = "npm start starts one on this machine, --broker URL names another";
  throw new Failed("unreachable", `no broker answers at ${base} (${code}): ${next}`);
}

function refusalOf(place: BrokerPlace, method: string, path: string, status: number, answer: Fields): Refusal {
  const { base, keyFrom } = place;
  const detail = textOf(answer, "detail") || textOf(answer, "message");
  if (status === 401) return new Refusal(status, `${base} refuses the key ${keyFrom}: ${detail}`, []);
  if (detail === "" || status < 400) {
    return new Refusal(status, `${base} answered ${status} to ${method} ${path}: is that the address of a broker?`, []);
  }
  if (status === 404 && detail.startsWith("no such route")) {
    return new Refusal(status, `the broker at ${base} has no ${method} ${path}: it is of another release`, []);
  }
  return new Refusal(status, detail, fieldsRefused(answer, detail));
}

/** A problem of several fields lists them; one of a single field names it beside its sentence. */
function fieldsRefused(answer: Fields, detail: string): RefusedField[] {
  const { errors } = answer;
  if (Array.isArray(errors)) {
    return errors.map((each) =>
      typeof each === "string" ? fieldOfLine(each) : { field: textOf(each, "field"), message: textOf(each, "message") },
    );
  }
  const field = textOf(answer, "field");
  if (field === "") return [];
  return [{ field, message: detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail }];
}

/** RunPod's plane has a line for each field, such as `$.disk: must be …`. */
function fieldOfLine(line: string): RefusedField {
  const [, field, message] = /^\$\.?([^:]*): (.*)$/s.exec(line) ?? [];
  return field === undefined || message === undefined ? { field: "", message: line } : { field, message };
}
