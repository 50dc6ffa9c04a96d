/** Following a launch: reconnects until the final event, and hands on every event exactly once, in order. */
import { ApiError, STAGES, type Api, type LaunchEvent } from "./api";

export type Connection = "connecting" | "open" | "reconnecting" | "offline";

const TYPES = new Set(["started", "log", "progress", "ended", "declared", "queued", "ready", "failed", "cancelled"]);
const STAGE_NAMES = new Set<unknown>(STAGES);
const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 10_000;
/** The server sends a comment every 15 s; silence of more than two of them means that the connection is dead. */
const SILENCE_MS = 40_000;

export function isFinal(event: LaunchEvent): boolean {
  return event.type === "ready" || event.type === "failed" || event.type === "cancelled";
}

/** The `data` fields of a text/event-stream, whatever pieces it arrives in. */
export class EventStreamParser {
  #rest = "";
  #data: string[] = [];

  /** The data of the events that `piece` completes. */
  push(piece: string): string[] {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    const complete: string[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) complete.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
      }
    }
    return complete;
  }
}

/** The event in `data`; null if it is not one that this page knows (a newer server may have more). */
export function parseEvent(data: string): LaunchEvent | { readonly n: number; readonly type: "unknown" } | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { n, type, stage } = value as { n?: unknown; type?: unknown; stage?: unknown };
  if (typeof n !== "number" || !Number.isInteger(n)) return null;
  const staged = type === "ready" || type === "failed" || type === "cancelled" || STAGE_NAMES.has(stage);
  return typeof type === "string" && TYPES.has(type) && staged ? (value as LaunchEvent) : { n, type: "unknown" };
}

/** Resolves after `ms`, or at once when the browser comes back online, or when `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}

/** Asks until somebody answers: `ask` again after every failure but the service's own explanation. */
export async function persistently<T>(
  ask: () => Promise<T>,
  signal: AbortSignal,
  tell: (state: Connection) => void,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      const answer = await ask();
      tell("open");
      return answer;
    } catch (error) {
      if (error instanceof ApiError || signal.aborted) throw error;
      tell(navigator.onLine ? "reconnecting" : "offline");
      await pause(backOff(failures), signal);
      signal.throwIfAborted();
    }
  }
}

function backOff(failures: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
  return longest * (0.5 + Math.random() / 2); // so that a whole class does not come back in the same instant
}

export interface Follower {
  /** New events, in order; each number is handed over once. */
  events(batch: readonly LaunchEvent[]): void;
  connection(state: Connection): void;
}

export class Following {
  #last = 0;
  /** The last number after which the stream jumped: a second jump at the same place is the server's truth. */
  #gapAfter = -1;
  #final = false;
  #failures = 0;

  constructor(
    private readonly api: Api,
    private readonly launch: string,
    private readonly follower: Follower,
  ) {}

  /** Follows to the end. Raises ApiError when the service refuses, and whatever `signal` is aborted with. */
  async run(signal: AbortSignal): Promise<void> {
    this.follower.connection("connecting");
    for (;;) {
      try {
        await this.#once(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ApiError) throw error;
      }
      if (this.#final) return;
      this.follower.connection(navigator.onLine ? "reconnecting" : "offline");
      await pause(backOff(this.#failures++), signal);
      signal.throwIfAborted();
    }
  }

  /** One connection, until it ends or breaks. */
  async #once(signal: AbortSignal): Promise<void> {
    const attempt = new AbortController();
    const stop = (): void => {
      attempt.abort();
    };
    signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, SILENCE_MS);
    try {
      const stream = await this.api.events(this.launch, this.#last, attempt.signal);
      this.follower.connection("open");
      const reader = stream.getReader();
      const decoder = new TextDecoder();
      const parser = new EventStreamParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE_MS);
        if (!this.#take(parser.push(decoder.decode(value, { stream: true })))) return;
      }
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
      attempt.abort();
    }
  }

  /** Hands on what is new; false when this connection is of no more use. */
  #take(messages: readonly string[]): boolean {
    const batch: LaunchEvent[] = [];
    let useful = true;
    for (const message of messages) {
      const event = parseEvent(message);
      if (event === null || event.n <= this.#last) continue;
      if (event.n > this.#last + 1 && this.#gapAfter !== this.#last) {
        this.#gapAfter = this.#last;
        useful = false;
        break;
      }
      this.#last = event.n;
      this.#failures = 0;
      if (event.type === "unknown") continue;
      batch.push(event);
      if (isFinal(event)) {
        this.#final = true;
        useful = false;
        break;
      }
    }
    if (batch.length > 0) this.follower.events(batch);
    return useful;
  }
}
