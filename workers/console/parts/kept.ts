/**
 * What outlives a page and not the session: a text that is not stored yet, or a run that goes on
 * while people look elsewhere. It is nowhere but in this tab's memory.
 */
type Kept = { value: unknown; end: () => void };
const all = new Map<string, Kept>();

/** The one that is kept under this name, or a new one. `end` is called when it is forgotten. */
export function kept<T>(name: string, make: () => T, end: (value: T) => void = () => undefined): T {
  const known = all.get(name);
  // The cast: whoever uses a name makes the same thing each time.
  if (known !== undefined) return known.value as T;
  const value = make();
  all.set(name, { value, end: () => end(value) });
  return value;
}

/** Call this when somebody signs out, or the session is over. */
export function forgetAll(): void {
  for (const { end } of all.values()) end();
  all.clear();
}
