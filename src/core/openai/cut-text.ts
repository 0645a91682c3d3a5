// Error texts are cut at a length, and RunPod's carry a traceback that reaches it: what stands before the cut still counts.
import { isEscaped } from "../json/text.ts";

const CLOSERS: Readonly<Record<string, string>> = { "{": "}", "[": "]", "(": ")" };
/** An error is nested a few levels; a text with more is none, and its brackets are joined at every comma. */
const OPEN_MAX = 16;
/** A backslash, or the first part of \xNN, \uNNNN or \UNNNNNNNN, where the cut went through an escape. */
const CUT_ESCAPE = /\\(?:x[\da-fA-F]?|u[\da-fA-F]{0,3}|U[\da-fA-F]{0,7})?$/;

/**
 * Texts that a cut JSON text or Python literal may be read by, the fullest first: with its string and brackets closed, and
 * without the member in which the cut stands. None for a text whose brackets are closed.
 */
export function closeCut(text: string): string[] {
  const open: string[] = [];
  let quote = "";
  /** Before the newest member that is whole, with the brackets that were open there. */
  let whole: { readonly at: number; readonly closers: string } | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at += 1;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (CLOSERS[char] !== undefined) {
      if (open.length === OPEN_MAX) return [];
      open.unshift(CLOSERS[char]);
    } else if (char === open[0]) open.shift();
    else if (char === ",") whole = { at, closers: open.join("") };
  }
  if (open.length === 0) return [];
  const end = quote === "" ? text : withoutCutEscape(text) + quote;
  const closed = end + open.join("");
  return whole === null ? [closed] : [closed, text.slice(0, whole.at) + whole.closers];
}

/** A backslash behind another one begins no escape. */
function withoutCutEscape(text: string): string {
  const at = text.search(CUT_ESCAPE);
  return at === -1 || isEscaped(text, at) ? text : text.slice(0, at);
}
