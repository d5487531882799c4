/** The arena page's island: reads what the server wrote into the page, then hands over to the store. */
import { signal, useSignalEffect } from "@preact/signals";
import { render } from "preact";
import { Store } from "./live/store";
import { anew, insist } from "./live/insist";
import { readLimits } from "./live/limits";
import type { Limits } from "./live/limits";
import { Composer } from "./ui/composer";
import { fetchRenderer } from "./ui/pen";
import { strings } from "./strings";

const BATTLE_PATH = /^\/battles\/([A-Za-z0-9_-]{8,40})$/;

type BattleModule = typeof import("./ui/battle");

/** Panes and Markdown come after the first paint: nobody needs them to write a prompt. */
const battleModule = signal<BattleModule | "loading" | "late">("loading");

async function loadBattle({ renderer, battle }: DOMStringMap): Promise<void> {
  void fetchRenderer(renderer);
  const load = (attempt: number) => attempt ? import(anew(battle, attempt)) as Promise<BattleModule> : import("./ui/battle");
  battleModule.value = await insist(load, () => (battleModule.value = "late"));
}

function Arena({ store, limits, name }: { store: Store; limits: Limits; name: string }) {
  useSignalEffect(() => {
    const prompt = store.battle.value ? store.firstPrompt.value.trim().slice(0, 60) : "";
    document.title = prompt ? `${prompt} · ${name}` : name;
  });
  if (!store.battle.value) return <Composer store={store} limits={limits} />;
  const loaded = battleModule.value;
  if (typeof loaded === "object") return <loaded.Battle key={store.battle.value} store={store} limits={limits} />;
  return <p class="loading-page" role="status">{loaded === "late" ? strings.partsLate : strings.begun}</p>;
}

function start(root: HTMLElement): void {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const store = new Store(`${scheme}://${location.host}/ws`);
  const follow = () => {
    const id = BATTLE_PATH.exec(location.pathname)?.[1];
    if (id && id !== store.battle.value) store.watch(id);
    else if (!id) store.leave();
  };
  addEventListener("popstate", follow);
  follow();
  root.replaceChildren();
  render(<Arena store={store} limits={readLimits(root)} name={document.title} />, root);
  if (store.battle.value) void loadBattle(root.dataset);
  else setTimeout(() => void loadBattle(root.dataset), 50);
}

const root = document.getElementById("arena");
if (root) start(root);
