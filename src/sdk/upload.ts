// The body of a request of node:http as a stream of the platform, read no faster than the app reads it.
import type { IncomingMessage } from "node:http";

export class Upload {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #incoming: IncomingMessage;
  /** Null: the stream is over, however it ended. */
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    // Without it the first listener would set the body flowing, whether it is read or not.
    incoming.pause();
    this.stream = new ReadableStream(
      {
        start: (controller) => this.#start(controller),
        pull: () => void incoming.resume(),
        cancel: () => {
          this.#controller = null;
        },
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * Drops what was not read, so that the connection can have another request. Whoever reads on learns that the body is
   * cut: an end would make a part look like the whole.
   */
  discard(): void {
    this.#controller?.error(new Error("the request was answered before its body was read"));
    this.#controller = null;
    this.#incoming.resume();
  }

  #start(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>): void {
    this.#controller = controller;
    this.#incoming.on("data", (chunk: Buffer<ArrayBuffer>) => {
      if (this.#controller === null) return;
      controller.enqueue(chunk);
      this.#incoming.pause();
    });
    this.#incoming.once("end", () => {
      this.#controller?.close();
      this.#controller = null;
    });
    // The client has gone in the middle of its body.
    this.#incoming.once("error", (error) => {
      this.#controller?.error(error);
      this.#controller = null;
    });
  }
}
