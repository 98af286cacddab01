/**
 * How deep a JSON text is nested, told without parsing it. Whoever walks a value does so by calls
 * (`JSON.stringify`, schemas, ours), and the stack of an isolate holds a few thousand of them.
 */

/** A schema of tools or answers that people write has about ten. */
export const MOST_DEPTH = 200;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether more than `most` arrays and objects of a JSON text are open at once. One pass. */
export function isDeeperThan(most: number, json: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < json.length; i++) {
    const unit = json.charCodeAt(i);
    if (isInString) {
      if (unit === BACKSLASH) i++;
      else if (unit === QUOTE) isInString = false;
    } else if (unit === QUOTE) isInString = true;
    // `[` and `{`, `]` and `}`: each pair differs by this one bit.
    else if ((unit | 0x20) === 0x7b) {
      if (++depth > most) return true;
    } else if ((unit | 0x20) === 0x7d) depth--;
  }
  return false;
}
