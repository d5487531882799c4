/** The page of one's own battles. */
import { render } from "preact";
import { List } from "./live/list";
import { Mine } from "./ui/mine";

const root = document.getElementById("mine");
if (root) {
  const list = new List();
  root.replaceChildren();
  render(<Mine list={list} />, root);
  void list.begin();
}
