// What a worker logs: a line of JSON for each event where a platform collects them (RUNPOD_ENDPOINT_ID is set), and words for people
// elsewhere. A line about a job names it, so that all lines of a job can be found.
import type { Variables } from "./environment.ts";

export type Level = "ERROR" | "WARN" | "INFO" | "DEBUG";

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The log of one job. */
  of(jobId: string): Log;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

const LEVELS: readonly Level[] = ["ERROR", "WARN", "INFO", "DEBUG"];

export interface LogOptions {
  readonly isJson: boolean;
  readonly level: Level;
  readonly write: (line: string) => void;
}

/** `RUNPOD_LOG_LEVEL` is the least important level that is written: INFO where it is not set, or names none. */
export function readLogOptions(variables: Variables, write: (line: string) => void): LogOptions {
  const level = (variables.RUNPOD_LOG_LEVEL ?? variables.RUNPOD_DEBUG_LEVEL ?? "").toUpperCase();
  return {
    isJson: (variables.RUNPOD_ENDPOINT_ID ?? "") !== "",
    level: LEVELS.find((each) => each === level) ?? (level === "TRACE" ? "DEBUG" : "INFO"),
    write,
  };
}

export function makeLog(options: LogOptions, jobId: string | null = null): Log {
  const at =
    (level: Level) =>
    (message: string, fields: LogFields = {}) => {
      if (LEVELS.indexOf(level) > LEVELS.indexOf(options.level)) return;
      options.write(
        options.isJson ? jsonLine(level, jobId, message, fields) : plainLine(level, jobId, message, fields),
      );
    };
  return {
    error: at("ERROR"),
    warn: at("WARN"),
    info: at("INFO"),
    debug: at("DEBUG"),
    of: (id) => makeLog(options, id),
  };
}

/** The first three members are those that RunPod's SDK writes, by which its console finds a job's lines. */
function jsonLine(level: Level, jobId: string | null, message: string, fields: LogFields): string {
  return JSON.stringify({ requestId: jobId, message, level, ...fields });
}

function plainLine(level: Level, jobId: string | null, message: string, fields: LogFields): string {
  const details = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`);
  return `${level.padEnd(5)} | ${jobId === null ? "" : `${jobId} | `}${message}${details.join("")}`;
}
