/** What was typed, recognised while it is typed: the launcher reads it, then asks its host what it leads to now. */
import { ApiError, type Api, type Explanation, type Link, type LinkFound, type Pasted } from "../api";

/** What may be known of it. `found` null: it is being asked, or was not told. */
export type Recognised =
  | { readonly state: "empty" | "reading" }
  | { readonly state: "refused"; readonly problem: Explanation }
  | { readonly state: "away" }
  | {
      readonly state: "read";
      readonly link: Link;
      readonly asking: boolean;
      readonly found: LinkFound | null;
      /** Why its host could not say: it is not there, or the host is away. */
      readonly problem: Explanation | null;
    };

/** Somebody who types stops for longer between two thoughts than between two keys. */
const READ_AFTER_MS = 200;
const ASK_AFTER_MS = 500;

export class Recogniser {
  now: Recognised = { state: "empty" };
  #asked = "";
  #read = "";
  #timer = 0;
  #abort = new AbortController();

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {}

  /** Looks at what was typed, soon. */
  look(pasted: Pasted): void {
    const asked = JSON.stringify(pasted);
    if (asked === this.#asked) return;
    this.#begin(asked);
    if (pasted.url === "") {
      this.#tell({ state: "empty" });
      return;
    }
    if (this.now.state !== "read") this.#tell({ state: "reading" });
    this.#timer = window.setTimeout(() => void this.read(pasted), READ_AFTER_MS);
  }

  /** Reads it now. Whoever cannot wait for `look` awaits this. */
  async read(pasted: Pasted): Promise<void> {
    this.#begin(JSON.stringify(pasted));
    const { signal } = this.#abort;
    try {
      const link = await this.api.link(pasted, signal);
      if (signal.aborted) return;
      this.#read = this.#asked;
      this.#tell({ state: "read", link, asking: true, found: null, problem: null });
      this.#timer = window.setTimeout(() => void this.#ask(pasted, link, signal), ASK_AFTER_MS - READ_AFTER_MS);
    } catch (error) {
      if (signal.aborted) return;
      this.#tell(error instanceof ApiError ? { state: "refused", problem: error.explanation } : { state: "away" });
    }
  }

  /** Whether what is known is of something else. */
  stale(pasted: Pasted): boolean {
    return this.#asked !== JSON.stringify(pasted) || this.now.state !== "read" || this.#read !== this.#asked;
  }

  stop(): void {
    this.#begin("");
  }

  #begin(asked: string): void {
    this.#asked = asked;
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  async #ask(pasted: Pasted, link: Link, signal: AbortSignal): Promise<void> {
    let found: LinkFound | null = null;
    let problem: Explanation | null = null;
    try {
      found = await this.api.found(pasted, signal);
    } catch (error) {
      // Too often, or nobody answers: the link is good without it.
      if (error instanceof ApiError && error.explanation.code !== "too-often") problem = error.explanation;
    }
    if (!signal.aborted) this.#tell({ state: "read", link: found?.link ?? link, asking: false, found, problem });
  }

  #tell(now: Recognised): void {
    this.now = now;
    this.changed();
  }
}
