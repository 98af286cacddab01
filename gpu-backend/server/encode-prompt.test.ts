import { expect, test, vi } from 'vitest';
import type { BundleHead } from '../model/load-bundle.ts';
import { promptEncoder } from './encode-prompt.ts';

/**
 * An encoder over only the parts of a bundle that it uses: tokens of at most four bytes, a context
 * of ten.
 */
function encoderOver(renderChat: BundleHead['renderChat']) {
  return promptEncoder({
    config: { max_position_embeddings: 10 },
    tokenizer: { maxTokenBytes: 4 },
    renderChat,
  } as BundleHead);
}

test('returns what the template returns', () => {
  expect(encoderOver(() => [1, 2])([{ role: 'user', content: 'hello' }])).toEqual([1, 2]);
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
