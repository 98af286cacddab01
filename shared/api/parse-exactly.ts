/**
 * A seed has 64 bits, but a number has only 53. The request's own seed is read from the text if it
 * may be longer. What is called so further inside, as in a schema, is a number as any other.
 * Throws a SyntaxError if the text is not JSON.
 */
export function parseExactly(text: string): unknown {
  if (!/"seed"\s*:\s*-?\d{16}/.test(text)) return JSON.parse(text);
  const seeds = new Map<unknown, bigint>();
  // The cast: no type has the third parameter yet.
  const parsed = (JSON.parse as ParseWithSource)(text, function (this: unknown, key, value, { source = '' }) {
    if (key === 'seed' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)) seeds.set(this, BigInt(source));
    return value;
  });
  // Which object is the outermost is only known at the end.
  const seed = seeds.get(parsed);
  // The cast: it has a member.
  return seed === undefined ? parsed : Object.assign(parsed as object, { seed });
}
type ParseWithSource = (
  text: string,
  reviver: (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;
