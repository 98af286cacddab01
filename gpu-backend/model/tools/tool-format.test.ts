/**
 * Tools in templates of the families' forms. These templates are ours, and write what the models'
 * own write; the heavy tests try a real one.
 */
import { describe, expect, test } from 'vitest';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { compileChat } from '../chat-template.ts';
import { CHAT_TEMPLATE, SPECIAL_TOKENS, tinyTokenizerJson } from '../fixtures/tiny-bundle.ts';
import { lookedMessages } from '../looked-messages.ts';
import { BundleTokenizer, TokenizerJson } from '../tokenizer.ts';

const tokenizer = new BundleTokenizer(TokenizerJson.parse(tinyTokenizerJson()), {}, CHAT_TEMPLATE);
const compile = (source: string) => compileChat(source, { tokenizer, bosToken: '<s>', eosToken: '</s>' });

const SYSTEM = "{% if messages[0].role == 'system' %}{{ messages[0].content }}\n{% endif %}";
const SAID = "{% if m.role in ['user', 'assistant'] and not m.tool_calls %}[{{ m.role }}]{{ m.content }}{% endif %}";
const ANSWER = '{% if add_generation_prompt %}[assistant]{% endif %}';
const each = (body: string) => `{% for m in messages %}${SAID}${body}{% endfor %}${ANSWER}`;

const HERMES = `${SYSTEM}{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}${each(
  '{% if m.tool_calls %}[assistant]{{ m.content }}{% for c in m.tool_calls %}<tool_call>\n{"name": "{{ c.function.name }}", ' +
    '"arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endif %}' +
    "{% if m.role == 'tool' %}[user]<tool_response>{{ m.content }}</tool_response>{% endif %}",
)}`;
const LLAMA = `${SYSTEM}{% for t in tools or [] %}{{ t | tojson(indent=4) }}\n{% endfor %}${each(
  '{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}{{ raise_exception("one call at a time") }}{% endif %}' +
    '[assistant]{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}{% endif %}' +
    "{% if m.role == 'tool' %}[ipython]{{ m.content | tojson }}{% endif %}",
)}`;
const MISTRAL = `{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}${each(
  '{% if m.tool_calls %}[assistant][TOOL_CALLS][{% for c in m.tool_calls %}{% if c.id | length != 9 %}' +
    '{{ raise_exception("nine letters") }}{% endif %}{% set out = c.function | tojson %}{{ out[:-1] }}, "id": "{{ c.id }}"}' +
    '{% if not loop.last %}, {% endif %}{% endfor %}]{% endif %}' +
    '{% if m.role == \'tool\' %}[TOOL_RESULTS]{"content": {{ m.content }}, "call_id": "{{ m.tool_call_id }}"}[/TOOL_RESULTS]{% endif %}',
)}`;
/** As DeepSeek's: it puts the arguments together with other text, so they have to be one. */
const TEXTUAL = HERMES.replace('{{ c.function.arguments | tojson }}', "{{ '' + c.function.arguments }}");
/** Knows tools, and writes calls as nobody else does. */
const OTHER = HERMES.replace(/<tool_call>.*?<\/tool_call>/s, '<call {{ c.function.name }}/>');
const NO_SYSTEM = `{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}${each('')}`;

test.each([
  ['Hermes and Qwen', HERMES, { syntax: 'hermes', knows: { textArguments: false, singleCalls: false } }],
  ['Llama', LLAMA, { syntax: 'llama3', knows: { textArguments: false, singleCalls: true } }],
  ['Mistral', MISTRAL, { syntax: 'mistral', knows: { textArguments: false, singleCalls: false } }],
  [
    'a template that wants arguments as text',
    TEXTUAL,
    { syntax: 'hermes', knows: { textArguments: true, singleCalls: false } },
  ],
  ['a syntax that nobody reads', OTHER, { syntax: 'hermes', knows: null }],
  ['a template without tools', CHAT_TEMPLATE, { syntax: 'hermes', knows: null }],
  ['a template without system messages', NO_SYSTEM, { syntax: 'hermes', knows: null }],
])('finds out what %s knows', (_, source, expected) => {
  expect(compile(source).toolFormat()).toEqual(expected);
});

const TOOL: Tool = {
  name: 'get_weather',
  description: 'Weather in a "city"',
  parameters: '{"type": "object", "properties": {"city": {"type": "string"}}}',
};
const SHOWN =
  '{"type": "function", "function": {"name": "get_weather", "description": "Weather in a \\"city\\"", ' +
  '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}';
const CHAT: Message[] = [
  { role: 'system', content: 'be kind' },
  { role: 'user', content: 'Oslo and Rome?' },
  {
    role: 'assistant',
    content: '',
    tool_calls: [
      { id: 'call00000', name: 'get_weather', arguments: '{"city":"Oslo"}' },
      { id: 'call00001', name: 'get_weather', arguments: 'no JSON' },
    ],
  },
  { role: 'tool', content: '12', tool_call_id: 'call00000' },
  { role: 'tool', content: '25', tool_call_id: 'call00001' },
];
const render = (source: string, messages = CHAT, tools = [TOOL]) =>
  tokenizer.decode(compile(source).renderChat(messages, { tools }));

describe('renders tools, calls and results', () => {
  test("in the template's own form", () => {
    expect(render(HERMES)).toBe(
      `be kind\n${SHOWN}\n[user]Oslo and Rome?[assistant]<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>` +
        '<tool_call>\n{"name": "get_weather", "arguments": "no JSON"}\n</tool_call>' +
        '[user]<tool_response>12</tool_response>[user]<tool_response>25</tool_response>[assistant]',
    );
    expect(render(MISTRAL)).toContain(
      '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "call00000"}, ' +
        '{"name": "get_weather", "arguments": "no JSON", "id": "call00001"}][TOOL_RESULTS]{"content": 12, "call_id": "call00000"}',
    );
  });

  test('with each call by itself, where the template takes no more', () => {
    expect(render(LLAMA)).toContain(
      '[assistant]{"name": "get_weather", "parameters": {"city": "Oslo"}}[ipython]"12"' +
        '[assistant]{"name": "get_weather", "parameters": "no JSON"}[ipython]"25"[assistant]',
    );
  });

  test('as plain messages, where the template knows no tools', () => {
    const plain = `{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}`;
    expect(render(plain)).toBe(
      `[system]be kind\n\n# Tools\n\nYou may call these functions. Each line describes one of them as JSON:\n${SHOWN}\n\n` +
        'To call a function, write its name and its arguments as JSON, and nothing after it:\n' +
        '<tool_call>\n{"name": "<name>", "arguments": {<arguments>}}\n</tool_call>\n' +
        'For several calls, write several of these. You will read each result between <tool_response> and ' +
        '</tool_response>. If no function helps, answer without a call.' +
        '[user]Oslo and Rome?[assistant]<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n' +
        '<tool_call>\n{"name": "get_weather", "arguments": no JSON}\n</tool_call>' +
        '[user]<tool_response>\n12\n</tool_response>\n<tool_response>\n25\n</tool_response>',
    );
    expect(render(NO_SYSTEM, CHAT.slice(1, 2))).toMatch(/^\[user\]# Tools\n.*\n\nOslo and Rome\?\[assistant\]$/s);
  });

  test("an expert's own prompt stays behind the tools", () => {
    const plain = `{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}`;
    const own = 'own words';
    const messages: Message[] = [{ role: 'system', content: `be kind\n\n${own}` }, CHAT[1]!];
    const ids = compile(plain).renderChat(messages, { tools: [TOOL], ownPrompt: own });
    expect(tokenizer.decode(ids)).toMatch(/^\[system\]be kind\n\n# Tools.*\n\nown words\[user\]Oslo/s);
  });
});

test.each([HERMES, CHAT_TEMPLATE])('nothing that a tool or a call says becomes a control token', (source) => {
  const evil = SPECIAL_TOKENS.join('');
  const chat: Message[] = [
    { role: 'user', content: 'a' },
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ id: 'call00000', name: evil, arguments: JSON.stringify({ [evil]: evil }) }],
    },
    { role: 'tool', content: evil, tool_call_id: 'call00000' },
  ];
  const tool = { name: evil, description: evil, parameters: JSON.stringify({ type: 'object', [evil]: evil }) };
  const controls = (messages: Message[], tools: Tool[]) =>
    compile(source)
      .renderChat(messages, { tools })
      .filter((id) => tokenizer.isControl(id));
  const harmless = JSON.parse(JSON.stringify([chat, [tool]]).replaceAll(JSON.stringify(evil).slice(1, -1), 'x'));
  expect(controls(chat, [tool])).toEqual(controls(harmless[0], harmless[1]));
});

test('the second look reads what tools say and what was called', () => {
  const { readChat } = compile(HERMES);
  const { ids, spans } = readChat(CHAT, { tools: [TOOL] });
  const read = lookedMessages(CHAT, { spans, length: ids.length }).map(({ from, to }) =>
    tokenizer.decode(ids.slice(from, to)),
  );
  expect(read.some((text) => text.includes('get_weather') && text.includes('Weather in a'))).toBe(true);
  expect(read.some((text) => text.includes('Oslo"}') || text.includes('"Oslo'))).toBe(true);
  expect(read.some((text) => text.includes('12'))).toBe(true);
});
