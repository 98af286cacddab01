/**
 * What a request takes from stored responses: the conversation before it, and single items by their
 * ids. All of it becomes part of the prompt, so all of it is classified again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import { CONVERSATION_BOUNDS, type StoredResponse } from '../objects/tenant-responses-contract.ts';
import { MAX_BODY_BYTES } from '../request/read-body.ts';
import { isResponseId, placeOfItem } from './ids.ts';
import { type Item, type Placed, type Reference, readItem } from './read-items.ts';
import type { ResponseStore } from './response-store.ts';

const PARAM = 'previous_response_id';
const MAX_SHOWN = 80;

type Side = 'input' | 'output';
/** Takes an item up in the prompt, and throws where there is no room for it. */
type Room = (item: Item, path: string) => void;

/**
 * Room for what one request takes from stored responses. A few bytes of a body stand for much, so
 * they get no more than a body may have, counted in characters as JSON.
 */
export function roomForStored(): Room {
  let characters = 0;
  return function take(item, path) {
    characters += JSON.stringify(item).length;
    if (characters > MAX_BODY_BYTES) throw tooMuch(path);
  };
}

/** Throws unless all of the conversation is there. */
export async function conversationBefore(
  id: string,
  { store, room }: { store: ResponseStore; room: Room },
): Promise<Placed<Item>[]> {
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
  return found.turns.flatMap((turn) => {
    const both = (['input', 'output'] as const).flatMap((side) =>
      parseSide(turn, side).map((item, index) => readStored(item, { id: turn.id, side, index })),
    );
    return both.map((item) => {
      room(item, PARAM);
      return { item, path: PARAM };
    });
  });
}

/** The items, with what stands for others in the place of references. */
export async function withReferenced(
  items: readonly Placed<Item | Reference>[],
  { store, room }: { store: ResponseStore; room: Room },
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
  const find = finderIn(await readTurns([...wanted], store));
  return items.map(({ item, path }) => {
    if (item.type !== 'item_reference') return { item, path };
    const referred = find(item.id);
    if (referred === null) throw missingItem(path, `Item with id '${item.id}' not found.`);
    room(referred, path);
    return { item: referred, path };
  });
}

async function readTurns(ids: readonly string[], store: ResponseStore): Promise<StoredResponse[]> {
  if (ids.length === 0) return [];
  const { turns: most } = CONVERSATION_BOUNDS;
  if (ids.length > most) {
    const message = `'input' refers to items of ${ids.length} responses, and of at most ${most} it may.`;
    throw new PlimsollError('array_above_max_length', message, { param: 'input' });
  }
  const found = await store.read(ids);
  if (found.outcome === 'too-long') throw tooMuch('input');
  return found.turns;
}

/** Finds items by their ids. However often they are asked for, each turn is parsed once. */
function finderIn(turns: readonly StoredResponse[]): (id: string) => Item | null {
  const known = new Map(turns.map((turn) => [turn.id, turn]));
  const sides = new Map<string, readonly Record<string, unknown>[]>();
  const found = new Map<string, Item>();
  return function find(id) {
    const place = placeOfItem(id);
    const turn = place === null ? undefined : known.get(place.response);
    if (place === null || turn === undefined) return null;
    const { side, index } = place;
    const name = `${turn.id}.${side}`;
    const items = sides.get(name) ?? parseSide(turn, side);
    sides.set(name, items);
    const value = items[index];
    if (value === undefined) return null;
    const item = found.get(`${name}[${index}]`) ?? readStored(value, { id: turn.id, side, index });
    found.set(`${name}[${index}]`, item);
    return item;
  };
}

function parseSide({ response, input }: StoredResponse, side: Side): readonly Record<string, unknown>[] {
  // The casts: our own texts.
  return side === 'input'
    ? (JSON.parse(input) as Record<string, unknown>[])
    : (JSON.parse(response) as Pick<ResponseObject, 'output'>).output;
}

function readStored(
  item: Readonly<Record<string, unknown>>,
  { id, side, index }: { id: string; side: Side; index: number },
): Item {
  const read = readItem(item, `${id}.${side}[${index}]`);
  if (read.type === 'item_reference') throw new Error('a reference was stored');
  return read;
}

function tooMuch(param: string): PlimsollError {
  const message = `What '${param}' takes from stored responses is too long: it has at most ${MAX_BODY_BYTES} characters as JSON.`;
  return new PlimsollError('context_length_exceeded', message, { param });
}

function notFound(message: string): PlimsollError {
  return new PlimsollError('previous_response_not_found', message, { param: PARAM });
}

function missingItem(path: string, message: string): PlimsollError {
  return new PlimsollError('invalid_value', message, { param: path });
}
