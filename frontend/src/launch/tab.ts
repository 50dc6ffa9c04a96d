/** What the browser shows of a launch while the reader is in another tab: its title and its icon. */
import { text } from "../texts";
import type { Phase } from "./controller";

const ICONS: Readonly<Partial<Record<Phase, string>>> = {
  asking: "favicon_building.ico",
  working: "favicon_building.ico",
  opening: "favicon_success.ico",
  ready: "favicon_success.ico",
  failed: "favicon_fail.ico",
};
const USUAL = "icon.svg";

/** `place`: in the queue; null: it does not wait. */
export function showInTab(phase: Phase, title: string, name: string, place: number | null): void {
  const waiting = phase === "working" && place !== null;
  document.title = `${waiting ? text("queue.title", { place }) : title} · ${name}`;
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (icon === null) return;
  const file = ICONS[phase] ?? USUAL;
  const address = icon.href.replace(/[^/]*$/, file);
  if (icon.href === address) return;
  icon.type = file === USUAL ? "image/svg+xml" : "image/vnd.microsoft.icon";
  icon.href = address;
}

/** Which places are told to who listens: the first one, each that is half of the last one told, and the next in turn. */
export class SpokenPlace {
  #told: number | null = null;

  of(place: number | null): number | null {
    if (place === null) this.#told = null;
    else if (this.#told === null || place === 1 || place * 2 <= this.#told || place > this.#told) this.#told = place;
    return this.#told;
  }
}
