// How the command is typed: in the project by npm, which takes options only behind `--`; from the npm package by npx.

/** The package holds JavaScript, and the project's files run as they are. */
export const IS_PROJECT = import.meta.url.endsWith(".ts");

/** What a person types before the words of a command. A package in a worker's folder puts no `waybill` on the path of a shell. */
export const PROGRAM = IS_PROJECT ? "npm run admin --" : "npx waybill";
