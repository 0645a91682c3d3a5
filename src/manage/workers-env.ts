// The environment of workers as the management API seals and opens it: fleets open it, too, so the work is in outbound.
export { openEnv, sealEnv } from "../outbound/sealed-env.ts";
