// Which headers pass through a load-balanced endpoint. Headers of one connection, of Waybill's own front door or of the
// client's key are removed; all others go on as they came.

const HOP_BY_HOP = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
/** The sender of the body sets `content-length` anew, and the handshake of a WebSocket is made anew. */
const NOT_PASSED_ON = new Set([
  ...HOP_BY_HOP,
  "authorization",
  "content-length",
  "expect",
  "forwarded",
  "host",
  "sec-websocket-extensions",
  "sec-websocket-key",
  "sec-websocket-version",
  "true-client-ip",
  "x-real-ip",
  "x-runpod-worker-id",
]);
const NOT_PASSED_ON_PREFIXES = ["cf-", "proxy-", "x-forwarded-"];
const NOT_PASSED_BACK = new Set([...HOP_BY_HOP, "content-length", "x-request-id", "x-runpod-worker-id"]);

/** Only a GET may ask for a WebSocket: workerd would turn any other request that asks into one, and drop its body. */
export function asksForSocket({ method, headers }: Pick<Request, "method" | "headers">): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** The headers that a worker gets; `credential` is the worker's own key, which replaces the client's. */
export function toWorkerHeaders(request: Pick<Request, "method" | "headers">, credential: string | null): Headers {
  const { headers } = request;
  const named = namedByConnection(headers);
  const passed = new Headers();
  for (const [name, value] of headers) {
    if (NOT_PASSED_ON.has(name) || named.has(name)) continue;
    if (!NOT_PASSED_ON_PREFIXES.some((prefix) => name.startsWith(prefix))) passed.append(name, value);
  }
  // Without this header workerd asks for codings of its own choice, which this client may not know.
  if (!passed.has("accept-encoding")) passed.set("accept-encoding", "identity");
  if (credential !== null) {
    passed.set("authorization", `Bearer ${credential}`);
    // The answer is searched for the credential, which cannot be found in compressed bytes.
    passed.set("accept-encoding", "identity");
  }
  if (asksForSocket(request)) passed.set("upgrade", "websocket");
  return passed;
}

/** The headers that a client gets from a worker's answer; each `set-cookie` stays a header of its own. */
export function toClientHeaders(headers: Headers, own: Readonly<Record<string, string>>): Headers {
  const named = namedByConnection(headers);
  const passed = new Headers();
  for (const [name, value] of headers) {
    const stays = NOT_PASSED_BACK.has(name) || named.has(name) || name.startsWith("proxy-");
    if (!stays) passed.append(name, value);
  }
  for (const [name, value] of Object.entries(own)) passed.set(name, value);
  return passed;
}

function namedByConnection(headers: Headers): ReadonlySet<string> {
  const names = headers.get("connection")?.split(",") ?? [];
  return new Set(names.map((name) => name.trim().toLowerCase()));
}
