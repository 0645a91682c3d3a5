// Text as one word of a shell, for lines that a person is to type.
import { quoteForShell } from "../../core/manage/worker-forms.ts";

/** Without quotes where it needs none. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : quoteForShell(text);
}
