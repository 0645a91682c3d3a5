// The handler of the OCR worker: one picture in, its text out. The model is loaded once, before the first job.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createWorker } from "tesseract.js";

/** What a job gives back. `confidence` is the recogniser's own, in percent from 0 to 100. */
export interface Recognised {
  readonly text: string;
  readonly confidence: number;
}

/** A loaded recogniser. `handle` takes one job at a time: the caller queues. */
export interface Recogniser {
  /** Recognises `input.image` (base64 of a PNG). Throws one sentence when the input is no such thing. */
  handle(input: unknown): Promise<Recognised>;
  close(): Promise<void>;
}

/** The first eight bytes of every PNG. */
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Loads the English model from the installed package: no network is needed. Takes about half a second. */
export async function loadRecogniser(): Promise<Recogniser> {
  const packageFile = createRequire(import.meta.url).resolve("@tesseract.js-data/eng/package.json");
  const worker = await createWorker("eng", 1, {
    langPath: join(dirname(packageFile), "4.0.0_best_int"),
    gzip: true,
    cacheMethod: "none",
    // Without a handler of its own the library throws outside every promise, which would end the process.
    errorHandler: () => undefined,
  });
  return {
    async handle(input) {
      const { data } = await worker.recognize(readPicture(input)).catch((error: unknown) => {
        throw new Error(`the picture could not be read: ${error instanceof Error ? error.message : String(error)}`);
      });
      return { text: data.text.trim(), confidence: data.confidence };
    },
    async close() {
      await worker.terminate();
    },
  };
}

/** The bytes of the PNG in a job's input. */
function readPicture(input: unknown): Buffer {
  if (typeof input !== "object" || input === null) throw new Error("input must be an object");
  const image = "image" in input ? input.image : undefined;
  if (typeof image !== "string" || image === "") throw new Error("input.image must be a PNG in base64");
  const bytes = Buffer.from(image, "base64");
  if (!bytes.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) {
    throw new Error("input.image is not a PNG in base64");
  }
  return bytes;
}
