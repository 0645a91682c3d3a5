// npm run deploy -- [--dry-run | --destroy]: makes what is missing of a deployment in a Cloudflare account, or takes
// all of it away.
import type { OptionSpecs, Values } from "./commands/command.ts";
import { deployInBuild } from "./deploy/build.ts";
import { readDeployConfig } from "./deploy/config.ts";
import { destroy } from "./deploy/destroy.ts";
import { KeptFile } from "./deploy/kept.ts";
import { chooseAccount, lookAt } from "./deploy/look.ts";
import { refuseForeignQueues, refuseOtherDatabase } from "./deploy/plan.ts";
import { bringUp } from "./deploy/up.ts";
import { helpOfProgram } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { printableLine } from "./printable.ts";
import { checkOptions, readArguments } from "./read-options.ts";
import { endWith, WrongUse } from "./wrong-use.ts";

const PROGRAM = "npm run deploy";

const OPTIONS = {
  "dry-run": { type: "flag", about: "say what would be done, and change nothing" },
  destroy: { type: "flag", about: "delete all of it, after a question that names what is lost" },
  name: { type: "text", value: "NAME", about: "of the first tenant (First tenant)" },
  slug: { type: "text", value: "SLUG", about: "of the first endpoint (first)" },
  "for-import": {
    type: "flag",
    about: "make no first key: an export has them. The secrets are those of WAYBILL_PEPPER and WAYBILL_ENCRYPTION_KEY",
  },
  wait: { type: "duration", value: "TIME", min: 1, max: 3_600, about: "how long to wait until it is up (3m)" },
} as const satisfies OptionSpecs;

const HELP = { help: { type: "flag", about: "print this" } } as const satisfies OptionSpecs;

const SUMMARY = `Makes what is missing of a deployment in your Cloudflare account, and deploys.
Run again it changes nothing. wrangler must be logged in: npx wrangler login, or CLOUDFLARE_API_TOKEN.
Exit code 1: it failed; 2: it was typed wrong.`;

const print = (line: string): void => console.log(printableLine(line));

async function main(): Promise<void> {
  const specs = { ...OPTIONS, ...HELP };
  refuseSwallowed(PROGRAM, Object.keys(specs));
  const { words, given } = readArguments(specs);
  if (given.help === true) return console.log(helpOfProgram(PROGRAM, SUMMARY, specs));
  if (words.length > 0)
    throw new WrongUse(`${PROGRAM} takes no ${words.join(" ")}: ${PROGRAM} -- --help shows its options`);
  // The values are checked against these very options, which the type of the answer does not show.
  const options = checkOptions(OPTIONS, given) as Values<typeof OPTIONS>;
  const config = await readDeployConfig();
  // Cloudflare's own builds, also that of the deploy button.
  if (process.env.WORKERS_CI === "1") {
    if (Object.keys(given).length > 0) throw new WrongUse("a build of Cloudflare's deploys and takes no options");
    return deployInBuild(config.names, print);
  }
  const account = await chooseAccount(config);
  // For all that wrangler does from here on.
  process.env.CLOUDFLARE_ACCOUNT_ID = account.id;
  print(`The account ${account.name} (${account.id}), the Worker ${config.names.worker}`);
  const found = await lookAt(config.names);
  refuseForeignQueues(config.names, found.queues);
  refuseOtherDatabase(config.names, config.databaseId, found);
  const kept = new KeptFile(account.id, config.names.worker);
  const isDry = options["dry-run"];
  if (options.destroy) return destroy({ config, found, kept, isDry, print });
  const { name = "First tenant", slug = "first", wait = 180 } = options;
  const forImport = options["for-import"];
  return bringUp({ config, found, kept, print, tenantName: name, slug, waitMs: wait * 1_000, isDry, forImport });
}

main().catch(endWith);
