// Failures of the management API as RFC 9457 problems (application/problem+json): our own form under /v1, and that of
// RunPod's management API under /v2, whose clients show `detail` and `errors`, and whose models read `hint`.

import { wireOf } from "../../contract/wire-failure.ts";
import { type Failure, fieldSentence, nameOfField, type WrongField } from "../../core/failure.ts";
import { jsonAnswer } from "./answer.ts";
import type { RouteContext } from "./context.ts";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

const TYPE = { "content-type": "application/problem+json" };

/** A problem of /v1: `code` names the kind of failure for programs, `errors` every wrong field. */
export function refuseAsProblem(c: RouteContext, failure: Failure): Response {
  const { status, message, more, headers, errors: told } = wireOf(failure);
  const errors = failure.kind === "not_conforming" ? failure.wrong.map(showWrong) : told;
  const body = {
    title: titleOf(status),
    status,
    detail: detailOf(failure, message),
    code: failure.kind,
    ...more,
    errors,
  };
  return jsonAnswer(status, body, c.get("requestId"), { ...headers, ...TYPE });
}

/** A problem of RunPod's management API: what its schema refuses is 422 there, with one line for each field. */
export function refuseAsRunPodProblem(c: RouteContext, failure: Failure): Response {
  const { status, message, headers } = wireOf(failure);
  if (failure.kind !== "not_conforming") {
    const body = { title: titleOf(status), status, detail: detailOf(failure, message), hint: hintOf(failure) };
    return jsonAnswer(status, body, c.get("requestId"), { ...headers, ...TYPE });
  }
  const errors = failure.wrong.map(lineOf);
  const body = { title: titleOf(422), status: 422, detail: "validation failed", errors };
  return jsonAnswer(422, body, c.get("requestId"), TYPE);
}

/** The answer to a bug of ours under /v1 and under RunPod's management paths. */
export function crashAsProblem(requestId: string): Response {
  const body = { title: titleOf(500), status: 500, detail: `see the log of request ${requestId}`, code: "internal" };
  return jsonAnswer(500, body, requestId, TYPE);
}

function titleOf(status: number): string {
  return TITLES[status] ?? "Error";
}

/** What is wrong, in one sentence, or one for each wrong field. `message`: the failure's on the wire. */
export function detailOf(failure: Failure, message: string): string {
  if (failure.kind === "invalid") return fieldSentence(failure);
  if (failure.kind !== "not_conforming") return message;
  return failure.wrong.map((wrong) => fieldSentence(showWrong(wrong))).join("; ");
}

function showWrong(wrong: WrongField) {
  return { field: nameOfField(wrong), message: wrong.unknown === undefined ? wrong.message : "is not known here" };
}

/** As RunPod writes them: `$.gpu.count: must be …`, and `$: additional properties 'bogus' not allowed`. */
function lineOf({ source, path, message, unknown }: WrongField): string {
  const place = source === "body" ? ["$", ...path].join(".") : `${source} ${path.join(".")}`;
  return unknown === undefined ? `${place}: ${message}` : `${place}: additional properties '${unknown}' not allowed`;
}

/** RunPod's MCP server shows a hint of ours in place of its own, which would send people to RunPod's console. */
function hintOf({ kind }: Failure): string | undefined {
  switch (kind) {
    case "unauthorized":
      return "This is a Waybill deployment: its operator makes keys, not RunPod's console.";
    case "forbidden":
    case "restricted_key":
      return "Ask the operator of this Waybill deployment for a key that may do this.";
    case "not_found":
    case "method_not_allowed":
      return "This is a Waybill deployment: GET /v2/openapi.json lists the management routes that it has.";
    case "unavailable":
      return "Try again in some seconds; if it stays, ask the operator of this Waybill deployment.";
    default:
      return undefined;
  }
}
