// The worker of the part `sdk`: its handler does nothing, as that of sdk_worker.py.
import { start } from "../../src/sdk/worker.ts";

await start({ handler: () => ({}) });
