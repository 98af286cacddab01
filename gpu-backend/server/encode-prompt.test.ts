import { expect, test, vi } from 'vitest';
import type { BundleHead } from '../model/load-bundle.ts';
import { promptEncoder } from './encode-prompt.ts';

/** Tokens of at most four bytes, and a context of ten. */
function encoderOver(renderChat: BundleHead['renderChat'], prompts: BundleHead['prompts'] = {}) {
  // The encoder uses nothing else of a tokenizer.
  const tokenizer = { maxTokenBytes: 4 } as BundleHead['tokenizer'];
  return promptEncoder({ tokenizer, renderChat, prompts }, 10);
}

test('returns what the template returns, for the client and for each expert with a prompt', () => {
  const renderChat: BundleHead['renderChat'] = (messages) => messages.map(({ content }) => content.length);
  const encode = encoderOver(renderChat, { safety: 'abc' });
  expect(encode([{ role: 'user', content: 'hello' }])).toMatchObject({
    promptIds: [5],
    rowPrompts: { safety: [3, 5] },
  });
});

test('refuses a text that cannot fit, without tokenizing it', () => {
  const renderChat = vi.fn(() => []);
  const encode = encoderOver(renderChat);
  expect(() =>
    encode([
      { role: 'user', content: 'x'.repeat(30) },
      { role: 'user', content: '€'.repeat(2) },
    ]),
  ).not.toThrow();
  expect(renderChat).toHaveBeenCalledTimes(1);
  expect(() => encode([{ role: 'user', content: '€'.repeat(13) }])).toThrow(/at least 10 tokens/);
  expect(renderChat).toHaveBeenCalledTimes(1);
});

test('renders no expert’s row for messages that fill the context by themselves', () => {
  const renderChat = vi.fn(() => Array.from({ length: 10 }, () => 1));
  expect(encoderOver(renderChat, { safety: 'abc' })([{ role: 'user', content: 'x' }]).rowPrompts).toEqual({});
  expect(renderChat).toHaveBeenCalledTimes(1);
});
