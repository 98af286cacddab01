/**
 * Ids of responses and of the items in them. A response's id is random, and no other id of the
 * request leads to it. An item's id says which item of which response it is.
 */

const ID_BYTES = 24;
const PREFIXES = { message: 'msg', function_call: 'fc', function_call_output: 'fco' } as const;

/** Which items of a response: those that it was asked with, or those of its answer. */
export type Side = 'input' | 'output';
const MARKS: Record<Side, string> = { input: 'i', output: 'o' };

export function newResponseId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return `resp_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** Whether it may be one: another text is no id, and need not be looked for. */
export const isResponseId = (text: string): boolean => /^resp_[0-9a-f]{48}$/.test(text);

export function itemId(type: keyof typeof PREFIXES, place: { response: string; side: Side; index: number }): string {
  return `${PREFIXES[type]}_${place.response.slice('resp_'.length)}${MARKS[place.side]}${place.index}`;
}

/** null if `id` is no item's. */
export function placeOfItem(id: string): { response: string; side: Side; index: number } | null {
  const [, response, mark, index] = /^[a-z]+_([0-9a-f]{48})([io])(\d{1,4})$/.exec(id) ?? [];
  if (response === undefined) return null;
  return { response: `resp_${response}`, side: mark === MARKS.input ? 'input' : 'output', index: Number(index) };
}
