// How the command is typed: in the project by npm, which takes options only behind `--`; from the npm package by its own name.

/** The package holds JavaScript, and the project's files run as they are. */
export const IS_PROJECT = import.meta.url.endsWith(".ts");

/** What a person types before the words of a command. */
export const PROGRAM = IS_PROJECT ? "npm run admin --" : "waybill";
