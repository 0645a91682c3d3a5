// Checks parts of a management request against their schemas. All wrong fields are named at once, so that a caller, which may be a
// language model, can mend them in one go.
import type * as z from "zod";
import { type Failure, fail, ok, type Result, type WrongField } from "../../core/failure.ts";
import { parseJson } from "../../core/json/value.ts";
import { VALUE_DEPTH_MAX, WRONG_FIELDS_MAX } from "../../core/manage/limits.ts";

/** A text that has half of a UTF-16 pair, or a NUL, with which SQLite would end it. */
const NOT_STORABLE = "must be well-formed text without NUL characters";
const UNSTORABLE = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** The one member that zod leaves out without a word: a filter of jobs would then match all of them. */
const LEFT_OUT = "__proto__";

/** Checks a value; the failure lists its wrong fields. */
export function checkValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  source: WrongField["source"],
): Result<z.output<Schema>> {
  const refused = findRefused(value, []);
  if (refused !== null) return notConforming([{ source, ...refused }]);
  const parsed = schema.safeParse(value);
  return parsed.success ? ok(parsed.data) : notConforming(wrongFields(parsed.error, source));
}

/** The query of a request, whose parameters may be given once each. */
export function checkQuery<Schema extends z.ZodType>(schema: Schema, url: string): Result<z.output<Schema>> {
  const { searchParams } = new URL(url);
  // A value without a name is no parameter.
  searchParams.delete("");
  const names = [...new Set(searchParams.keys())];
  const repeated = names.filter((name) => searchParams.getAll(name).length > 1);
  if (repeated.length > 0) {
    return notConforming(
      repeated.map((name) => ({ source: "query", path: [name], message: "may be given only once" })),
    );
  }
  return checkValue(schema, nested(searchParams), "query");
}

/** `metadata[customer]=42` is the member `customer` of the object `metadata`, as OpenAPI's style deepObject writes it. */
function nested(searchParams: URLSearchParams): object {
  const query = new Map<string, unknown>();
  for (const [name, value] of searchParams) {
    const [, object, member] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
    if (object === undefined || member === undefined) query.set(name, value);
    else {
      const members = query.get(object);
      query.set(object, { ...(typeof members === "object" ? members : {}), [member]: value });
    }
  }
  return Object.fromEntries(query);
}

/** The body of a request as JSON. `text` is "" where there is none: routes whose fields are all optional take that. */
export function checkBody<Schema extends z.ZodType>(schema: Schema, text: string): Result<z.output<Schema>> {
  const value = text === "" ? {} : parseJson(text);
  if (value !== undefined) return checkValue(schema, value, "body");
  return fail({ kind: "invalid", field: "body", message: "must be a JSON object" });
}

function notConforming(wrong: readonly WrongField[]): { readonly ok: false; readonly failure: Failure } {
  return fail({ kind: "not_conforming", wrong: wrong.slice(0, WRONG_FIELDS_MAX) });
}

function wrongFields({ issues }: z.ZodError, source: WrongField["source"]): WrongField[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((name) => (typeof name === "number" ? name : String(name)));
    const { message } = issue;
    if (issue.code === "unrecognized_keys") return issue.keys.map((unknown) => ({ source, path, message, unknown }));
    return [{ source, path, message }];
  });
}

/** The first value that no schema is asked about: a text that cannot be stored, a name that is left out, or too deep a nesting. */
function findRefused(value: unknown, path: readonly (string | number)[]): Pick<WrongField, "path" | "message"> | null {
  if (typeof value === "string") return UNSTORABLE.test(value) ? { path, message: NOT_STORABLE } : null;
  if (typeof value !== "object" || value === null) return null;
  if (path.length === VALUE_DEPTH_MAX) return { path, message: "is nested too deeply" };
  for (const [name, member] of Object.entries(value)) {
    if (UNSTORABLE.test(name)) return { path, message: NOT_STORABLE };
    if (name === LEFT_OUT) return { path: [...path, name], message: "is no name that is taken" };
    const found = findRefused(member, [...path, Array.isArray(value) ? Number(name) : name]);
    if (found !== null) return found;
  }
  return null;
}
