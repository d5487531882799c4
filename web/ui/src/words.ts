/**
 * The page's language. English is in the sources and costs no request; for another one the server names a file before
 * this script, made from that language's gettext catalogue, which leaves its words in `arenaWords` (see `ops.words`).
 */
interface Words {
  /** By English message; a message with a number has one form for each of the language's plurals. */
  messages: Readonly<Record<string, string | readonly string[]>>;
  /** What the refusals say, by code. */
  problems: Readonly<Record<string, string>>;
  plural: (n: number) => number | boolean;
}

declare global {
  var arenaWords: Words | undefined;
}

type Values = Readonly<Record<string, string | number>>;

const words = globalThis.arenaWords;
/** As in `<html lang>`. */
export const lang = document.documentElement.lang || "en";
/** What numbers and moments are written in: as the server does, whose English is that of the British. */
export const locale = lang === "en" ? "en-GB" : lang;

/** The message in the page's language, with `%(name)s` replaced by the value of that name. */
export function _(message: string, values: Values = {}): string {
  const found = words?.messages[message];
  return fill(typeof found === "string" ? found : message, values);
}

/** The form that fits `n`, which fills in `%(num)s`. */
export function ngettext(one: string, many: string, n: number, values: Values = {}): string {
  const forms = words?.messages[one];
  const found = typeof forms === "object" ? forms[Number(words?.plural(n))] : undefined;
  return fill(found ?? (n === 1 ? one : many), { num: number(n), ...values });
}

/** What a refusal says: the server's own words in English, elsewhere those that the catalogue has for its code. */
export function refusal(code: string, detail: string): string {
  if (!words) return detail;
  return words.problems[code] ?? words.problems["internal"] ?? detail;
}

export function number(n: number, decimals = 0): string {
  return n.toLocaleString(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function fill(text: string, values: Values): string {
  return text.replace(/%\((\w+)\)s|%%/g, (all, name?: string) => (name === undefined ? "%" : String(values[name] ?? all)));
}
