import type { Automaton, State } from '../automaton.ts';

/** Whether an automaton accepts a text as a whole. */
export function acceptsText(automaton: Automaton, text: string): boolean {
  let state: State | null = automaton.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = automaton.step(state, byte);
    if (state === null) return false;
  }
  return state.ends;
}

/**
 * A value as JSON.stringify writes it, with the members of its objects in every order: a grammar
 * wants those of the schema in its order.
 */
export function writings(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [JSON.stringify(value)];
  if (Array.isArray(value)) {
    return value
      .reduce((all: string[][], item) => all.flatMap((items) => writings(item).map((text) => [...items, text])), [[]])
      .map((items) => `[${items.join()}]`);
  }
  return orders(Object.entries(value)).flatMap((entries) =>
    entries
      .reduce(
        (all: string[][], [name, member]) =>
          all.flatMap((members) => writings(member).map((text) => [...members, `${JSON.stringify(name)}:${text}`])),
        [[]],
      )
      .map((members) => `{${members.join()}}`),
  );
}

/** All orders of a few, and only the given one of many. */
function orders<T>(all: readonly T[]): T[][] {
  if (all.length <= 1 || all.length > 5) return [[...all]];
  return all.flatMap((first, i) => orders(all.toSpliced(i, 1)).map((rest) => [first, ...rest]));
}
