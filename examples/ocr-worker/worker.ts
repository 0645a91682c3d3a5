// Reads the text in a picture. `start` makes a worker of it: what it works for is in its environment.
import { type Job, start } from "waybill/worker";
import { loadRecogniser, type Recogniser } from "./handler.ts";

let recogniser: Recogniser;

await start({
  // Once a process, before the first job is asked for.
  prestart: async () => {
    recogniser = await loadRecogniser();
  },
  input: { image: { type: "str" } },
  // One job at a time, as `concurrency` is not set: the recogniser takes one picture after the other.
  handler: ({ input }: Job<{ readonly image: string }>) => recogniser.read(input.image),
});
