// What becomes of the report of a job where no broker reads it: as a broker reads it (docs/wire.md 3.4).
import { memberText } from "../core/json/text.ts";
import { parseJson } from "../core/json/value.ts";
import type { Ended } from "./run-job.ts";

export interface JobEnd {
  /** JSON text; null: there is none. */
  readonly output: string | null;
  /** Null: the job has completed. */
  readonly error: string | null;
}

/** `chunks`: what the handler has streamed, as JSON texts, of which the output is made where the report has none. */
export function readReport({ report, isStream }: NonNullable<Ended>, chunks: readonly string[]): JobEnd {
  const output = memberText(report.body, "output");
  const error = memberText(report.body, "error");
  if (error !== null) return { output, error: textOfError(error) };
  return { output: isStream && output === "[]" ? `[${chunks.join()}]` : output, error: null };
}

function textOfError(raw: string): string {
  const value = parseJson(raw);
  return typeof value === "string" ? value : raw;
}

/** The chunk in the body of its post. */
export function readChunk(body: string): string {
  return memberText(body, "output") ?? "null";
}
