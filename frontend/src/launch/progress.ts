/** What the events of a launch amount to: a pure reduction, with no page and no network in it. */
import { STAGES, type CancelledEvent, type DeclaredEvent, type FailedEvent, type LaunchEvent, type QueuedEvent, type ReadyEvent, type Stage } from "../api";
import { text, told } from "../texts";

export type Status = "waiting" | "running" | "done" | "skipped" | "failed" | "stopped";

export interface StageView {
  readonly stage: Stage;
  status: Status;
  message: string;
  percent: number | null;
  /** Milliseconds since the epoch by the server's clock; null before it began. */
  startedAt: number | null;
  /** How long it took, once it ended. */
  seconds: number | null;
}

export type End = ReadyEvent | FailedEvent | CancelledEvent;

/** `push` runs beside the launch and is shown only if it is told of. */
const ASIDE: Stage = "push";
/** Shown only if they are told of: most launches meet none of them. */
const QUIET: ReadonlySet<Stage> = new Set(["queue", ASIDE]);

export class Progress {
  readonly #stages = new Map<Stage, StageView>();
  end: End | null = null;
  /** Where the launch stands among those that wait; null: it does not wait. */
  queue: QueuedEvent | null = null;
  /** What the repository declares, once that is known. */
  declared: DeclaredEvent | null = null;
  #begunAt: number | null = null;
  #endedAt: number | null = null;

  /** Takes an event; gives back the lines that it adds to the log. */
  apply(event: LaunchEvent): string[] {
    const at = Date.parse(event.at);
    this.#begunAt ??= at;
    if (event.type !== "log") this.queue = null;
    switch (event.type) {
      case "started":
        this.#begin(event.stage, told(event), at);
        return [`▸ ${text(`stage.${event.stage}`)}${event.message ? ` — ${told(event)}` : ""}`];
      case "log":
        return event.message.replace(/\n$/, "").split("\n");
      case "progress":
        this.#running(event.stage, at).message = told(event);
        this.#view(event.stage).percent = event.percent ?? null;
        return [];
      case "queued":
        this.#running(event.stage, at).message = "";
        this.queue = event;
        return [];
      case "declared":
        this.declared = event;
        return [];
      case "ended":
        this.#ended(event.stage, told(event), event.seconds);
        return [];
      default:
        this.#finish(event, at);
        return [];
    }
  }

  /** The rows to show, in the order of a launch. */
  get rows(): StageView[] {
    return STAGES.filter((stage) => !QUIET.has(stage) || this.#stages.has(stage)).map((stage) => this.#view(stage));
  }

  /** The stage to speak of: the last one that is under way. */
  get current(): StageView | null {
    return this.rows.filter((row) => row.status === "running" && row.stage !== ASIDE).at(-1) ?? null;
  }

  /** From the first event to the last; null before the end. */
  get totalSeconds(): number | null {
    return this.#begunAt === null || this.#endedAt === null ? null : (this.#endedAt - this.#begunAt) / 1000;
  }

  #view(stage: Stage): StageView {
    const known = this.#stages.get(stage);
    if (known !== undefined) return known;
    const fresh: StageView = { stage, status: "waiting", message: "", percent: null, startedAt: null, seconds: null };
    if (!QUIET.has(stage)) this.#stages.set(stage, fresh);
    return fresh;
  }

  #begin(stage: Stage, message: string, at: number): void {
    if (QUIET.has(stage)) this.#stages.set(stage, { ...this.#view(stage) });
    Object.assign(this.#view(stage), { status: "running", message, percent: null, startedAt: at, seconds: null });
    if (stage === "build") this.#lookedInVain(at);
    if (stage !== ASIDE) this.#skipBefore(stage);
  }

  #ended(stage: Stage, message: string, seconds: number): void {
    const view = this.#view(stage);
    // Of a look-up that led to a build, the row has told all.
    if (stage === "image" && view.status === "done") return;
    Object.assign(view, { status: "done", message, percent: null, seconds });
  }

  /** The launcher's image stage lasts until there is an image; to a reader the look-up ends where the build begins. */
  #lookedInVain(at: number): void {
    const image = this.#view("image");
    if (image.status !== "running") return;
    this.#close(image, "done", at);
    image.message = text("launch.image.none");
  }

  /** A stage that tells progress is running, even if its beginning was not told. */
  #running(stage: Stage, at: number): StageView {
    if (this.#view(stage).status === "waiting") this.#begin(stage, "", at);
    return this.#view(stage);
  }

  #skipBefore(stage: Stage): void {
    for (const earlier of STAGES.slice(0, STAGES.indexOf(stage))) {
      const view = this.#view(earlier);
      if (view.status === "waiting") view.status = "skipped";
    }
  }

  #finish(event: End, at: number): void {
    this.end = event;
    this.#endedAt = at;
    for (const view of this.rows) {
      if (view.stage === ASIDE) continue;
      if (event.type === "ready" && view.status === "waiting") view.status = "skipped";
      if (view.status === "running") this.#close(view, event.type === "ready" ? "done" : "stopped", at);
    }
    if (event.type !== "failed" || event.stage === null) return;
    const failed = this.#view(event.stage);
    if (failed.seconds === null && failed.startedAt !== null) failed.seconds = (at - failed.startedAt) / 1000;
    failed.status = "failed";
    failed.message = event.title;
  }

  #close(view: StageView, status: Status, at: number): void {
    view.status = status;
    view.percent = null;
    if (view.startedAt !== null) view.seconds = (at - view.startedAt) / 1000;
  }
}
