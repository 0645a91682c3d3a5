// `npm run load`: the long tests, against a running broker and inside workerd. `--seeds N` runs the hostile tenant with N
// seeds instead of three; whatever else is given goes to the test runner, such as the name of a file.
import { spawn } from "node:child_process";

const args = process.argv.slice(2);
const at = args.indexOf("--seeds");
const [, seeds] = at < 0 ? [] : args.splice(at, 2);
if (at >= 0 && !/^[1-9]\d{0,2}$/.test(seeds ?? "")) {
  console.error("--seeds takes a whole number from 1 to 999");
  process.exit(2);
}
const runner = spawn(
  "vitest",
  ["run", "--project", "load", "--project", "load-workerd", "--no-file-parallelism", ...args],
  {
    stdio: "inherit",
    env: { ...process.env, ...(seeds === undefined ? {} : { LOAD_SEEDS: seeds }) },
  },
);
runner.once("error", (error) => {
  console.error(`the test runner could not be started: ${error.message}`);
  process.exitCode = 1;
});
runner.once("exit", (code) => {
  process.exitCode = code ?? 1;
});
