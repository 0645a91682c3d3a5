// The worker: `node worker.ts`. What it does is in handler.ts; how it is started decides whether it fetches jobs, serves an endpoint on
// this machine, or runs the one job of test_input.json (README.md).
import { start } from "waybill/worker";
import { handler, input } from "./handler.ts";

await start({ handler, input });
