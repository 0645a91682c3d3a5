// Large bodies for a running broker, made so that parsing and printing anywhere on the way would show.
import { createHash } from "node:crypto";

/** Parsing and printing would change each of these: they show that nothing does. */
const FRAGILE = '[1.0,1e21,-0.0,12345678901234567890,"\\u2028","\u2028","\\/","a\\u0000b"';

/** JSON text of exactly so many bytes, with all fragile parts in it. */
export function fragileJson(sizeBytes: number): Buffer {
  const start = Buffer.from(`${FRAGILE},"`);
  const end = Buffer.from('"]');
  return Buffer.concat([start, Buffer.alloc(sizeBytes - start.length - end.length, "waybill "), end]);
}

/** A request body of exactly so many bytes, and its input. */
export function requestOf(sizeBytes: number): { readonly body: Buffer; readonly input: Buffer } {
  const [head, tail] = [Buffer.from('{"input":'), Buffer.from("}")];
  const input = fragileJson(sizeBytes - head.length - tail.length);
  return { body: Buffer.concat([head, input, tail]), input };
}

export function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The raw bytes of `output` in a status answer. RunPod's keys come in order: `output` before `status`. */
export function rawOutput(answer: Buffer): Buffer {
  const start = answer.indexOf('"output":') + '"output":'.length;
  return answer.subarray(start, answer.lastIndexOf(',"status":'));
}
