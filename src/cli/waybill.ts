// npm run admin -- COMMAND [--options]: the command `waybill` with what only the project can do, such as to write a database.
import { DEPLOYMENT_COMMANDS } from "./commands/deployment-table.ts";
import { COMMANDS } from "./commands/table.ts";
import { runProgram } from "./run-program.ts";

await runProgram([...DEPLOYMENT_COMMANDS, ...COMMANDS]);
