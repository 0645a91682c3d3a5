// Commands that need the project: they write the database of a deployment, by wrangler or as a local file.
import type { Command } from "./command.ts";
import { SETUP_COMMAND } from "./setup.ts";
import { TRANSFER_COMMANDS } from "./transfer.ts";

export const DEPLOYMENT_COMMANDS: readonly Command[] = [SETUP_COMMAND, ...TRANSFER_COMMANDS];
