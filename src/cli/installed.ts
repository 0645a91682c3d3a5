// The command `waybill` as the npm package has it: all but what needs the project.
import { COMMANDS } from "./commands/table.ts";
import { runProgram } from "./run-program.ts";

await runProgram(COMMANDS);
