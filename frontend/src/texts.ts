/** Every text that a person reads is in the catalogue (launcher/web/catalogue), which the launcher's own pages read too. */
import type english from "../../launcher/web/catalogue/en.json";

export type TextKey = keyof typeof english;
type Catalogue = Readonly<Record<TextKey, string>>;

/** What the page is in: the launcher chose it. */
export const language = document.documentElement.lang === "fr" ? "fr" : "en";

const catalogue: Catalogue =
  language === "fr"
    ? (await import("../../launcher/web/catalogue/fr.json")).default
    : (await import("../../launcher/web/catalogue/en.json")).default;
const plural = new Intl.PluralRules(language);
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** The text of `key` with `{name}` replaced by the values. */
export function text(key: TextKey, values: Readonly<Record<string, string | number>> = {}): string {
  return catalogue[key].replace(/\{(\w+)\}/g, (found, name: string) => {
    const value = values[name] ?? found;
    return typeof value === "number" ? whole.format(value) : value;
  });
}

/** What a step of a launch tells: `message` is English; `code` is a key of the catalogue, `facts` are what its text takes. */
export interface Told {
  readonly message: string;
  readonly code?: string;
  readonly facts?: Readonly<Record<string, string | number>>;
}

/** In the page's language; as it was told where another version, or a builder, has said it. */
export function told({ message, code, facts = {} }: Told): string {
  if (code === undefined || !isKey(code)) return message;
  const names = [...catalogue[code].matchAll(/\{(\w+)\}/g)].map((found) => found[1] ?? "");
  return names.every((name) => Object.hasOwn(facts, name)) ? text(code, facts) : message;
}

function isKey(code: string): code is TextKey {
  return Object.hasOwn(catalogue, code);
}

/** `{count}` of something: the catalogue has `<key>.one` and `<key>.other`. */
export function counted(key: "log.lines" | "log.matches", count: number): string {
  return text(`${key}.${plural.select(count) === "one" ? "one" : "other"}`, { count });
}

/** A duration for people: `3.2 s`, `41 s`, `2 min 5 s`, `1 h 3 min`. */
export function duration(seconds: number): string {
  const long = Math.max(0, seconds);
  if (long > 0 && long < 0.05) return text("time.instant", { s: tenths.format(0.1) });
  if (long < 9.95) return text("time.seconds", { s: tenths.format(long) });
  return wholeDuration(long);
}

/** The same without tenths: for what is still counting. */
export function wholeDuration(seconds: number): string {
  if (seconds < 59.5) return text("time.seconds", { s: Math.round(seconds) });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return text("time.minutes", { m: minutes, s: Math.floor(seconds % 60) });
  return text("time.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** A moment for people, by their own clock: `November 21, 2026 at 10:04 PM`. */
export function moment(at: Date): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(at);
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** How long ago, in the words of the page's language: `3 days ago`, `5 minutes ago`, `now`. */
export function ago(seconds: number): string {
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const [unit, length] = UNITS.find(([, long]) => seconds >= long) ?? (["second", Infinity] as const);
  return words.format(-Math.floor(Math.max(0, seconds) / length) || 0, unit);
}
