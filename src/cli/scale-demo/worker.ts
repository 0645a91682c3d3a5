// What a machine of the scale demo runs: a worker made with the project's own SDK, whose jobs take as long as their input says.
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, start } from "waybill/worker";

await start({
  input: { ms: { type: "int", required: true } },
  handler: async ({ input, signal }: Job<{ readonly ms: number }>) => {
    await sleep(input.ms, undefined, { signal });
    return { slept: input.ms };
  },
});
