// Upstreams of a test that answer in parts, each when the test says so.
import { answerUpstreams } from "./broker.ts";

export interface OpenAnswer {
  send(text: string): void;
  close(): void;
  /** The connection breaks. */
  cut(): void;
  /** The requests that came, newest last. */
  readonly requests: {
    readonly url: string;
    readonly method: string;
    readonly headers: Headers;
    readonly body: string;
  }[];
  /** Has the last call been dropped? */
  isAborted(): boolean;
}

/**
 * An answer whose parts the test sends, one by one. The stream lives where the carrier runs, as a real one would, so it
 * looks for them: objects of one invocation must not be used in another.
 */
export function openAnswer(type: string, status = 200): OpenAnswer {
  const sent: (string | "close" | "cut")[] = [];
  const requests: OpenAnswer["requests"] = [];
  const encoder = new TextEncoder();
  let aborted = false;
  answerUpstreams(async (request) => {
    requests.push({
      url: request.url,
      method: request.method,
      headers: request.headers,
      body: await request.text(),
    });
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        while (sent.length === 0 && !request.signal.aborted) await scheduler.wait(5);
        if (request.signal.aborted) {
          aborted = true;
          return controller.error(new Error("aborted"));
        }
        const part = sent.shift() ?? "";
        if (part === "close") controller.close();
        else if (part === "cut") controller.error(new Error("cut"));
        else controller.enqueue(encoder.encode(part));
      },
    });
    return new Response(body, { status, headers: { "content-type": type } });
  });
  return {
    send: (text) => sent.push(text),
    close: () => sent.push("close"),
    cut: () => sent.push("cut"),
    requests,
    isAborted: () => aborted,
  };
}
