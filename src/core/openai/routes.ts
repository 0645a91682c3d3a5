// Which routes of an OpenAI server a tenant's request may reach. The call is sent with the operator's credential, and
// for anyone who has it such servers also delete models, return files, or shut down. A list is a text with entries
// separated by commas: `inference` (the routes below), `METHOD /path`, or `all` alone. Routes are compared as they are
// sent, after a URL parser has normalised the path.
import type { Failure } from "../failure.ts";

/** The entry that stands for the routes of inference; it is also the whole list of an endpoint without one. */
export const INFERENCE = "inference";
const ALL = "all";

/** Routes below `/v1` that compute an answer from their body and keep nothing (`responses`: stored-responses.ts). */
const COMPUTED = [
  "chat/completions",
  "completions",
  "embeddings",
  "responses",
  "audio/speech",
  "audio/transcriptions",
  "audio/translations",
  "images/generations",
  "images/edits",
  "images/variations",
  "moderations",
];
/** vLLM and llama.cpp have these at the root of the server, other servers below `/v1`. */
const ALSO_AT_ROOT = ["rerank", "score", "classify", "pooling", "tokenize", "detokenize"];

interface Rule {
  readonly method: string;
  /** `*`: one name; `**` at the end: one or more names, whose slashes may be escaped. */
  readonly segments: readonly string[];
}

const INFERENCE_RULES: readonly Rule[] = [
  ...COMPUTED.map((name) => toRule("POST", `/v1/${name}`)),
  ...ALSO_AT_ROOT.flatMap((name) => [toRule("POST", `/v1/${name}`), toRule("POST", `/${name}`)]),
  // Cohere's second version, which vLLM has too.
  toRule("POST", "/v2/rerank"),
  toRule("GET", "/v1/models"),
  // A model's name may hold slashes: `meta-llama/Llama-3`.
  toRule("GET", "/v1/models/**"),
];

const ROUTE = /^(GET|POST|PUT|PATCH|DELETE) (\/[A-Za-z0-9._~*-]+(?:\/[A-Za-z0-9._~*-]+)*)$/;

/** Why a text is not a valid list of routes; null: it is one. */
export function openAiRoutesProblem(text: string): string | null {
  const words = wordsOf(text);
  if (words.includes(ALL)) return words.length === 1 ? null : `"${ALL}" stands alone: it has every other route in it`;
  for (const word of words) {
    const problem = word === INFERENCE ? null : routeProblem(word);
    if (problem !== null) return problem;
  }
  return null;
}

/** Is the list the wide form, which lets every route through? */
export function isWideForm(text: string): boolean {
  return text.trim() === ALL;
}

/** The list in force. A shared endpoint's wide form is not: who shares an endpoint later need not think of its list. */
export function routesInForce(settings: { readonly openaiRoutes: string; readonly shared: boolean }): string {
  return settings.shared && isWideForm(settings.openaiRoutes) ? INFERENCE : settings.openaiRoutes;
}

/** May a request reach this path? `pathname`: from the slash behind the server's own path on, without a query. */
export function allowsRoute(routes: string, method: string, pathname: string): boolean {
  if (isWideForm(routes)) return isPlain(pathname);
  return rulesOf(routes).some((rule) => rule.method === method && matches(rule.segments, pathname));
}

/** The error message for a request whose route is closed. */
export function closedRouteMessage(route: Omit<Extract<Failure, { kind: "route_closed" }>, "kind">): string {
  const shown = `${route.method} ${route.path.slice(0, SHOWN_MAX_CHARS)}`;
  return (
    `${shown} ${CLOSED}; its operator can open it: ` +
    `npm run admin -- endpoint set --endpoint ${route.endpointId} --openai-routes "${INFERENCE},${shown}"`
  );
}

const CLOSED = "is not among the routes that this endpoint lets through to its OpenAI server";

/** A longer path is cut in the message, where it would help no reader. */
const SHOWN_MAX_CHARS = 200;

function wordsOf(text: string): string[] {
  return text.split(",").map((word) => word.trim().replace(/\s+/g, " "));
}

function routeProblem(word: string): string | null {
  const [, , path] = ROUTE.exec(word) ?? [];
  if (path === undefined) return `"${word}" is neither "${INFERENCE}", "${ALL}" nor a route such as "GET /v1/files/*"`;
  const segments = path.split("/").slice(1);
  if (segments.some((segment) => segment === "." || segment === "..")) return `"${word}" has dots for a name`;
  const isOdd = segments.some((segment, at) => {
    if (segment === "**") return at !== segments.length - 1;
    return segment.includes("*") && segment !== "*";
  });
  if (isOdd) return `"${word}": a * stands for one whole name, and ** for all that follows, at the end`;
  // A list with such a route would be as wide as the wide form, but allowed for shared endpoints.
  const [first, second] = segments;
  const isWide = first?.startsWith("*") === true || (/^v\d+$/.test(first ?? "") && second?.startsWith("*") === true);
  return isWide ? `"${word}" is as wide as "${ALL}": name the route` : null;
}

function rulesOf(text: string): Rule[] {
  return wordsOf(text).flatMap((word) => {
    if (word === INFERENCE) return INFERENCE_RULES;
    const [, method, path] = ROUTE.exec(word) ?? [];
    // An entry that is not valid opens no route.
    return method === undefined || path === undefined || routeProblem(word) !== null ? [] : [toRule(method, path)];
  });
}

function toRule(method: string, path: string): Rule {
  return { method, segments: path.split("/").slice(1) };
}

/** Names are compared with their escapes: a name that a server would decode to an open route is not that route. */
function matches(rule: readonly string[], pathname: string): boolean {
  const segments = pathname.split("/").slice(1);
  for (const [at, segment] of rule.entries()) {
    const name = segments[at];
    if (segment === "**")
      return segments.length > at && segments.slice(at).every((rest) => namesOf(rest).every(isName));
    if (name === undefined || (segment === "*" ? !isName(name) : name !== segment)) return false;
  }
  return segments.length === rule.length;
}

/** The names in a segment with escaped slashes, as a server reads them that decodes a path before it splits it. */
function namesOf(segment: string): string[] {
  return segment.split(/%2f/i);
}

/** Names that a server may read differently: dots, or with escapes in escapes, backslashes, parameters, controls. */
const READ_ANEW = /^\.{0,2}$|[%/\\;?#\p{Cc}]/u;

function isName(segment: string): boolean {
  const name = decode(segment);
  return name !== null && !READ_ANEW.test(name);
}

/** Does the path stay the same path however often a server decodes it? It may end with a slash. */
function isPlain(pathname: string): boolean {
  const segments = pathname.split("/").slice(1).flatMap(namesOf);
  return segments.every((segment, at) => isName(segment) || (segment === "" && at === segments.length - 1));
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
