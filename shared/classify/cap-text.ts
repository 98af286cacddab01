/**
 * Bounds the work for a prompt of any length. Who wants something from a model mostly says so first or last, so a long
 * text keeps half of the room for its head and a quarter each for its middle and its tail; what lies between is not read.
 */
export function capText(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const quarter = Math.floor((maxChars - 2) / 4);
  const middle = Math.floor((text.length - quarter) / 2);
  return `${text.slice(0, 2 * quarter)} ${text.slice(middle, middle + quarter)} ${text.slice(-quarter)}`;
}
