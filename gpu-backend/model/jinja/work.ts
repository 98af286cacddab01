/**
 * How much a template may do. A template is a program that comes with a model: it can loop for ever
 * and double a string until memory is full, and a render blocks everyone that the process serves.
 * So every step is counted, and every character that it makes or reads. A count ends at the same
 * place on every machine, where a clock would not.
 */

/** What a template may do whatever it is given. Real ones need some thousand steps. */
const STEPS = 1_000_000;
const CHARACTERS = 4_000_000;
/** And for each character of the messages: a template may look at each of them, and often. */
const STEPS_EACH = 32;
const CHARACTERS_EACH = 64;

type Work = { steps: number; characters: number };

/** What is left to the template that renders. A render never waits, so there is one at most. */
let left: Work | undefined;

/** Runs `render` for variables of `given` characters. */
export function withWork<T>(given: number, render: () => T): T {
  const before = left;
  left = { steps: STEPS + STEPS_EACH * given, characters: CHARACTERS + CHARACTERS_EACH * given };
  try {
    return render();
  } finally {
    left = before;
  }
}

/** Counts steps before they are done. Throws if the template has no more. */
export function spendSteps(count = 1): void {
  spend('steps', count);
}

/** Counts characters before they are made or read. Throws if the template has no more. */
export function spendCharacters(count: number): void {
  spend('characters', count);
}

/** Counts the search for `part`, which may have to begin anew at each character of `text`. */
export function spendSearch(text: string, part: string): void {
  spendCharacters(text.length * Math.ceil(part.length / 64));
}

function spend(what: keyof Work, count: number): void {
  if (left === undefined) return;
  // The other way round, NaN would pass.
  if (!(count <= left[what])) throw new Error(`the template does too much: it ran out of ${what}`);
  left[what] -= count;
}
