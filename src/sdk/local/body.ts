// The JSON object in the body of a call, checked as the edge checks it and split into the raw texts of its fields.
import { concatBytes } from "../../core/bytes/concat.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { type FieldSink, scanObject } from "../../core/json/scanner.ts";

/** Name → raw JSON text, in the order of the body. */
export type RawFields = ReadonlyMap<string, string>;

export function readFields(body: Uint8Array): Result<RawFields> {
  if (body.length === 0) return fail({ kind: "invalid", field: "body", message: "the body is empty" });
  const sink = new Gathered();
  const scan = scanObject(sink);
  const error = scan.push(body) ?? scan.end();
  return error === null ? ok(sink.fields) : fail({ kind: "invalid", field: "body", message: error.message });
}

class Gathered implements FieldSink {
  readonly fields = new Map<string, string>();
  #name = "";
  #views: Uint8Array[] = [];

  begin(name: string): void {
    this.#name = name;
    this.#views = [];
  }

  bytes(view: Uint8Array): void {
    this.#views.push(view);
  }

  end(): void {
    this.fields.set(this.#name, new TextDecoder().decode(concatBytes(this.#views)));
  }
}
