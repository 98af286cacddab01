/**
 * A code broken into groups of equal width: separated by spaces, on lines of their own, or as
 * strings that are concatenated ("abcd" + "efgh"). Any text has words of equal length next to each
 * other, so only groups that decode count.
 */
const GROUP = /[A-Za-z0-9+/_-]+={0,2}/g;
const GAP = /^[\s"'+,\\]{1,8}$/;
const LEAST_WIDTH = 3;
/** Two groups may be just two words. */
const LEAST_GROUPS = 3;
const LEAST_LONG_GROUPS = 2;
const LONG_WIDTH = 16;
/**
 * The most words before a code that may happen to be as wide as its groups. One word after the code
 * may also look like a group, even if it is narrower.
 */
const MOST_BEFORE = 2;
/** Digits, or a capital after a small letter. Ordinary words have neither. */
const NO_WORD = /\d|[a-z][A-Z]/;

type Group = { text: string; start: number; end: number };

/**
 * Returns `text` with its message, on lines of its own, in place of every grouped code that
 * `decode` can decode.
 */
export function decodeGroups(text: string, decode: (code: string) => string | undefined): string {
  let written = '';
  let from = 0;
  let run: Group[] = [];
  const endRun = () => {
    const found =
      run.length < LEAST_LONG_GROUPS ? undefined : messageOf({ run, onLines: text[run[0]!.end] !== ' ' }, decode);
    if (found !== undefined) {
      written += `${text.slice(from, found.start)}\n${found.message}\n`;
      from = found.end;
    }
    run = [];
  };
  for (const { 0: group, index } of text.matchAll(GROUP)) {
    // The sign that concatenates two strings.
    if (group === '+') continue;
    const last = run.at(-1);
    if (last !== undefined) {
      const isNear = index - last.end <= 8 && GAP.test(text.slice(last.end, index));
      if (!isNear || last.text.length !== run[0]!.text.length || group.length > last.text.length) endRun();
    }
    run.push({ text: group, start: index, end: index + group.length });
  }
  endRun();
  return from === 0 ? text : written + text.slice(from);
}

function messageOf(
  { run, onLines }: { run: readonly Group[]; onLines: boolean },
  decode: (code: string) => string | undefined,
): { message: string; start: number; end: number } | undefined {
  const width = run[0]!.text.length;
  const least = width >= LONG_WIDTH ? LEAST_LONG_GROUPS : LEAST_GROUPS;
  if (width < LEAST_WIDTH) return undefined;
  // If long groups on one line each decode alone, they are separate messages.
  if (width >= LONG_WIDTH && !onLines && run.every((group) => decode(group.text) !== undefined)) return undefined;
  for (let first = 0; first <= MOST_BEFORE; first++) {
    for (const behind of [0, 1]) {
      const groups = run.slice(first, run.length - behind);
      if (groups.length < least) continue;
      const code = groups.map((group) => group.text).join('');
      if (!NO_WORD.test(code)) return undefined;
      const message = decode(code);
      if (message !== undefined) return { message, start: groups[0]!.start, end: groups.at(-1)!.end };
    }
  }
  return undefined;
}
