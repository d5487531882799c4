/** What to show of a block whose last line is still being written, so that half a mark never flashes on screen. */

/** A line that is only marks so far: a bullet, a fence, a table rule. It is shown when its meaning is known. */
const ONLY_MARKS = /^[ \t]*(?:[-*_+>#|=: ]+|\d{1,9}[.)]?|(?:`{1,}|~{1,})[^`~]*)[ \t]*$/;

/** `text` with its unfinished last line (from `lineStart`) hidden while ambiguous, and open emphasis or code closed. */
export function mend(text: string, lineStart: number): string {
  const line = text.slice(lineStart);
  if (line && ONLY_MARKS.test(line) && !/^`[^`]/.test(line.trim())) return text.slice(0, lineStart);
  if (!line) return text;
  if (count(line, "`") % 2 === 1) return line.endsWith("`") ? text.slice(0, -1) : `${text}\``;
  if (count(line, "**") % 2 === 1) {
    if (line.endsWith("**")) return text.slice(0, -2);
    return line.endsWith("*") ? `${text}*` : `${text.replace(/[ \t]+$/, "")}**`;
  }
  return text;
}

function count(text: string, mark: string): number {
  return text.split(mark).length - 1;
}
