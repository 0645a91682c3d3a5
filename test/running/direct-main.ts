// A built broker as a process: `direct-main.ts BUNDLE STATE PORT`. It prints a line when it answers, and ends when its input does.
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { BROKER_CONFIG, startDirect } from "./direct.ts";

const [bundle = "", stateFolder = "", port = ""] = process.argv.slice(2);
const bindings = {
  ...Object.fromEntries(ensureDevSecrets(PROJECT_FOLDER)),
  ALLOW_PRIVATE_ADDRESSES: "yes",
  PUBLIC_URL: `http://127.0.0.1:${port}`,
};
const worker = { name: "broker", config: BROKER_CONFIG, file: bundle, bindings, port: Number(port) };
const direct = await startDirect([worker], { stateFolder });
process.stdin.resume().on("close", () => void direct.stop().finally(() => process.exit()));
console.log("ready");
