/** The operators' page: sign in, then one desk that is told of everything. */
import { render } from "preact";
import { Desk } from "./operator/desk";
import { DeskPage } from "./operator/page";
import { SignIn } from "./operator/sign_in";
import { words } from "./operator/words";

function Operator({ desk }: { desk: Desk }) {
  const who = desk.who.value;
  if (who === "asking") return <p class="quietly" role="status">{words.asking}</p>;
  return who ? <DeskPage desk={desk} who={who} /> : <SignIn desk={desk} />;
}

const root = document.getElementById("operator");
if (root) {
  const desk = new Desk();
  root.replaceChildren();
  render(<Operator desk={desk} />, root);
  void desk.open();
}
