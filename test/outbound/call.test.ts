// The one fetch to an address of somebody else: what it never does, and that no deadline is only on paper.
import { afterEach, describe, expect, it, vi } from "vitest";
import { type CallRequest, callUrl } from "../../src/outbound/call.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";

const URL_OF_UPSTREAM = "https://gpu.example.org/work";

afterEach(() => vi.restoreAllMocks());

function request(changes: Partial<CallRequest> = {}): CallRequest {
  return { url: URL_OF_UPSTREAM, method: "POST", headers: {}, body: "{}", totalMs: 5_000, idleMs: 5_000, ...changes };
}

/** fetch as the platform's: it reads the whole body, answers, and fails when its signal fires. */
function answer(make: (signal: AbortSignal) => Response | Promise<Response>) {
  return vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const read = new Request(String(url), init as RequestInit);
    await read.text();
    const { signal } = read;
    const aborted = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(new Error("aborted"));
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
    return Promise.race([make(signal), aborted]);
  });
}

const never = () => new Promise<Response>(() => undefined);

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of body) text += new TextDecoder().decode(piece);
  return text;
}

describe("a call", () => {
  it("never comes out of the platform's cache, and never goes into it", async () => {
    const fetched = vi.spyOn(globalThis, "fetch").mockResolvedValue(Response.json({}));
    await callUrl(request(), PUBLIC_ONLY);
    expect(fetched.mock.calls.map(([, init]) => init?.cache)).toEqual(["no-store"]);
  });

  it.each<[string, Partial<CallRequest>]>([
    ["a body on a GET", { method: "GET" }],
    ["a body on a HEAD", { method: "HEAD" }],
    ["a streamed body on a GET", { method: "GET", body: new Response("{}").body ?? "", contentLength: 2 }],
    ["a method that is none", { method: "G T" }],
    ["a header's value of two lines", { headers: { authorization: "Bearer a\nb" } }],
    ["a header's name with a space", { headers: { "a b": "c" } }],
    ["an address of no form", { url: "https://gpu.example.org:x/", baseUrl: URL_OF_UPSTREAM }],
    ["an address of another host", { url: "https://other.example.org/", baseUrl: URL_OF_UPSTREAM }],
  ])("that fetch would not make, for %s, is told from one that failed", async (_what, changes) => {
    expect(await callUrl(request(changes), PUBLIC_ONLY)).toMatchObject({ kind: "not_made" });
  });

  it("follows no redirect and asks for no content coding", async () => {
    const fetched = answer(
      () => new Response("moved", { status: 307, headers: { location: "https://other.example/" } }),
    );
    expect(await callUrl(request(), PUBLIC_ONLY)).toEqual({ kind: "redirect", status: 307 });
    expect(fetched).toHaveBeenCalledTimes(1);
    const init = fetched.mock.calls[0]?.[1];
    expect(init).toMatchObject({ redirect: "manual", headers: { "accept-encoding": "identity" } });
  });

  it.each([
    "http://127.0.0.1/",
    "https://[::1]/",
    "https://metadata.internal/",
    "file:///etc/passwd",
    "https://a@b.example/",
  ])("to %s is refused at the very send", async (url) => {
    const fetched = answer(() => new Response("secret"));
    expect(await callUrl(request({ url }), PUBLIC_ONLY)).toMatchObject({ kind: "url_refused" });
    expect(fetched).not.toHaveBeenCalled();
  });

  it("ends at its total deadline when no answer comes", async () => {
    answer(never);
    const startedMs = Date.now();
    expect(await callUrl(request({ totalMs: 50 }), PUBLIC_ONLY)).toEqual({ kind: "timeout", which: "total" });
    expect(Date.now() - startedMs).toBeLessThan(1_000);
  });

  it("ends at its deadline for the headers before the total one", async () => {
    answer(never);
    expect(await callUrl(request({ headersMs: 30 }), PUBLIC_ONLY)).toEqual({ kind: "timeout", which: "headers" });
  });

  it.each([
    ["falls silent", { idleMs: 40, totalMs: 5_000 }],
    ["drips past the total deadline", { idleMs: 5_000, totalMs: 60 }],
  ])("whose answer %s breaks off as a timeout", async (_, deadlines) => {
    answer((signal) => {
      // As the platform does it: an aborted call breaks the body that is being read.
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => signal.addEventListener("abort", () => controller.error(new Error("aborted"))),
        async pull(controller) {
          await scheduler.wait(deadlines.idleMs === 40 ? 2_000 : 10);
          if (!signal.aborted) controller.enqueue(new TextEncoder().encode("["));
        },
      });
      return new Response(body);
    });
    const result = await callUrl(request(deadlines), PUBLIC_ONLY);
    if (result.kind !== "response") throw new Error(`no answer but ${result.kind}`);
    const startedMs = Date.now();
    await expect(textOf(result.body)).rejects.toThrow();
    expect(result.body.broken).toBe("timeout");
    expect(Date.now() - startedMs).toBeLessThan(1_500);
    result.close();
  });

  it.each([
    ["stacked codings", new Response("x", { headers: { "content-encoding": "gzip, gzip" } })],
    ["a status that is none", { status: 999, headers: new Headers(), body: null } as Response],
  ])("answered with %s is a broken protocol", async (_, response) => {
    answer(() => response);
    expect(await callUrl(request(), PUBLIC_ONLY)).toMatchObject({ kind: "protocol" });
  });

  it("leaves no timer behind: the signal of a call that is over never fires", async () => {
    let signal: AbortSignal | undefined;
    answer((given) => {
      signal = given;
      return new Response("{}");
    });
    const result = await callUrl(request({ totalMs: 60 }), PUBLIC_ONLY);
    if (result.kind !== "response") throw new Error(`no answer but ${result.kind}`);
    expect(await textOf(result.body)).toBe("{}");
    await scheduler.wait(120);
    expect(signal?.aborted).toBe(false);
    result.close();
  });

  it("that its owner gives up is aborted", async () => {
    answer(never);
    const owner = new AbortController();
    const called = callUrl(request({ signal: owner.signal }), PUBLIC_ONLY);
    owner.abort();
    expect(await called).toEqual({ kind: "aborted" });
  });
});

describe("a body that is not taken to its end", () => {
  const chunks = (count: number) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (let made = 0; made < count; made += 1) controller.enqueue(new Uint8Array(1_000).fill(0x31));
        controller.close();
      },
    });

  /** Takes so many chunks and then fails, as a receiver that hangs up. */
  function takes(count: number) {
    return vi.spyOn(globalThis, "fetch").mockImplementation(async (_, init) => {
      const body = init instanceof Object && "body" in init ? init.body : null;
      if (!(body instanceof ReadableStream)) throw new Error("no body");
      const reader = body.getReader();
      for (let taken = 0; taken < count; taken += 1) await reader.read();
      throw new Error("Network connection lost.");
    });
  }

  it("was not taken in time when its receiver says nothing for the idle deadline", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(
      (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
        }),
    );
    const startedMs = Date.now();
    expect(await callUrl(request({ idleMs: 40, provable: true }), PUBLIC_ONLY)).toEqual({
      kind: "not_sent",
      detail: "it did not take the request in time",
    });
    expect(Date.now() - startedMs).toBeLessThan(2_000);
  });

  it("was never sent when no more is gone than is read ahead", async () => {
    takes(2);
    const body = chunks(40);
    expect(await callUrl(request({ body, contentLength: 40_000, provable: true }), PUBLIC_ONLY)).toEqual({
      kind: "not_sent",
      detail: "the connection was refused",
    });
  });

  it.each([
    ["http://gpu.example.org/", "its host name was not found"],
    ["https://gpu.example.org/", /^its host name was not found, or the TLS handshake failed, so it may speak http:/],
    ["https://127.0.0.1:9000/", /^the TLS handshake failed, so it may speak http:/],
    ["https://[::1]:9000/", /^the TLS handshake failed/],
    ["https://localhost:9000/", /^the TLS handshake failed/],
  ])("to %s was never sent when workerd has an internal error, which names no cause", async (url, detail) => {
    vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("internal error; reference = abc"));
    const result = await callUrl(request({ url, provable: true }), { ...PUBLIC_ONLY, allowPrivate: true });
    expect(result).toEqual({ kind: "not_sent", detail: expect.stringMatching(detail) });
  });

  it.each([
    ["http://127.0.0.1:9000/", "closed the connection without an answer; it ended, or it speaks https: on this port"],
    ["https://gpu.example.org/", "closed the connection without an answer"],
  ])("to %s that got no answer may have gone to a port of the other protocol", async (url, detail) => {
    answer(() => Promise.reject(new Error("Network connection lost.")));
    const result = await callUrl(request({ url }), { ...PUBLIC_ONLY, allowPrivate: true });
    expect(result).toEqual({ kind: "reset", detail });
  });

  it("was cut when a part of it is gone: the next try would end the same way", async () => {
    takes(20);
    const body = chunks(40);
    expect(await callUrl(request({ body, contentLength: 40_000, provable: true }), PUBLIC_ONLY)).toEqual({
      kind: "cut",
      detail: "it closed the connection before it had the whole request",
    });
  });
});

describe("the body of an answer", () => {
  it("that is compressed is read piece by piece, however small it says to be: a bomb must meet its reader's bound", async () => {
    answer(() => {
      const body = new ReadableStream({
        start(controller) {
          for (let n = 0; n < 3; n += 1) controller.enqueue(new TextEncoder().encode("x".repeat(1_000)));
          controller.close();
        },
      });
      const headers = { "content-length": "100", "content-encoding": "gzip" };
      return new Response(body, { headers, encodeBody: "manual" });
    });
    const result = await callUrl(request(), PUBLIC_ONLY);
    if (result.kind !== "response") throw new Error(result.kind);
    expect((await result.body.next())?.length).toBe(1_000);
    result.close();
  });
});
