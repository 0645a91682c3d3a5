// The table of the commands, in the order of the help: all that the npm package can do. deployment-table.ts has the others.
import { ADVICE_COMMANDS } from "./advice.ts";
import { CATALOGUE_COMMANDS } from "./catalogue.ts";
import type { Command } from "./command.ts";
import { COMPLETION_COMMAND } from "./completion.ts";
import { DEPLOY_COMMAND } from "./deploy.ts";
import { ENDPOINT_COMMANDS } from "./endpoints.ts";
import { JOB_COMMANDS } from "./jobs.ts";
import { KEY_COMMANDS } from "./keys.ts";
import { LOGIN_COMMANDS } from "./login.ts";
import { OVERVIEW_COMMANDS } from "./overview.ts";
import { PROJECT_COMMANDS } from "./project.ts";
import { PROVIDER_COMMANDS } from "./providers.ts";
import { RUN_COMMAND } from "./run.ts";
import { TENANT_COMMANDS } from "./tenants.ts";
import { UPSTREAM_COMMANDS } from "./upstreams.ts";
import { USAGE_COMMANDS } from "./usage.ts";
import { WEBHOOK_COMMANDS } from "./webhooks.ts";
import { WORKER_ENV_COMMAND } from "./worker-env.ts";
import { WORKER_KEY_COMMANDS } from "./worker-keys.ts";
import { WORKER_COMMANDS } from "./workers.ts";

export const COMMANDS: readonly Command[] = [
  ...LOGIN_COMMANDS,
  ...PROJECT_COMMANDS,
  ...OVERVIEW_COMMANDS,
  ...TENANT_COMMANDS,
  ...KEY_COMMANDS,
  DEPLOY_COMMAND,
  ...ENDPOINT_COMMANDS,
  ...UPSTREAM_COMMANDS,
  ...PROVIDER_COMMANDS,
  WORKER_ENV_COMMAND,
  ...WORKER_KEY_COMMANDS,
  RUN_COMMAND,
  ...WORKER_COMMANDS,
  ...JOB_COMMANDS,
  ...USAGE_COMMANDS,
  ...WEBHOOK_COMMANDS,
  ...CATALOGUE_COMMANDS,
  ...ADVICE_COMMANDS,
  COMPLETION_COMMAND,
];
