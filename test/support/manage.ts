// Calls of the management API in tests: JSON in, JSON out, and each answer checked against what the API's description promises of it.
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import * as z from "zod";
import type { OperationDoc } from "../../src/http/kit/operation-doc.ts";
import { MANAGEMENT_ROUTES } from "../../src/http/routes.ts";

export interface Answered {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of bodies of any shape
  readonly body: any;
  readonly headers: Headers;
}

/** Makes a call with a key, and throws where the answer is not one that the operation's description has. */
export async function manage(
  key: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const request = new Request(`https://waybill.test${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const response = await exports.default.fetch(request);
  const text = await response.text();
  const answered = { status: response.status, body: text === "" ? null : JSON.parse(text), headers: response.headers };
  checkAnswer(method, path, answered);
  return answered;
}

const problemSchema = z.object({ title: z.string(), status: z.int(), detail: z.string() });

/** Throws where an answer is not one that the operation's description has. */
export function checkAnswer(method: string, path: string, { status, body, headers }: Answered): void {
  if (status >= 400) {
    if (headers.get("content-type") !== "application/problem+json") throw new Error(`${path}: not a problem`);
    if (problemSchema.parse(body).status !== status) throw new Error(`${path}: the problem has another status`);
    return;
  }
  const doc = findOperation(method, path);
  const answer = doc?.answers[status];
  if (answer === undefined)
    throw new Error(`${method} ${path} answered ${status}, which its description does not have`);
  if (answer.schema === null) {
    if (body !== null) throw new Error(`${method} ${path} answered ${status} with a body`);
    return;
  }
  // As in the OpenAPI document, in which an answer has no field that is not described: zod leaves those out.
  expect(answer.schema.parse(body), `${method} ${path}: a field is not described`).toEqual(body);
}

function findOperation(method: string, path: string): OperationDoc | undefined {
  const asked = path.replace(/\?.*$/, "").split("/");
  const fits = (pattern: string) => {
    const parts = pattern.split("/");
    return parts.length === asked.length && parts.every((part, at) => part.startsWith(":") || part === asked[at]);
  };
  const route = MANAGEMENT_ROUTES.filter(({ methods }) => methods !== "ALL" && methods.some((one) => one === method))
    .filter((one) => fits(one.path))
    .sort((a, b) => a.path.split(":").length - b.path.split(":").length)[0];
  return route?.doc;
}
