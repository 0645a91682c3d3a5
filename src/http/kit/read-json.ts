// Checks small bodies and query strings against their schema; the failure names the wrong field.
import type * as z from "zod";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { parseJson } from "../../core/json/value.ts";

/** A settings object is a few hundred bytes. */
const SMALL_BODY_MAX_BYTES = 4_096;

/** The body of a request, parsed by the schema; it is read no further than its limit. */
export async function readJson<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  maxBytes = SMALL_BODY_MAX_BYTES,
): Promise<Result<z.output<Schema>>> {
  const text = await readText(request, maxBytes);
  if (!text.ok) return text;
  const value = parseJson(text.value);
  if (value === undefined) return fail({ kind: "invalid", field: "body", message: "must be a JSON object" });
  const parsed = schema.safeParse(value);
  return parsed.success ? ok(parsed.data) : fail(failureOfIssue(parsed.error));
}

/** The query string of a request, parsed by the schema; each parameter may occur at most once. */
export function readQuery<Schema extends z.ZodType>(url: string, schema: Schema): Result<z.output<Schema>> {
  const { searchParams } = new URL(url);
  // A value without a name is no parameter.
  searchParams.delete("");
  const repeated = [...searchParams.keys()].find((name) => searchParams.getAll(name).length > 1);
  if (repeated !== undefined)
    return fail({ kind: "invalid", field: `?${repeated}`, message: "may be given only once" });
  const parsed = schema.safeParse(Object.fromEntries(searchParams));
  return parsed.success ? ok(parsed.data) : fail(failureOfIssue(parsed.error, "?"));
}

/** The failure names the first wrong field by its path, such as `policy.ttl`, after `prefix`: `?` for a query. */
export function failureOfIssue({ issues }: z.ZodError, prefix = ""): Failure {
  const issue = issues[0];
  const path = issue?.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : (issue?.path ?? []);
  const field = path.length === 0 ? "body" : `${prefix}${path.join(".")}`;
  return { kind: "invalid", field, message: issue?.message ?? "is not valid" };
}

async function readText(request: Request, maxBytes: number): Promise<Result<string>> {
  if (request.body === null) return ok("");
  const decoder = new TextDecoder();
  let text = "";
  let sizeBytes = 0;
  for await (const chunk of request.body.values({ preventCancel: true })) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) return fail({ kind: "too_large", maxBytes });
    text += decoder.decode(chunk, { stream: true });
  }
  return ok(text + decoder.decode());
}
