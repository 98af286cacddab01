/**
 * A seed has 64 bits, but a number has only 53. A seed that may be longer is read from the text.
 * Throws a SyntaxError if the text is not JSON.
 */
export function parseExactly(text: string): unknown {
  if (!/"seed"\s*:\s*-?\d{16}/.test(text)) return JSON.parse(text);
  // The cast: no type has the third parameter yet.
  return (JSON.parse as ParseWithSource)(text, (key, value, { source = '' }) => {
    return key === 'seed' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}
type ParseWithSource = (
  text: string,
  reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;
