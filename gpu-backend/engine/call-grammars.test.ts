/**
 * Answers that are held to calls, with an engine over scripted experts that say anything: whatever
 * is drawn, the parser of answers reads it as calls of the functions, with arguments that fit.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import { ToolCallParser } from '#shared/tools/parse-tool-calls.ts';
import { SYNTAX_MARKS, ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { createMaskOf } from './token-mask.ts';

const MARKS = Object.values(SYNTAX_MARKS).flatMap(({ open, close }) => (close === null ? [open] : [open, close]));
const PIECES = ['{"', '"}', '": ', '", "', 'name', '"arguments"', 'param', '}}', ' [', '}, {', '; ', 'f[AR', ...MARKS];
/** Token 0 ends an answer. All bytes, pieces of calls, and the marks as whole tokens. */
const TOKENS = [
  new Uint8Array(),
  ...Array.from({ length: 255 }, (_, i) => Uint8Array.of(i + 1)),
  ...PIECES.map((text) => new TextEncoder().encode(text)),
];
const SIZE = TOKENS.length;
const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : TOKENS[id]) };
const maskOf = createMaskOf(vocabulary, { size: SIZE });
const idsOf = (text: string) => TOKENS.flatMap((bytes, id) => (Buffer.from(bytes).toString() === text ? [id] : []));

const PERSON = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 6 }, age: { type: 'integer', minimum: 0, maximum: 120 } },
  required: ['name', 'age'],
  additionalProperties: false,
};
const CITY = {
  type: 'object',
  properties: { city: { enum: ['Oslo', 'Rome', 'a "b" \\'] } },
  required: ['city'],
  additionalProperties: false,
};
const SCHEMAS: Readonly<Record<string, object>> = { f: PERSON, 'f-2': CITY };
const functions = Object.entries(SCHEMAS).map(([name, schema]) => ({
  name,
  arguments: { type: 'json_schema', schema: JSON.stringify(schema) } satisfies Grammar,
}));
const validators = Object.fromEntries(
  Object.entries(SCHEMAS).map(([name, schema]) => [name, new Ajv2020({ strict: false }).compile(schema)]),
);

type Wanted = { seed: number; likes?: readonly number[]; fails?: boolean; maxTokens?: number };

/** Experts that say anything, and what closes JSON and ends an answer a little more often. */
async function draw(grammar: Grammar, { seed, likes = [], fails = false, maxTokens = 400 }: Wanted) {
  const liked = new Set([0, ...idsOf('"'), ...idsOf('}'), ...idsOf('"}'), ...likes]);
  const script: Script = (source, ids) => {
    if (fails && source === 'helpfulness' && ids.length > 3) throw new Error('the expert is lost');
    const turn = ids.reduce((hash, id) => (hash * 31 + id) % 99_991, seed * 7 + (source === 'safety' ? 1 : 2));
    return Array.from({ length: SIZE }, (_, id) => 3 * Math.sin(turn * (id + 1)) + (liked.has(id) ? 3 : 0));
  };
  const request: EngineRequest = {
    promptIds: [97],
    maxTokens,
    stop: [],
    sampling: { key: seedKey(seed), temperature: 1, topP: 1, grammar },
    line: { ...OPEN_LINE, budget: 30 },
  };
  const options = { vocabulary, proposal: 0.5, contextLength: 1_000, maskOf };
  const { events } = await driveAnswer(new ScriptedExperts(script, { vocabSize: SIZE }), { request, options });
  const drawn = events.filter((event) => event.type === 'token');
  const text = Buffer.concat(drawn.map(({ id }) => vocabulary.bytesOf(id) ?? new Uint8Array())).toString();
  const end = events.find((event): event is Extract<EngineEvent, { type: 'end' }> => event.type === 'end')!;
  return { text, drawn, finish: end.finish_reason };
}

function read(syntax: ToolSyntax, text: string, { alone = false } = {}) {
  const parser = new ToolCallParser(syntax, { names: Object.keys(SCHEMAS), alone });
  const calls: { name: string; arguments: string }[] = [];
  let content = '';
  for (const event of [...parser.push(text), ...parser.end()]) {
    if (event.type === 'content') content += event.text;
    else if (event.type === 'call') calls.push({ name: event.name, arguments: '' });
    else calls[event.index]!.arguments += event.text;
  }
  return { calls, content };
}

function expectFitting(calls: ReturnType<typeof read>['calls'], text: string): void {
  for (const { name, arguments: written } of calls) {
    expect(Object.keys(SCHEMAS), text).toContain(name);
    expect(validators[name]!(JSON.parse(written)), text).toBe(true);
  }
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

describe.each(ToolSyntax.options)('%s', (syntax) => {
  const ends = [...idsOf('; '), ...idsOf('}, {'), ...idsOf('\n')];

  test('a forced answer is calls of the functions and nothing else, with arguments that fit', async () => {
    const counts = new Set<number>();
    let finished = 0;
    for (const seed of SEEDS) {
      const grammar = callGrammar(syntax, { functions, forced: true, single: false });
      const { text, finish } = await draw(grammar, { seed, likes: ends });
      const { calls, content } = read(syntax, text);
      if (finish !== 'stop') continue;
      finished++;
      expect(content, text).toBe('');
      expect(calls.length, text).toBeGreaterThan(0);
      expectFitting(calls, text);
      counts.add(calls.length);
    }
    expect(finished).toBeGreaterThan(20);
    expect(counts.size).toBeGreaterThan(1);
  });

  test('a single one is exactly one call, and of one function if one is named', async () => {
    for (const seed of SEEDS) {
      const grammar = callGrammar(syntax, { functions: [functions[1]!], forced: true, single: true });
      const { text, finish } = await draw(grammar, { seed, likes: ends });
      expect(finish, text).toBe('stop');
      const { calls, content } = read(syntax, text);
      expect({ content, names: calls.map(({ name }) => name) }, text).toEqual({ content: '', names: ['f-2'] });
      expectFitting(calls, text);
    }
  });

  test('a free answer says anything until a call begins, and the call is whole and fits', async () => {
    const { open, bare } = SYNTAX_MARKS[syntax];
    let called = 0;
    let said = 0;
    for (const seed of SEEDS) {
      for (const single of [false, true]) {
        const grammar = callGrammar(syntax, { functions, forced: false, single });
        const likes = seed % 2 === 0 ? [...idsOf(open), ...(bare ? idsOf('{"') : [])] : idsOf('{');
        const { text, finish } = await draw(grammar, { seed, likes });
        if (finish !== 'stop') continue;
        const { calls, content } = read(syntax, text);
        expectFitting(calls, text);
        if (single) expect(calls.length, text).toBeLessThan(2);
        if (syntax !== 'llama3') expect(calls.length === 0, text).toBe(!text.includes(open));
        called += calls.length;
        if (content.trim() !== '') said++;
      }
    }
    expect(called).toBeGreaterThan(5);
    expect(said).toBeGreaterThan(5);
  });

  test('an answer that may call or has a format is one of the two', async () => {
    const { open } = SYNTAX_MARKS[syntax];
    // Its texts may say what looks like a call.
    const schema = { type: 'array', items: { enum: [1, `${open}{"name":"f","arguments":{}}`] }, maxItems: 3 };
    const isOfFormat = new Ajv2020().compile(schema);
    const otherwise: Grammar = { type: 'json_schema', schema: JSON.stringify(schema) };
    const found = { called: 0, said: 0 };
    for (const seed of SEEDS) {
      const grammar = callGrammar(syntax, { functions, forced: false, single: true, otherwise });
      const { text, finish } = await draw(grammar, { seed, likes: seed % 2 === 0 ? idsOf(open) : [] });
      if (finish !== 'stop') continue;
      const { calls, content } = read(syntax, text, { alone: true });
      expectFitting(calls, text);
      if (content === '') found.called += calls.length;
      else {
        found.said++;
        expect(calls).toEqual([]);
        expect(isOfFormat(JSON.parse(content)), text).toBe(true);
      }
    }
    expect(found.called).toBeGreaterThan(5);
    expect(found.said).toBeGreaterThan(5);
  });

  test('the safety expert alone is held to it, once the other has failed', async () => {
    for (const seed of SEEDS.slice(0, 10)) {
      const grammar = callGrammar(syntax, { functions, forced: true, single: true });
      const { text, drawn, finish } = await draw(grammar, { seed, fails: true });
      expect(drawn.at(-1)!.weight).toBe(1);
      if (finish !== 'stop') continue;
      const { calls, content } = read(syntax, text);
      expect({ content, calls: calls.length }, text).toEqual({ content: '', calls: 1 });
      expectFitting(calls, text);
    }
  });

  test('an answer that is cut off in a call has the beginning of its arguments', async () => {
    const grammar = callGrammar(syntax, { functions: [functions[0]!], forced: true, single: true });
    const whole = await draw(grammar, { seed: 5 });
    const cut = await draw(grammar, { seed: 5, maxTokens: whole.drawn.length - 3 });
    expect(cut.finish).toBe('length');
    const [made, begun] = [whole, cut].map(({ text }) => read(syntax, text).calls[0]!);
    expect(begun!.name).toBe('f');
    expect(begun!.arguments.length).toBeGreaterThan(0);
    expect(made!.arguments.startsWith(begun!.arguments)).toBe(true);
  });
});

test('Mistral models may write calls as a list or by name', async () => {
  const forms = new Set<string>();
  for (const seed of SEEDS) {
    const grammar = callGrammar('mistral', { functions, forced: true, single: true });
    const { text } = await draw(grammar, { seed });
    forms.add(/^\[TOOL_CALLS\] ?\[\{/.test(text) ? 'list' : 'name');
  }
  expect([...forms].sort()).toEqual(['list', 'name']);
});
