// What a tenant may put into the call to an OpenAI server. These are the rules by which fetch or the guard of calls
// would refuse it: such a request fails here, before it has a lease, so that its upstream does not seem to fail.
import { OPENAI_CONTENT_TYPE_MAX_CHARS, OPENAI_TARGET_MAX_CHARS } from "./limits.ts";

/** A fault of a request, and the field that has it. */
export interface Problem {
  readonly field: string;
  readonly message: string;
}

/** The fault of a path and a query as they are sent; null: none. */
export function targetProblem(path: string, query: string): Problem | null {
  const field = query === "" ? "path" : "query";
  const text = `${path}${query}`;
  if (text.length > OPENAI_TARGET_MAX_CHARS) {
    return { field, message: `path and query may have at most ${OPENAI_TARGET_MAX_CHARS} characters together` };
  }
  const odd = [...text].find((char) => !/[\x21-\x7e]/.test(char) || char === "\\" || char === "#");
  if (odd === undefined) return null;
  const shown = odd === "\\" ? "a backslash" : odd === "#" ? "a fragment" : "characters other than printable ASCII";
  return { field: /[\\#]|[^\x21-\x7e]/.test(path) ? "path" : "query", message: `must not contain ${shown}` };
}

/** The fault of a method and its body's type (null: no body); null: none. */
export function bodyProblem(method: string, contentType: string | null): Problem | null {
  if (contentType === null) return null;
  if (method === "GET" || method === "HEAD") return { field: "body", message: `a ${method} request has no body` };
  if (contentType.length <= OPENAI_CONTENT_TYPE_MAX_CHARS && isHeaderValue(contentType)) return null;
  const message = `must be printable ASCII of at most ${OPENAI_CONTENT_TYPE_MAX_CHARS} characters`;
  return { field: "content-type", message };
}

export function isHeaderValue(text: string): boolean {
  return /^[\x20-\x7e\t]*$/.test(text);
}
