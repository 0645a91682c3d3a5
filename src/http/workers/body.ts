// Blanks a pulling worker's own key in the body that it posts: a handler's traceback or environment may contain the
// key, and a tenant can read what the worker reports of a job.
import { SecretBlanker, SecretForms } from "../../core/access/secret-forms.ts";
import { type BodyReader, readBody } from "../../payload/body-reader.ts";
import type { BodySource } from "../../payload/envelope.ts";
import { readKey } from "../kit/auth.ts";
import { bodyOf } from "../kit/request-body.ts";

export async function workerBodyOf(request: Request): Promise<BodySource> {
  const body = await bodyOf(request);
  const key = readKey(request.headers)?.key;
  if (key === undefined || body === null) return body;
  const secrets = new SecretForms([key]);
  return body instanceof Uint8Array ? secrets.blankBytes(body) : new BlankedReader(readBody(body), secrets);
}

class BlankedReader implements BodyReader {
  readonly #source: BodyReader;
  readonly #blanker: SecretBlanker;

  constructor(source: BodyReader, secrets: SecretForms) {
    this.#source = source;
    this.#blanker = new SecretBlanker(secrets);
  }

  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const piece = await this.#source.next();
      const shown = piece === null ? this.#blanker.end() : this.#blanker.push(piece);
      if (shown.length > 0) return shown;
      if (piece === null) return null;
    }
  }

  cancel(): void {
    this.#source.cancel();
  }
}
