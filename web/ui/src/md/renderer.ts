/** What draws answers, as one part that a page can fetch while it shows other things (see `ui/pen`). */
export { enhancer } from "./later";
export { MarkdownStream } from "./stream";
