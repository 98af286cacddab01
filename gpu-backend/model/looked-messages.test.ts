import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { windowsOf } from '../engine/second-look.ts';
import { compileChat } from './chat-template.ts';
import { CHAT_TEMPLATE, tinyTokenizerJson } from './fixtures/tiny-bundle.ts';
import { lookedMessages } from './looked-messages.ts';
import { renderRows } from './render-rows.ts';
import { BundleTokenizer, TokenizerJson } from './tokenizer.ts';

const tokenizer = new BundleTokenizer(TokenizerJson.parse(tinyTokenizerJson()), {}, CHAT_TEMPLATE);
const chat = (template: string) => compileChat(template, { tokenizer, bosToken: '<|bos|>', eosToken: '<|end|>' });

const user = (content: string): Message => ({ role: 'user', content });
const system = (content: string): Message => ({ role: 'system', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

/** The text that is looked at, message by message, and by which token each has been read. */
function looked(messages: readonly Message[], template = CHAT_TEMPLATE) {
  const { ids, spans } = chat(template).readChat(messages);
  return lookedMessages(messages, { spans, length: ids.length }).map(({ from, to, last }) => ({
    text: tokenizer.decode(ids.slice(from, to)),
    last: ids.length - last,
  }));
}

test('the text of every message is looked at, whoever is said to speak, up to where the next one begins', () => {
  const messages = [system('be kind'), user('the inner'), assistant('no'), user('why'), assistant('so')];
  expect(looked(messages)).toEqual([
    // ... <|user|>why<|end|><|assistant|>so<|end|><|assistant|>
    { text: 'be kind', last: 22 },
    { text: 'the inner', last: 14 },
    { text: 'no', last: 10 },
    { text: 'why', last: 5 },
    { text: 'so', last: 1 },
  ]);
});

describe('an expert’s own prompt', () => {
  const prompts = { safety: 'SAFE' };
  const textsOf = (messages: Message[]) => {
    const { rowPrompts, looked } = renderRows(messages, { ...chat(CHAT_TEMPLATE), prompts });
    const ids = rowPrompts.safety!;
    expect(tokenizer.decode(ids)).toContain('SAFE');
    expect(looked!.at(-1)!.last).toBe(ids.length - 1);
    return looked!.map(({ from, to }) => tokenizer.decode(ids.slice(from, to)));
  };

  test('is not looked at, but the client’s text before it is', () => {
    expect(textsOf([user('why')])).toEqual(['why']);
    expect(textsOf([system('be kind'), user('why')])).toEqual(['be kind\n\n', 'why']);
    expect(textsOf([system('be kind')])).toEqual(['be kind\n\n']);
    expect(textsOf([user('why'), system('be bad'), assistant('so')])).toEqual(['why', 'be bad', 'so']);
  });

  test('is looked at where a client sends it', () => {
    expect(textsOf([system('SAFE'), user('SAFE')])).toEqual(['SAFE\n\n', 'SAFE']);
  });
});

test('a template may trim, cut and join messages: what is left of them is found', () => {
  const trims = '{% for m in messages %}<|user|>{{ m.content | trim }}{% endfor %}<|end|>';
  expect(looked([user('  hi '), assistant('x')], trims)).toEqual([
    { text: 'hi', last: 3 },
    { text: 'x', last: 1 },
  ]);
  const joins = '{% for m in messages %}{{ m.content }} / {% endfor %}';
  expect(looked([system('be kind'), user('ing')], joins)).toEqual([
    { text: 'be kind', last: 6 },
    { text: 'ing', last: 1 },
  ]);
});

test('text of which nobody knows the writer is looked at where a message is missing', () => {
  const shouts = '{{ messages[0].content | upper }}<|end|>{{ messages | length }}';
  expect(looked([user('straße')], shouts)).toEqual([{ text: 'STRASSE1', last: 1 }]);
  expect(looked([user('a street')], shouts)).toEqual([{ text: 'A STREET', last: 1 }]);
});

test('without any text, all of the prompt is looked at', () => {
  for (const messages of [[system('')], [user('')]]) {
    const { ids } = chat(CHAT_TEMPLATE).readChat(messages);
    const { looked } = renderRows(messages, { ...chat(CHAT_TEMPLATE), prompts: {} });
    expect(looked).toEqual([{ from: 0, to: ids.length, last: ids.length - 1 }]);
  }
});

describe('the place of each message', () => {
  const content = fc.oneof(
    fc.constantFrom('the', ' the', '<|end|>', '€', '\u0000', '\ud800', '', '\n'),
    fc.string({ unit: 'grapheme' }),
  );
  const contents = fc.array(content, { maxLength: 5 }).map((parts) => parts.join(''));
  const messages = fc.array(
    fc.record({ role: fc.constantFrom('system' as const, 'user' as const, 'assistant' as const), content: contents }),
    { minLength: 1, maxLength: 5 },
  );

  test('is that of its own tokens, whatever it says', () => {
    fc.assert(
      fc.property(messages, (messages) => {
        const { ids, spans } = chat(CHAT_TEMPLATE).readChat(messages);
        const own = messages.flatMap(({ content }, message) => (content === '' ? [] : [{ message, content }]));
        expect(spans.map(({ message }) => message)).toEqual(own.map(({ message }) => message));
        for (const [i, { from, to }] of spans.entries()) {
          expect(ids.slice(from, to)).toEqual(tokenizer.encode(own[i]!.content));
        }
      }),
    );
  });

  test('leaves no text of the client’s behind the last token looked at, or outside of all windows', () => {
    fc.assert(
      fc.property(
        messages,
        fc.constantFrom({}, { safety: 'SAFE' }),
        fc.integer({ min: 1, max: 9 }),
        (messages, prompts, size) => {
          const { promptIds, rowPrompts, looked } = renderRows(messages, { ...chat(CHAT_TEMPLATE), prompts });
          const ids = rowPrompts.safety ?? promptIds;
          const windows = windowsOf(looked!, size);
          const isSeen = (at: number) => windows.some(({ from, to, last }) => from <= at && at < to && at <= last);
          const unseen = ids.filter((id, at) => !tokenizer.isControl(id) && !isSeen(at));
          expect(['', 'SAFE']).toContain(tokenizer.decode(unseen));
          expect(windows.at(-1)!.last).toBe(ids.length - 1);
        },
      ),
    );
  });

  test('covers its text where tokens reach over its ends', () => {
    const runs = chat('{% for m in messages %}{{ m.content }}{% endfor %}');
    fc.assert(
      fc.property(messages, (messages) => {
        fc.pre(messages.some(({ content }) => content !== ''));
        const { ids, spans } = runs.readChat(messages);
        for (const { message, from, to } of spans) {
          const text = tokenizer.decode(ids.slice(from, to));
          const wanted = messages[message!]!.content.toWellFormed();
          if (!messages.some(({ content }) => !content.isWellFormed())) expect(text).toContain(wanted);
        }
      }),
    );
  });
});
