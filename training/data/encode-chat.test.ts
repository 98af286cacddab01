import { expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { type ChatEncoder, encodeChat } from './encode-chat.ts';

const [START, USER, ASSISTANT, END] = [1, 2, 3, 4];
const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
const render = (messages: readonly Message[], { addGenerationPrompt = true } = {}) => [
  START,
  ...messages.flatMap(({ role, content }) => [role === 'user' ? USER : ASSISTANT, ...letters(content), END]),
  ...(addGenerationPrompt ? [ASSISTANT] : []),
];
// Of the tokenizer, the encoder only calls `encode`.
const encoder = { tokenizer: { encode: letters }, renderChat: render, eosId: END } as unknown as ChatEncoder;
const prompt: Message[] = [
  { role: 'user', content: 'a' },
  { role: 'assistant', content: 'bcd' },
  { role: 'user', content: 'e' },
];

// The predicted tokens: user a end assistant b c d end user e end assistant f g end
test.each([
  ['only the last answer by default', {}, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]],
  ['every answer with its end token', { everyAnswer: true }, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1]],
  [
    'the opening of every answer more, and the prompt less',
    { everyAnswer: true, promptWeight: 0.5, opening: { tokens: 2, weight: 4 } },
    [0.5, 0.5, 0.5, 0.5, 4, 4, 1, 1, 0.5, 0.5, 0.5, 0.5, 4, 4, 1],
  ],
  [
    'an opening no longer than its answer',
    { everyAnswer: true, opening: { tokens: 9, weight: 4 } },
    [0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4],
  ],
])('counts %s', (_, weights, expected) => {
  const row = encodeChat({ prompt, answer: 'fg' }, encoder, weights);
  expect([...row.weights]).toEqual(expected.slice(0, row.weights.length));
  expect(row.weights).toHaveLength(row.ids.length - 1);
});

test('fails if it should learn earlier answers that the template leaves out', () => {
  const forgetful = { ...encoder, renderChat: (messages: readonly Message[]) => render(messages.slice(-1)) };
  expect(() => encodeChat({ prompt, answer: 'f' }, forgetful, { everyAnswer: true })).toThrow('chat template');
  expect(encodeChat({ prompt, answer: 'f' }, forgetful).ids.length).toBe(7);
});

test('keeps ids that need more than 16 bits', () => {
  const large = {
    ...encoder,
    tokenizer: { encode: () => [128_000, 201_087] },
    eosId: 200_020,
  } as unknown as ChatEncoder;
  const { ids } = encodeChat({ prompt: [], answer: 'f' }, large);
  expect([...ids].slice(-3)).toEqual([128_000, 201_087, 200_020]);
});
