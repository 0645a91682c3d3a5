// What a tenant may put into the call that an OpenAI server gets: the rules by which fetch would refuse it, or the guard of calls,
// so that such a request fails for its own sake, before it has a lease, and says nothing of the upstream.
import { OPENAI_CONTENT_TYPE_MAX_CHARS, OPENAI_TARGET_MAX_CHARS } from "../limits.ts";

/** What is wrong with a request, and where. */
interface Problem {
  readonly field: string;
  readonly message: string;
}

/** Of a path and a query as they are sent; null: nothing. */
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

/** Of a method with or without a body, and the type of that body; null: nothing. */
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
