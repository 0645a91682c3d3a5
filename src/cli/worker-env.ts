// npm run worker:env -- ENDPOINT [--options]: the command `worker-env` by a name of its own, which many a document has.
import { WORKER_ENV_COMMAND } from "./commands/worker-env.ts";
import { runProgram } from "./run-program.ts";

await runProgram([WORKER_ENV_COMMAND], { words: "worker-env", typed: "npm run worker:env --" });
