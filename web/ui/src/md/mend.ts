/** What to show of a block whose last line is still being written, so that half a mark never flashes on screen. */

/** A line that is only marks so far: a bullet, a fence, a table rule. It is shown when its meaning is known. */
const ONLY_MARKS = /^[ \t]*(?:[-*_+>#|=:~ ]+|\d{1,9}[.)]?|`{2,}[^`]*|~{3,}[^~]*)[ \t]*$/;
const TRAILING_MARKS = /[*_~`]+$/;
const OPEN_EMPHASIS = /(?:^|[\s(])\*(?=[^\s*])[^*]*$/;

/** `text` with its unfinished last line (from `lineStart`) hidden while ambiguous, and open emphasis or code closed. */
export function mend(text: string, lineStart: number): string {
  const line = text.slice(lineStart);
  if (!line) return text;
  if (ONLY_MARKS.test(line)) return text.slice(0, lineStart);
  const marks = TRAILING_MARKS.exec(line)?.[0] ?? "";
  const settled = marks && !closes(line, marks) ? line.slice(0, -marks.length) : line;
  return text.slice(0, lineStart) + settled + missing(settled);
}

/** Whether the marks a line ends with close something opened before; otherwise they open what is not there yet. */
function closes(line: string, marks: string): boolean {
  return missing(line.slice(0, -marks.length)) === marks;
}

/** What would close the code span or emphasis that `line` leaves open. */
function missing(line: string): string {
  const outside = line.replace(/`[^`]*`/g, "");
  if (outside.includes("`")) return "`";
  if (outside.split("**").length % 2 === 0) return "**";
  return OPEN_EMPHASIS.test(outside.replaceAll("**", "")) ? "*" : "";
}
