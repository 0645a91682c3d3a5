// The model of the OCR worker: one picture in, its text out.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createWorker } from "tesseract.js";

/** What a job gives back. `confidence` is the recogniser's own, in percent from 0 to 100. */
export interface Recognised {
  readonly text: string;
  readonly confidence: number;
}

/** Makes the job FAILED, with this sentence. */
export interface Refused {
  readonly error: string;
}

/** A loaded recogniser. It reads one picture at a time, and cannot be interrupted. */
export interface Recogniser {
  /** `image`: a PNG in base64. */
  read(image: string): Promise<Recognised | Refused>;
}

/** The first eight bytes of every PNG. */
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Loads the English model from the installed package: no network is needed. Takes about half a second. */
export async function loadRecogniser(): Promise<Recogniser> {
  const packageFile = createRequire(import.meta.url).resolve("@tesseract.js-data/eng/package.json");
  const model = await createWorker("eng", 1, {
    langPath: join(dirname(packageFile), "4.0.0_best_int"),
    gzip: true,
    cacheMethod: "none",
    // Without a handler of its own the library throws outside every promise, which would end the process.
    errorHandler: () => undefined,
  });
  return {
    async read(image) {
      if (image === "") return { error: "input.image must be a PNG in base64" };
      const picture = Buffer.from(image, "base64");
      if (!picture.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) {
        return { error: "input.image is not a PNG in base64" };
      }
      try {
        const { data } = await model.recognize(picture);
        return { text: data.text.trim(), confidence: data.confidence };
      } catch (error) {
        return { error: `the picture could not be read: ${error instanceof Error ? error.message : String(error)}` };
      }
    },
  };
}
