import { expect, test, vi } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { compileChatTemplate, type RenderChat } from './chat-template.ts';
import { CHAT_TEMPLATE, tinyTokenizerJson } from './fixtures/tiny-bundle.ts';
import { renderRows } from './render-rows.ts';
import { BundleTokenizer, TokenizerJson } from './tokenizer.ts';

const tokenizer = new BundleTokenizer(TokenizerJson.parse(tinyTokenizerJson()), {}, CHAT_TEMPLATE);
const compile = (template: string) =>
  compileChatTemplate(template, { tokenizer, bosToken: '<|bos|>', eosToken: '<|end|>' });
const messages: Message[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
];

test('renders the client’s messages alone, and once more for each expert with a prompt', () => {
  const renderChat = vi.fn<RenderChat>(compile(CHAT_TEMPLATE));
  const { promptIds, rowPrompts } = renderRows(messages, { renderChat, prompts: { safety: 'Be careful.' } });
  expect(tokenizer.decode(promptIds)).toBe('Be brief.Hi');
  expect(Object.keys(rowPrompts)).toEqual(['safety']);
  expect(tokenizer.decode(rowPrompts.safety!)).toBe('Be brief.\n\nBe careful.Hi');
  expect(renderChat).toHaveBeenCalledTimes(2);
  expect(renderRows(messages, { renderChat, prompts: {} })).toEqual({ promptIds, rowPrompts: {} });
});

test('renders no row of a request that is too long anyway', () => {
  const renderChat = vi.fn<RenderChat>(() => [1, 2, 3]);
  const prompts = { safety: 'a', helpfulness: 'b' };
  expect(renderRows(messages, { renderChat, prompts, atMost: 3 }).rowPrompts).toEqual({});
  expect(renderChat).toHaveBeenCalledTimes(1);
  expect(renderRows(messages, { renderChat, prompts, atMost: 4 }).rowPrompts).toEqual({
    safety: [1, 2, 3],
    helpfulness: [1, 2, 3],
  });
});

test('a conversation is refused in which the template leaves the prompt of an expert out', () => {
  // As in templates that put the system message into the last message, if that is the user's.
  const forgetful = compile(
    "{% for m in messages %}{% if m.role != 'system' %}{% if loop.last and m.role == 'user' %}{{ messages[0].content }}" +
      '{% endif %}{{ m.content }}{% endif %}{% endfor %}',
  );
  const render = (more: Message[]) =>
    renderRows([...messages, ...more], { renderChat: forgetful, prompts: { safety: 'Be careful.' } });
  expect(tokenizer.decode(render([]).rowPrompts.safety!)).toBe('Be brief.\n\nBe careful.Hi');
  const prefill: Message = { role: 'assistant', content: 'Sure' };
  expect(() => render([prefill])).toThrow(
    'The chat template refuses these messages together with a system prompt of the model.',
  );
});

test('an error does not show an expert’s text, whatever the template says of it', () => {
  const nosy = compile(
    "{% if 'SECRET' in messages[0].content %}{{ raise_exception('odd: ' + messages[0].content) }}{% endif %}x",
  );
  const render = () => renderRows(messages, { renderChat: nosy, prompts: { helpfulness: 'SECRET' } });
  expect(render).toThrow(
    expect.objectContaining({
      code: 'invalid_request',
      message: 'The chat template refuses these messages together with a system prompt of the model.',
    }),
  );
});
