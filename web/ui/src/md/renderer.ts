/** What draws answers, as one part that a page can fetch while it shows other things (see `ui/pen`). */
export { enhance } from "./later";
export { MarkdownStream } from "./stream";
