/** What stands for stored items is read once and is no way around the bound of a body. */
import { describe, expect, test, vi } from 'vitest';
import type { PlimsollError } from '#shared/api/errors.ts';
import type { StoredResponse } from '../objects/tenant-responses-contract.ts';
import { conversationBefore, roomForStored, withReferenced } from './earlier-items.ts';
import { type Item, readInput } from './read-items.ts';
import type { ResponseStore } from './response-store.ts';
import { shownItems } from './shown-items.ts';

const HEX = 'a'.repeat(48);
const ID = `resp_${HEX}`;

function turnOf(texts: readonly string[], id = ID): StoredResponse {
  const items: Item[] = texts.map((text) => ({
    type: 'message',
    role: 'user',
    content: [{ type: 'input_text', text }],
  }));
  return { id, response: '{"output":[]}', input: JSON.stringify(shownItems(items, { response: id })) };
}
function storeOf(turns: StoredResponse[], more: Partial<ResponseStore> = {}) {
  const read = vi.fn(async () => ({ outcome: 'found' as const, turns }));
  const conversation = async () => ({ outcome: 'found' as const, turns });
  const store: ResponseStore = {
    lacks: null,
    read,
    conversation,
    save: async () => true,
    remove: async () => true,
    ...more,
  };
  return { store, read };
}
const references = (ids: readonly string[]) => readInput(ids.map((id) => ({ type: 'item_reference', id })));
const place = (index: number) => `msg_${HEX}i${index}`;
async function refusalOf(promise: Promise<unknown>) {
  const thrown = await promise.then(
    () => null,
    // The cast: the caller looks at what it is.
    (error: unknown) => error as PlimsollError,
  );
  return { code: thrown?.code, param: thrown?.param };
}

describe('references', () => {
  test('to one response parse it once, and ask for it once', async () => {
    const texts = Array.from({ length: 500 }, (_, index) => `text ${index}`);
    const { store, read } = storeOf([turnOf(texts)]);
    const parse = vi.spyOn(JSON, 'parse');
    try {
      const ids = Array.from({ length: 2000 }, (_, index) => place(index % 500));
      const items = await withReferenced(references(ids), { store, room: roomForStored() });
      expect(items).toHaveLength(2000);
      expect(items[501]).toMatchObject({ item: { content: [{ text: 'text 1' }] }, path: 'input[501]' });
      expect(parse).toHaveBeenCalledTimes(1);
    } finally {
      parse.mockRestore();
    }
    expect(read).toHaveBeenCalledExactlyOnceWith([ID]);
  });

  test('read nothing beside the item that they name', async () => {
    const broken = JSON.stringify([{ type: 'message', role: 'user', content: 'named' }, { type: 'unknown' }]);
    const { store } = storeOf([{ id: ID, response: '{"output":[]}', input: broken }]);
    const items = await withReferenced(references([place(0)]), { store, room: roomForStored() });
    expect(items).toMatchObject([{ item: { content: [{ text: 'named' }] } }]);
  });

  test('stand for no more text than a body may have', async () => {
    const { store } = storeOf([turnOf(['x'.repeat(30_000)])]);
    const ask = (count: number) =>
      withReferenced(references(Array.from({ length: count }, () => place(0))), { store, room: roomForStored() });
    expect(await ask(34)).toHaveLength(34);
    expect(await refusalOf(ask(35))).toEqual({ code: 'context_length_exceeded', param: 'input[34]' });
  });

  test('share that room with the conversation before them', async () => {
    const { store } = storeOf([turnOf(['x'.repeat(600_000)])]);
    const room = roomForStored();
    expect(await conversationBefore(ID, { store, room })).toHaveLength(1);
    const referred = withReferenced(references([place(0)]), { store, room });
    expect(await refusalOf(referred)).toEqual({ code: 'context_length_exceeded', param: 'input[0]' });
    const again = conversationBefore(ID, { store, room });
    expect(await refusalOf(again)).toEqual({ code: 'context_length_exceeded', param: 'previous_response_id' });
  });

  test('to more responses than a conversation has are refused before the store is asked', async () => {
    const { store, read } = storeOf([]);
    const ids = Array.from({ length: 513 }, (_, index) => `msg_${index.toString(16).padStart(48, '0')}i0`);
    expect(await refusalOf(withReferenced(references(ids), { store, room: roomForStored() }))).toEqual({
      code: 'array_above_max_length',
      param: 'input',
    });
    expect(read).not.toHaveBeenCalled();
  });

  test('to more than is given out at once are refused', async () => {
    const { store } = storeOf([], { read: async () => ({ outcome: 'too-long' }) });
    expect(await refusalOf(withReferenced(references([place(0)]), { store, room: roomForStored() }))).toEqual({
      code: 'context_length_exceeded',
      param: 'input',
    });
  });
});

test('what is wrong with an item is named by its place in the request', () => {
  const read = (value: Record<string, unknown>) => {
    try {
      return readInput([{ role: 'user', content: 'fine' }, value]);
    } catch (thrown) {
      // The cast: readers throw nothing else.
      const { code, param, message } = thrown as PlimsollError;
      return { code, param, message };
    }
  };
  expect(read({ type: 'function_call', call_id: 7, name: 'n', arguments: '' })).toEqual({
    code: 'invalid_type',
    param: 'input[1].call_id',
    message: "Invalid value for 'input[1].call_id': expected a string, found 7.",
  });
  expect(read({ role: 'user' })).toMatchObject({ code: 'missing_required_parameter', param: 'input[1].content' });
  expect(read({ role: 'user', content: [{ type: 'input_text' }] })).toMatchObject({
    param: 'input[1].content[0].text',
  });
});
