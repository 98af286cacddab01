/** Text of answers in every syntax, whole and in pieces. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ToolCallParser, type ToolEvent } from './parse-tool-calls.ts';
import { ToolSyntax } from './tool-syntax.ts';

const NAMES = ['get_weather', 'f'];

type Read = { content: string; calls: { name: string; arguments: string }[] };

function read(syntax: ToolSyntax, pieces: readonly string[], alone = false): Read {
  const parser = new ToolCallParser(syntax, { names: NAMES, alone });
  const out: Read = { content: '', calls: [] };
  const take = (events: ToolEvent[]) => {
    for (const event of events) {
      if (event.type === 'content') out.content += event.text;
      else if (event.type === 'call') {
        expect(event.index).toBe(out.calls.length);
        out.calls.push({ name: event.name, arguments: '' });
      } else {
        expect(event.index).toBe(out.calls.length - 1);
        out.calls[event.index]!.arguments += event.text;
      }
    }
  };
  for (const piece of pieces) take(parser.push(piece));
  take(parser.end());
  expect(parser.calls).toBe(out.calls.length);
  return out;
}

const call = (name: string, text: string) => ({ name, arguments: text });

describe('reads calls', () => {
  test.each<[ToolSyntax, string, string, Read['calls']]>([
    ['hermes', 'Hello.', 'Hello.', []],
    ['hermes', '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', '', [call('f', '{"a": 1}')]],
    [
      'hermes',
      'Let me see.\n\n<tool_call>{"name":"f","arguments":{"a":"}\\"</tool_call>"}}</tool_call>\n<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>\n',
      'Let me see.',
      [call('f', '{"a":"}\\"</tool_call>"}'), call('g', '{}')],
    ],
    ['hermes', '<tool_call>{"arguments": {"a": [1, {}]}, "name": "f"}</tool_call>', '', [call('f', '{"a": [1, {}]}')]],
    ['hermes', '<tool_call>{"id": 7, "name": "f", "x": [{"name": 1}]}</tool_call>', '', [call('f', '{}')]],
    ['hermes', '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', '', [call('f', '{"a": 1}')]],
    ['hermes', '<tool_call>{"name": "f", "arguments": null}</tool_call>', '', [call('f', '{}')]],
    ['hermes', '<tool_call>{"name": "f"}</tool_call> Done.', 'Done.', [call('f', '{}')]],
    ['hermes', '<tool_call>{"name": "f"}<tool_call>{"name": "g"}', '', [call('f', '{}'), call('g', '{}')]],
    ['llama3', '{"name": "f", "parameters": {"a": 1}}', '', [call('f', '{"a": 1}')]],
    ['llama3', '<|python_tag|>{"name": "g", "parameters": {}}', '', [call('g', '{}')]],
    ['llama3', '{"type": "function", "name": "f", "parameters": {"a": 1}}', '', [call('f', '{"a": 1}')]],
    [
      'llama3',
      '{"name": "f", "parameters": {}}; {"name": "get_weather", "parameters": {"b": 2}}',
      '',
      [call('f', '{}'), call('get_weather', '{"b": 2}')],
    ],
    ['llama3', 'Sure. {"name": "f", "parameters": {}}', 'Sure. {"name": "f", "parameters": {}}', []],
    ['llama3', 'Sure. <|python_tag|>{"name": "f", "parameters": {}}', 'Sure.', [call('f', '{}')]],
    ['mistral', '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}]', '', [call('f', '{"a": 1}')]],
    [
      'mistral',
      '[TOOL_CALLS][{"name": "f", "arguments": {}, "id": "abcdefghi"}, {"name": "g", "arguments": {"b": "]"}}]',
      '',
      [call('f', '{}'), call('g', '{"b": "]"}')],
    ],
    ['mistral', '[TOOL_CALLS]f[CALL_ID]aB3[ARGS]{"a": 1}', '', [call('f', '{"a": 1}')]],
    ['mistral', '[TOOL_CALLS]{"name": "f", "arguments": {}}', '', [call('f', '{}')]],
    [
      'mistral',
      'Yes.[TOOL_CALLS]f[ARGS]{"a": {"b": "}"}}[TOOL_CALLS]g{"c": 1}',
      'Yes.',
      [call('f', '{"a": {"b": "}"}}'), call('g', '{"c": 1}')],
    ],
  ])('%s: %s', (syntax, text, content, calls) => {
    expect(read(syntax, [text])).toEqual({ content, calls });
  });
});

describe('takes what is no call for content, character for character', () => {
  test.each<[ToolSyntax, string]>([
    ['hermes', ' \n'],
    ['hermes', 'a < b, <tool>, <tool_cal'],
    ['hermes', '<tool_call>'],
    ['hermes', 'See <tool_call> and </tool_call>.'],
    ['hermes', '<tool_call>{"nam'],
    ['hermes', '<tool_call>{"name": "f", "arguments"'],
    ['hermes', '<tool_call>{"name": 7, "arguments": {}}</tool_call>'],
    ['hermes', '<tool_call>{"arguments": {"a": 1}}</tool_call>'],
    ['hermes', '<tool_call>[{"name": "f"}]</tool_call>'],
    ['hermes', '<tool_call>{"name": "f", "arguments": [1]}</tool_call>'],
    ['llama3', '{"name": "Bob", "parameters": {"age": 7}}'],
    ['llama3', '{"a": {"name": "f"}}'],
    ['llama3', '<|python_tag|>print(1)'],
    ['mistral', '[TOOL_CALLS] []'],
    ['mistral', '[TOOL_CALLS] I call f'],
    ['mistral', '[TOOL_CALLS]f[ARG]{}'],
    ['mistral', '[TOOL_CALLS]f[CALL_ID][ARGS]{}'],
    ['mistral', '[1] [TOOL] [TOOL_CALLS'],
  ])('%s: %s', (syntax, text) => {
    expect(read(syntax, [text])).toEqual({ content: text, calls: [] });
  });

  test('a call after one in vain is a call', () => {
    expect(read('hermes', ['<tool_call><tool_call>{"x" <tool_call>{"name": "f"}</tool_call></tool_call>'])).toEqual({
      content: '<tool_call><tool_call>{"x"</tool_call>',
      calls: [call('f', '{}')],
    });
  });
});

describe('where calls stand alone, an answer that does not begin with a mark has none', () => {
  const readAlone = (syntax: ToolSyntax, text: string) =>
    [[text], text.split('')].map((pieces) => read(syntax, pieces, true));
  test.each<[ToolSyntax, string]>([
    ['hermes', '{"a": "<tool_call>{\\"name\\": \\"f\\"}</tool_call>", "b": " <tool_call>{"}'],
    ['hermes', '"<tool_call>{"name": "f"}'],
    ['llama3', '{"name": "f", "parameters": {}}'],
    ['llama3', '{"a": "<|python_tag|>{"name": "f", "parameters": {}}'],
    ['mistral', '["[TOOL_CALLS][", "f[ARGS]{}"]'],
    ['mistral', '[[TOOL_CALLS]f{}'],
  ])('%s: %s', (syntax, text) => {
    for (const found of readAlone(syntax, text)) expect(found).toEqual({ content: text, calls: [] });
  });
  test.each<[ToolSyntax, string]>([
    ['hermes', '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'],
    ['llama3', '<|python_tag|>{"name": "f", "parameters": {"a": 1}}'],
    ['mistral', '[TOOL_CALLS]f[ARGS]{"a": 1}'],
  ])('%s: %s is one', (syntax, text) => {
    for (const found of readAlone(syntax, text)) expect(found).toEqual({ content: '', calls: [call('f', '{"a": 1}')] });
  });
});

describe('an answer that is cut off', () => {
  test.each<[ToolSyntax, string, Read]>([
    ['hermes', '<tool_call>{"name": "f", "arguments": {"a": "x', { content: '', calls: [call('f', '{"a": "x')] }],
    ['hermes', '<tool_call>{"name": "f", "arguments": {}}\n</tool_', { content: '', calls: [call('f', '{}')] }],
    ['mistral', '[TOOL_CALLS] [{"name": "f", "arguments": {}},', { content: ',', calls: [call('f', '{}')] }],
  ])('%s: %s', (syntax, text, expected) => {
    expect(read(syntax, [text])).toEqual(expected);
  });

  test.each<[string, boolean]>([
    ['<tool_call>{"name": "f", "arguments": {"a": [1]', true],
    ['<tool_call>{"name": "f", "arguments": {"a": [1]}', false],
    // Another key behind whole arguments takes nothing from them.
    ['<tool_call>{"name": "f", "arguments": {"a": [1]}, "id": "x', false],
    ['<tool_call>{"name": "f", "parameters": "{}", "id": {"arguments": [', false],
    ['[TOOL_CALLS]f[ARGS]{"a": 1', true],
  ])('cuts the arguments of its last call: %s %s', (text, isCut) => {
    const parser = new ToolCallParser(text.startsWith('[') ? 'mistral' : 'hermes', { names: NAMES });
    for (const character of text) parser.push(character);
    parser.end();
    expect(parser.isCut).toBe(isCut);
  });
});

const json = fc.jsonValue({ maxDepth: 3 });
const args = fc.dictionary(fc.string(), json, { maxKeys: 3 });
const goodCall = fc.record({ name: fc.constantFrom(...NAMES), arguments: args });
/** What a model might write, near to calls. */
const scrap = fc.oneof(
  fc.constantFrom(
    '<tool_call>',
    '</tool_call>',
    '[TOOL_CALLS]',
    '[ARGS]',
    '[CALL_ID]',
    '<|python_tag|>',
    '{',
    '}',
    '[',
    ']',
    ';',
  ),
  fc.constantFrom('"name"', '"arguments"', '"parameters"', ':', ',', ' ', '\n', '"', '\\', '"f"', 'null', '<', 'f'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  goodCall.map((one) => JSON.stringify(one)),
  goodCall.map((one) => `<tool_call>\n${JSON.stringify(one)}\n</tool_call>`),
  goodCall.map((one) => JSON.stringify({ name: one.name, parameters: one.arguments }, null, 1)),
  fc.array(goodCall, { maxLength: 3 }).map((some) => `[TOOL_CALLS] ${JSON.stringify(some)}`),
);
const scraps = fc.array(scrap, { maxLength: 12 }).map((pieces) => pieces.join(''));

function cut(text: string, places: readonly number[]): string[] {
  const sorted = places.map((place) => place % (text.length + 1)).sort((a, b) => a - b);
  return [...sorted, text.length].map((place, i) => text.slice(sorted[i - 1] ?? 0, place));
}

describe.each(ToolSyntax.options)('%s', (syntax) => {
  test('any cut into pieces reads the same', () => {
    fc.assert(
      fc.property(scraps, fc.array(fc.nat(), { maxLength: 20 }), (text, places) => {
        const whole = read(syntax, [text]);
        expect(read(syntax, cut(text, places))).toEqual(whole);
        expect(read(syntax, text.split(''))).toEqual(whole);
      }),
      { numRuns: 400 },
    );
  });

  test('loses and doubles no character: everything is in the text, once and in order', () => {
    fc.assert(
      fc.property(scraps, (text) => {
        const parser = new ToolCallParser(syntax, { names: NAMES });
        const events = [...parser.push(text), ...parser.end()];
        let rest = text;
        for (const event of events) {
          if (event.type === 'call') continue;
          // Arguments that were left out, or written as a string, are not there as they are told.
          const at = rest.indexOf(event.text);
          if (event.type === 'arguments' && at === -1) continue;
          expect(at).toBeGreaterThanOrEqual(0);
          if (event.type === 'content') rest = rest.slice(at + event.text.length);
        }
        if (parser.calls === 0) expect(events.map((event) => ('text' in event ? event.text : '')).join('')).toBe(text);
      }),
      { numRuns: 400 },
    );
  });

  test('reads back any calls that were written in it, and the text before them', () => {
    const written = (calls: { name: string; arguments: object }[]) => {
      if (syntax === 'mistral') return `[TOOL_CALLS] ${JSON.stringify(calls)}`;
      if (syntax === 'hermes')
        return calls.map((one) => `<tool_call>\n${JSON.stringify(one)}\n</tool_call>`).join('\n');
      const bodies = calls.map((one) => JSON.stringify({ name: one.name, parameters: one.arguments }));
      return `<|python_tag|>${bodies.join('; ')}`;
    };
    const said = fc.string().filter((text) => !/[[<{]/.test(text));
    fc.assert(
      fc.property(said, fc.array(goodCall, { minLength: 1, maxLength: 4 }), (before, calls) => {
        const { content, calls: found } = read(syntax, [before + written(calls)]);
        expect(content).toBe(before.trimEnd());
        expect(found).toEqual(calls.map((one) => call(one.name, JSON.stringify(one.arguments))));
      }),
    );
  });
});

test('takes time in proportion to the text, however often it looks like a call', () => {
  const text = `${'<tool_call>{"a":['.repeat(20_000)}${']}'.repeat(40_000)}x`;
  expect(read('hermes', [text])).toEqual({ content: text, calls: [] });
});
