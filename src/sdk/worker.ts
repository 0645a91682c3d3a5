// What `waybill/worker` exports.
export type { Handler, Job, WorkerConfig } from "./handler.ts";
export type { InputRule, InputRules } from "./input-rules.ts";
export type { Log } from "./log.ts";
export { type FetchApp, type ServeOptions, serve } from "./serve.ts";
export { start } from "./start.ts";
