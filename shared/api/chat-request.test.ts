import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import { ChatRequest, ignoredInChat, parseChatRequest } from './chat-request.ts';
import { parseCompletionRequest } from './completion-request.ts';
import { ERROR_CODES, PlimsollError } from './errors.ts';
import { parseExactly } from './parse-exactly.ts';

/** Requests that are nearly right: each known field may hold any JSON value. */
const message = fc.record(
  {
    role: fc.oneof(fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool'), fc.jsonValue()),
    content: fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.record({ type: fc.constantFrom('text', 'image_url'), text: fc.jsonValue() }, { requiredKeys: [] })),
      fc.jsonValue(),
    ),
  },
  { requiredKeys: [] },
);
const field = fc.constantFrom(
  ...[...Object.keys(ChatRequest.shape), 'n', 'tools', 'logprobs', 'response_format', 'audio', '__proto__', 'unknown'],
);
const nearlyRight = fc
  .tuple(fc.array(message), fc.dictionary(field, fc.oneof(fc.jsonValue(), fc.integer(), fc.boolean())))
  .map(([messages, fields]) => JSON.parse(JSON.stringify({ model: 'm', messages, ...fields })) as unknown);

test('either parses any JSON as a request or throws a 400 error with a message', () => {
  fc.assert(
    fc.property(fc.oneof(nearlyRight, fc.jsonValue()), (body) => {
      try {
        const chat = parseChatRequest(body);
        expect(chat.messages.every(({ content }) => content.isWellFormed())).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(PlimsollError);
        const { code, message, param } = error as PlimsollError;
        expect(ERROR_CODES[code].status).toBe(400);
        expect(message).toMatch(/^.{10,300}$/s);
        expect(param === null || message.includes(param)).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

test('accepts any 64-bit seed unchanged, and refuses a larger one', () => {
  const seedOf = (seed: unknown) =>
    parseChatRequest({ model: 'm', messages: [{ role: 'user', content: '?' }], seed }).seed;
  expect(seedOf(-7)).toBe(-7);
  expect(seedOf(2n ** 63n - 1n)).toBe('9223372036854775807');
  expect(seedOf(-(2n ** 63n))).toBe('-9223372036854775808');
  expect(() => seedOf(2n ** 63n)).toThrow(/'seed': expected .*at most 9223372036854775807, found 9223372036854775808/);
  expect(() => seedOf('9223372036854775807')).toThrow(/'seed'/);
});

test.each(['modalities', 'verbosity', 'suffix', 'stop_token_ids'])('a seed inside of %s is a plain number', (field) => {
  const text = (prompt: string) =>
    `{"model":"m",${prompt},"seed":9223372036854775807,"${field}":{"seed":1234567890123456789}}`;
  const refused = expect.objectContaining({ code: expect.stringMatching(/^unsupported_/), param: field });
  const chat = parseExactly(text('"messages":[{"role":"user","content":"?"}]'));
  expect(chat).toMatchObject({ seed: 9223372036854775807n, [field]: { seed: Number('1234567890123456789') } });
  expect(() => parseChatRequest(chat)).toThrow(refused);
  if (field !== 'modalities' && field !== 'verbosity') {
    expect(() => parseCompletionRequest(parseExactly(text('"prompt":"?"')))).toThrow(refused);
  }
});

test.each([
  [{ content: 'One.', refusal: 'Not two.' }, 'One.\nNot two.'],
  [{ content: '', refusal: 'Not two.' }, 'Not two.'],
  [{ content: 'One.', refusal: '' }, 'One.'],
  [{ content: null, refusal: 'Not two.' }, 'Not two.'],
  [{ content: [{ type: 'text', text: 'One.' }], refusal: 'Not two.' }, 'One.\nNot two.'],
  [{ content: '', refusal: '' }, ''],
])('an assistant has said both its content and its refusal: %j', (said, content) => {
  const { messages } = parseChatRequest({ model: 'm', messages: [{ role: 'assistant', ...said }] });
  expect(messages).toEqual([{ role: 'assistant', content }]);
});

test('refuses a token id that is allowed twice', () => {
  const asked = (allowed_token_ids: number[]) =>
    parseChatRequest({ model: 'm', messages: [{ role: 'user', content: '?' }], allowed_token_ids });
  expect(asked([5, 6]).allowed_token_ids).toEqual([5, 6]);
  expect(() => asked([5, 6, 5])).toThrow(/'allowed_token_ids': expected each token id once/);
});

test('takes every parameter of generation that a chat has', () => {
  // `grammar` is what becomes of `response_format`.
  const elsewhere = ['expert_logprobs', 'messages', 'prompt', 'echo', 'grammar'];
  const parameters = Object.keys(GenerateRequest.shape).filter((name) => !elsewhere.includes(name));
  expect(parameters.filter((name) => !(name in ChatRequest.shape))).toEqual([]);
  const chat = { model: 'm', messages: [{ role: 'user', content: '?' }] };
  expect(() => parseChatRequest({ ...chat, echo: true })).toThrow(/'echo' is not supported/);
});

test('names what it ignores, and only that', () => {
  const body = {
    model: 'm',
    messages: [
      { role: 'user', content: '?', name: 'Ann' },
      { role: 'assistant', content: '!', annotations: [], refusal: null, tool_calls: null, function_call: null },
      { role: 'user', content: '?', name: 'Bob' },
    ],
    ...{ user: 'u', metadata: {}, store: false, service_tier: 'flex', seed: 1, prompt_cache_key: 'k', tools: [] },
    ...{ stream: true, stream_options: { include_obfuscation: true }, safety_identifier: null, unheard_of: null },
  };
  expect(ignoredInChat(body)).toEqual([
    'user',
    'service_tier',
    'prompt_cache_key',
    'messages[].name',
    'stream_options.include_obfuscation',
  ]);
  expect(parseChatRequest(body).messages[0]).toEqual({ role: 'user', content: '?' });
});

describe('fields inside of fields', () => {
  const tool = (more: object = {}, inside: object = {}) => ({
    ...{ type: 'function', function: { name: 'f', parameters: { foo: 1 }, ...inside }, ...more },
  });
  const chat = (more: object, message: object = { role: 'user', content: '?' }) => ({
    ...{ model: 'm', messages: [message], ...more },
  });
  const named = (more: object, inside: object = {}) => ({
    type: 'function',
    function: { name: 'f', ...inside },
    ...more,
  });
  const choice = (tool_choice: object) => chat({ tools: [tool()], tool_choice });

  test.each<[string, object]>([
    ['tools[0].function.paramaters', chat({ tools: [tool({}, { paramaters: {} })] })],
    ['tools[1].strict', chat({ tools: [tool(), tool({ strict: true })] })],
    ['tool_choice.name', choice(named({ name: 'f' }))],
    ['tool_choice.function.foo', choice(named({}, { foo: 1 }))],
    ['tool_choice.mode', choice({ type: 'allowed_tools', mode: 'auto', allowed_tools: { mode: 'auto', tools: [] } })],
    [
      'tool_choice.allowed_tools.tools[0].function.foo',
      choice({ type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [named({}, { foo: 1 })] } }),
    ],
    ['messages[0].content[0].a b', chat({}, { role: 'user', content: [{ type: 'text', text: 'a', 'a b': 1 }] })],
  ])('%s is unknown', (param, body) => {
    expect(() => parseChatRequest(body)).toThrow(expect.objectContaining({ code: 'unknown_parameter', param }));
  });

  test('what asks for nothing, and what an answer came with, is no matter', () => {
    const calls = [
      { index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: '{}', parsed_arguments: {} } },
    ];
    const body = {
      ...{ model: 'm', tools: [tool({ cache_control: null, defer_loading: false })] },
      messages: [
        { role: 'assistant', content: null, tool_calls: calls },
        { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'x' }] },
      ],
    };
    expect(ignoredInChat(body)).toEqual([]);
    expect(parseChatRequest(body).messages).toHaveLength(2);
  });

  test('what clients of other servers add is ignored, and named once', () => {
    const part = { type: 'text', text: 'x', cache_control: { type: 'ephemeral' } };
    const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, extra_content: { a: 1 } }];
    const body = {
      ...{ model: 'm', tools: [tool({ cache_control: { type: 'ephemeral' } })] },
      messages: [
        { role: 'user', content: [part, part] },
        { role: 'user', content: [part] },
        { role: 'assistant', content: null, tool_calls: calls },
        { role: 'tool', tool_call_id: 'c', content: 'x' },
      ],
    };
    expect(ignoredInChat(body)).toEqual([
      'tools[].cache_control',
      'messages[].content[].cache_control',
      'messages[].tool_calls[].extra_content',
    ]);
    expect(parseChatRequest(body).messages).toHaveLength(4);
  });

  test('so many may be added, and each counts once', () => {
    const part = (length: number) => ({
      ...{ type: 'text', text: 'x' },
      ...Object.fromEntries(Array.from({ length }, (_, i) => [`a${i}`, i])),
    });
    const most = ignoredInChat(chat({}, { role: 'user', content: [part(32), part(32)] }));
    expect(most).toHaveLength(32);
    const more = chat({}, { role: 'user', content: [part(32), part(33)] });
    expect(() => parseChatRequest(more)).toThrow(
      expect.objectContaining({ code: 'unknown_parameter', param: 'messages[0].content[1].a32' }),
    );
  });

  test('a field that another kind of part has is named', () => {
    const parts = [
      { type: 'text', text: 'a', refusal: 'b' },
      { type: 'refusal', refusal: 'c', text: 'd', annotations: [1] },
    ];
    expect(ignoredInChat(chat({}, { role: 'assistant', content: parts }))).toEqual([
      'messages[].content[].refusal',
      'messages[].content[].text',
      'messages[].content[].annotations',
    ]);
  });

  test.each<[string, (nulls: object) => object]>([
    ['a request', (nulls) => chat(nulls)],
    ['a message', (nulls) => chat({}, { role: 'user', content: '?', ...nulls })],
    ['a part', (nulls) => chat({}, { role: 'user', content: [{ type: 'text', text: '?', ...nulls }] })],
    ['a call', (nulls) => chat({}, { role: 'assistant', content: '!', tool_calls: [{ function: nulls, ...nulls }] })],
    ['a tool', (nulls) => chat({ tools: [tool(nulls, nulls)] })],
    ['a choice', (nulls) => choice(named(nulls, nulls))],
  ])('each null in %s costs the same, however many there are', (_, bodyOf) => {
    const searched = (length: number) => {
      const body = bodyOf(Object.fromEntries(Array.from({ length }, (_, i) => [`null${i}`, null])));
      return namesSearched(() => ignoredInChat(body));
    };
    const [none, some] = [searched(0), searched(100)];
    expect(searched(1000) - none).toBeLessThanOrEqual(10 * (some - none));
  });
});

/** The lengths of the lists that `run` looks through for one value, together. */
function namesSearched(run: () => void): number {
  const { includes } = Array.prototype;
  let names = 0;
  const spy = vi.spyOn(Array.prototype, 'includes').mockImplementation(function (this: unknown[], value, from) {
    names += this.length;
    return includes.call(this, value, from);
  });
  try {
    run();
  } finally {
    spy.mockRestore();
  }
  return names;
}
