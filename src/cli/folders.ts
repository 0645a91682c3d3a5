// Where the project is on this machine.
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of wrangler.toml. */
export const PROJECT_FOLDER = fileURLToPath(new URL("../..", import.meta.url));
/** Where the state of `npm start` is, unless another folder is given. */
export const DEV_STATE_FOLDER = join(PROJECT_FOLDER, ".waybill", "dev");
