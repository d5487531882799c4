/** After the vote: what was chosen, who they were, why it was so, and where to go from here. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { readBattle } from "../live/api";
import { Again } from "./again";
import { Remarks } from "./remarks";
import { Share } from "./share";
import { strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";

export function Verdict({ store, limits }: { store: Store; limits: Limits }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // The button that was pressed is gone. Whoever reads elsewhere, or has just opened the page, is left where they are.
  useEffect(() => {
    if (store.fresh.value && document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  const { winner, models } = store.view.value;
  const battle = store.battle.value;
  const ranked = useRanked(battle);
  return (
    <>
      <div class="verdict">
        <div>
          <h2 ref={heading} tabIndex={-1} data-heading>{winner && strings.verdict[winner]}</h2>
          <p>{models && strings.versus(models.a.name, models.b.name)} {ranked !== null && strings.counted[`${ranked}`]}</p>
        </div>
        <div class="actions">
          <a class="button" href="/leaderboard">{strings.board}</a>
          {battle && <Share key={battle} battle={battle} />}
          <Again store={store} label={strings.again} />
          <button type="button" class="primary" onClick={() => store.leave()}>{strings.newBattle}</button>
        </div>
      </div>
      {battle && <Remarks key={battle} battle={battle} fresh={store.fresh.value} limit={limits.comment} />}
    </>
  );
}

/** Whether the vote is one for the board; null until that is known. */
function useRanked(battle: string | null): boolean | null {
  const ranked = useSignal<boolean | null>(null);
  useEffect(() => {
    if (battle) void readBattle(battle).then((told) => (ranked.value = told.ranked), () => undefined);
  }, [battle]);
  return ranked.value;
}
