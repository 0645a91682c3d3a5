// `npm run load`: what takes long. First, three files at once, what waits more than it works and measures no time, such as the operator's
// commands as they are typed. Then, one file after the other, the other tests against a running broker and inside workerd. It ends with the
// first part that fails. `--seeds N` runs the hostile tenant with N seeds instead of three; whatever else is given goes to the test runner,
// such as the name of a file.
import { spawn } from "node:child_process";

const PARTS = [
  [..."commands load-sharing load-workerd-sharing".split(" ").flatMap((name) => ["--project", name]), "--maxWorkers=3"],
  ["--project", "load", "--project", "load-workerd", "--no-file-parallelism"],
];

const args = process.argv.slice(2);
const at = args.indexOf("--seeds");
const [, seeds] = at < 0 ? [] : args.splice(at, 2);
if (at >= 0 && !/^[1-9]\d{0,2}$/.test(seeds ?? "")) {
  console.error("--seeds takes a whole number from 1 to 999");
  process.exit(2);
}
const env = { ...process.env, ...(seeds === undefined ? {} : { LOAD_SEEDS: seeds }) };
// Most names of files are in one part alone.
const filter = args.length === 0 ? [] : ["--passWithNoTests", ...args];
for (const part of PARTS) {
  process.exitCode = await run([...part, ...filter]);
  // Behind the output of the next part nobody would find the reason at the end of a log.
  if (process.exitCode !== 0) break;
}

/** Resolves with the exit code. */
function run(words: readonly string[]): Promise<number> {
  const runner = spawn("vitest", ["run", ...words], { stdio: "inherit", env });
  return new Promise((resolve) => {
    runner.once("error", (error) => {
      console.error(`the test runner could not be started: ${error.message}`);
      resolve(1);
    });
    runner.once("exit", (code) => resolve(code ?? 1));
  });
}
