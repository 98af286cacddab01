/**
 * What a request takes from stored responses: the conversation before it, and single items by their
 * ids. All of it becomes part of the prompt, so all of it is classified again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import type { StoredResponse } from '../objects/tenant-responses-contract.ts';
import { isResponseId, placeOfItem } from './ids.ts';
import { type Item, type Placed, type Reference, readItem } from './read-items.ts';
import type { ResponseStore } from './response-store.ts';

const PARAM = 'previous_response_id';
const MAX_SHOWN = 80;

/** Throws unless all of the conversation is there. */
export async function conversationBefore(id: string, store: ResponseStore): Promise<Placed<Item>[]> {
  const shown = id.length > MAX_SHOWN ? `${id.slice(0, MAX_SHOWN)}...` : id;
  if (store.lacks !== null) {
    throw notFound(
      `'${PARAM}' needs a stored response, and none are stored here: ${store.lacks}. Send the whole conversation as 'input'.`,
    );
  }
  if (!isResponseId(id)) throw notFound(`Previous response with id '${shown}' not found.`);
  const found = await store.conversation(id);
  if (found.outcome === 'too-long') {
    throw new PlimsollError(
      'context_length_exceeded',
      `The conversation before '${id}' is too long to go on from it.`,
      {
        param: PARAM,
      },
    );
  }
  if (found.outcome === 'missing') {
    throw notFound(
      found.id === id
        ? `Previous response with id '${id}' not found.`
        : `Previous response with id '${id}' goes on from '${found.id}', which is not stored any more.`,
    );
  }
  return found.turns.flatMap((turn) => itemsOf(turn, 'input').concat(itemsOf(turn, 'output'))).map(placed(PARAM));
}

/** The items, with what stands for others in the place of references. */
export async function withReferenced(
  items: readonly Placed<Item | Reference>[],
  store: ResponseStore,
): Promise<Placed<Item>[]> {
  const wanted = new Set<string>();
  for (const { item, path } of items) {
    if (item.type !== 'item_reference') continue;
    if (store.lacks !== null) {
      throw missingItem(
        path,
        `'${path}' refers to a stored item, and none are stored here: ${store.lacks}. Send the item itself, and "store": false.`,
      );
    }
    const place = placeOfItem(item.id);
    if (place === null) throw missingItem(path, `Item with id '${item.id.slice(0, MAX_SHOWN)}' not found.`);
    wanted.add(place.response);
  }
  const turns = wanted.size === 0 ? [] : await store.read([...wanted]);
  const known = new Map(turns.map((turn) => [turn.id, turn]));
  return items.map(({ item, path }) => {
    if (item.type !== 'item_reference') return { item, path };
    const place = placeOfItem(item.id);
    const turn = place === null ? undefined : known.get(place.response);
    const referred = turn === undefined || place === null ? undefined : itemsOf(turn, place.side)[place.index];
    if (referred === undefined) throw missingItem(path, `Item with id '${item.id}' not found.`);
    return { item: referred, path };
  });
}

const placed = (path: string) => (item: Item) => ({ item, path });

function itemsOf({ id, response, input }: StoredResponse, side: 'input' | 'output'): Item[] {
  // The casts: our own texts.
  const items =
    side === 'input'
      ? (JSON.parse(input) as Record<string, unknown>[])
      : (JSON.parse(response) as Pick<ResponseObject, 'output'>).output;
  return items.map((item, index) => {
    const read = readItem(item, `${id}.${side}[${index}]`);
    if (read.type === 'item_reference') throw new Error('a reference was stored');
    return read;
  });
}

function notFound(message: string): PlimsollError {
  return new PlimsollError('previous_response_not_found', message, { param: PARAM });
}

function missingItem(path: string, message: string): PlimsollError {
  return new PlimsollError('invalid_value', message, { param: path });
}
