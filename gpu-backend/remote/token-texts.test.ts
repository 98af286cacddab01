import { beforeAll, expect, test } from 'vitest';
import { openBundle, type ServedBundle } from '../model/load-bundle.ts';
import { tokenTexts } from './token-texts.ts';

let head: ServedBundle;
beforeAll(async () => {
  head = await openBundle('models/demo');
});

test('finds a token by its text, and by its bytes where they are no text', () => {
  const idOf = tokenTexts(head);
  const { tokenizer, config } = head;
  let [texts, parts] = [0, 0];
  for (let id = 0; id < config.vocab_size; id++) {
    const bytes = tokenizer.bytesOf(id);
    if (bytes === undefined) continue;
    const text = Buffer.from(bytes).toString();
    const isText = Buffer.from(text).equals(Buffer.from(bytes));
    if (isText) texts++;
    else parts++;
    const escaped = `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
    expect(idOf(isText ? text : escaped)).toBe(id);
  }
  expect(Math.min(texts, parts)).toBeGreaterThan(50);
  for (const [content, id] of tokenizer.specials) expect(idOf(content)).toBe(id);
  expect([idOf('no such token of any kind'), idOf('\ufffd')]).toEqual([undefined, undefined]);
});

test('says nothing where two tokens are written alike, or where a text loses its first space', () => {
  const [a, b] = [Buffer.from('a'), Buffer.from('b')];
  const bytesOf = (id: number) => [a, b, a][id];
  const few = (dropsFirstSpace: boolean) =>
    // The function reads no more of a bundle than this.
    tokenTexts({ config: { vocab_size: 3 }, tokenizer: { bytesOf, dropsFirstSpace, specials: new Map() } } as never);
  expect([few(false)('a'), few(false)('b'), few(true)('b')]).toEqual([undefined, 1, undefined]);
});
