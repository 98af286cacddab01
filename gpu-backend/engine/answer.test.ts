/**
 * One answer by itself: how it ends, what its events say, what its budget allows. For answers that
 * continue on another engine, see resume-answer.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import { Answer, type AnswerOptions, type Outputs } from './answer.ts';
import type { EngineEvent } from './engine.ts';
import type { Output } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { request } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const PROMPT = [7, 70, 71];
const EOS = 0;

const options: AnswerOptions = {
  vocabulary: { eos: [EOS], banned: [], bytesOf: (id) => (id === EOS ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 96,
};

/** Logits that allow one token. */
const only = (id: number, vocabulary = SCRIPTED_VOCAB) =>
  Float32Array.from({ length: vocabulary }, (_, other) => (other === id ? 30 : -30));

/** Both experts want to write this text and then end. */
const writes =
  (text: string): Script =>
  (_, ids) =>
    only(Buffer.from(text)[ids.length - PROMPT.length] ?? EOS);

const ask = (changes: Parameters<typeof request>[0] = {}) => request({ promptIds: PROMPT, ...changes });

async function drive(script: Script, changes: Parameters<typeof ask>[0] = {}, topK: number | null = null) {
  const experts = new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, topK });
  const { events, state } = await driveAnswer(experts, { request: ask(changes), options });
  expect(experts.openCount).toBe(0);
  return { events, state, tokens: tokensOf(events), end: endOf(events), text: textOf(events) };
}

const tokensOf = (events: EngineEvent[]): TokenFrame[] => events.filter((event) => event.type === 'token');
const endOf = (events: EngineEvent[]) => events.find((event) => event.type === 'end');
const textOf = (events: EngineEvent[]) => events.map((event) => ('text' in event ? event.text : '')).join('');

/** An expert's output, made without a driver. */
const says = (logits: Float32Array): Output => ({ row: { logits }, earlier: [], hidden: null, alpha: null });

const both = (safety: Float32Array, helpfulness: Float32Array): Outputs => ({
  safety: says(safety),
  helpfulness: says(helpfulness),
});

test('an answer leaves out the one space that the tokenizer puts in front of a text', async () => {
  for (const dropsFirstSpace of [true, false]) {
    const experts = new ScriptedExperts(writes('  a b'), { vocabSize: SCRIPTED_VOCAB, topK: null });
    const vocabulary = { ...options.vocabulary, dropsFirstSpace };
    const { events } = await driveAnswer(experts, { request: ask(), options: { ...options, vocabulary } });
    expect(textOf(events)).toBe(dropsFirstSpace ? ' a b' : '  a b');
  }
});

describe('an answer ends', () => {
  test('with stop when its experts end it; the last token counts but has no text', async () => {
    const { text, tokens, end } = await drive(writes('hello'));
    expect(text).toBe('hello');
    expect(tokens.at(-1)).toMatchObject({ id: EOS, text: '' });
    expect(end).toMatchObject({
      finish_reason: 'stop',
      usage: { prompt_tokens: 3, completion_tokens: 6, total_tokens: 9 },
    });
  });

  test('with length at max_tokens, but with stop if its last allowed token is the end token', async () => {
    expect((await drive(writes('hello'), { maxTokens: 5 })).end).toMatchObject({ finish_reason: 'length' });
    expect((await drive(writes('hello'), { maxTokens: 6 })).end).toMatchObject({ finish_reason: 'stop' });
  });

  test.each([null, 1000])('with length at the end of the context, max_tokens %s', async (maxTokens) => {
    const { end } = await drive(writes('x'.repeat(500)), { maxTokens });
    expect(end).toMatchObject({
      finish_reason: 'length',
      usage: { prompt_tokens: 3, completion_tokens: 93, total_tokens: 96 },
    });
  });

  test.each([
    ['the end', ['lo'], 'hel', 5],
    ['the second letter', ['el'], 'h', 3],
    ['the first of several', ['orld', 'o w', 'ell'], 'h', 4],
    ['its last allowed token', ['hello wo'], '', 8],
  ])('with stop before a stop string at %s, and sends no part of it', async (_, stop, text, drawn) => {
    const answer = await drive(writes('hello world'), { stop, maxTokens: 8 });
    expect(answer.text).toBe(text);
    expect(answer.end).toMatchObject({ finish_reason: 'stop', usage: { completion_tokens: drawn } });
  });

  test('with the text it held back for a stop string that never came', async () => {
    const { events, text, tokens } = await drive(writes('hello'), { stop: ['lo!'], maxTokens: 5 });
    expect(tokens.map((token) => token.text)).toEqual(['h', 'e', '', 'l', '']);
    expect(events.slice(-2).map(({ type }) => type)).toEqual(['text', 'end']);
    expect(text).toBe('hello');
  });

  test.each([0, 1])(
    'only after it says something: spaces and half characters do not count, temperature %i',
    async (temperature) => {
      // The script wants a space, then the first byte of the euro sign, then the end. If a wanted
      // token is not allowed, the next likeliest one comes.
      const wishes = [0x20, 0xe2, EOS];
      const script: Script = (_, ids) => {
        const logits = only(wishes[ids.length - PROMPT.length] ?? EOS);
        logits[97] = 0;
        return logits;
      };
      const { tokens, end } = await drive(script, { sampling: { temperature } });
      expect(tokens.map(({ id }) => id)).toEqual([0x20, 0xe2, 97, EOS]);
      expect(end).toMatchObject({ finish_reason: 'stop' });
    },
  );
});

describe('a model with several end tokens', () => {
  const several: AnswerOptions = { ...options, vocabulary: { ...options.vocabulary, eos: [EOS, 1, 2] } };
  const driveSeveral = (script: Script) =>
    driveAnswer(new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB }), { request: ask(), options: several });

  test.each([EOS, 1, 2])('ends an answer with each of them: %i', async (end) => {
    const { events, state } = await driveSeveral((_, ids) => only(ids.length === PROMPT.length ? 97 : end));
    expect(state.ids).toEqual([97, end]);
    expect(endOf(events)).toMatchObject({ finish_reason: 'stop' });
  });

  test('begins an answer with none of them', async () => {
    // Each expert would end at once, each with another token, and likes no word but "a".
    const script: Script = (source, ids) => {
      const logits = only(ids.length > PROMPT.length || source === 'safety' ? 2 : 1);
      // The mixture of 30 and -30 is 0, so the ends are still far likelier than the word.
      logits[97] = -10;
      return logits;
    };
    const { state } = await driveSeveral(script);
    expect(state.ids).toEqual([97, 2]);
  });
});

describe('each token reports', () => {
  test('its id and text: the ids are the answer, and the texts in order are what a client reads', async () => {
    const { tokens, text, state } = await drive(babble, { maxTokens: 40 });
    expect(state.ids).toEqual(tokens.map(({ id }) => id));
    expect(text).toBe(Buffer.from(state.ids.filter((id) => id !== EOS)).toString());
  });

  test('what the answer has spent so far: the sum of log q - log p_s, at temperature 1', async () => {
    const { tokens, end } = await drive(babble, { maxTokens: 20, line: { floor: 0.2 } });
    let spent = 0;
    // The first token may not end the answer, so its p_s is conditional on that.
    const safety = Array.from(babble('safety', PROMPT));
    const all = safety.reduce((sum, x) => sum + Math.exp(x), 0);
    const first = Math.log(1 - Math.exp(safety[EOS]!) / all);
    tokens.forEach((token, i) => {
      spent += token.lp! - (token.lp_s! - (i === 0 ? first : 0));
      // Logits are float32, but the script's numbers are double.
      expect(token.spent).toBeCloseTo(spent, 5);
    });
    expect(end!.spent).toBe(tokens.at(-1)!.spent);
  });

  test('its weight and floor: first the opening’s, then the line’s; the end event sums them up', async () => {
    const { tokens, end } = await drive(babble, {
      maxTokens: 6,
      line: { floor: 0.6, opening: { tokens: 2, floor: 0.9 } },
    });
    expect(tokens.map(({ weight, floor }) => [weight, floor])).toEqual([
      [0.9, 0.9],
      [0.9, 0.9],
      ...Array(4).fill([0.6, 0.6]),
    ]);
    expect(end!.weights).toEqual({ min: 0.6, mean: expect.closeTo((2 * 0.9 + 4 * 0.6) / 6, 12), max: 0.9 });
  });

  test('null for a probability of 0 and for unbounded spending', async () => {
    const certain = (id: number) => Array.from({ length: SCRIPTED_VOCAB }, (_, i) => (i === id ? 0 : -Infinity));
    const script: Script = (source) => certain(source === 'safety' ? 97 : 98);
    const experts = new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB });
    const { events } = await driveAnswer(experts, {
      request: ask({ maxTokens: 1 }),
      options: { ...options, proposal: 0 },
    });
    expect(tokensOf(events)).toMatchObject([{ id: 98, weight: 0, lp_s: null, lp_h: 0, lp: 0, spent: null }]);
    expect(endOf(events)!.spent).toBeNull();
  });
});

describe('a budget', () => {
  /** The experts disagree on every token. */
  const torn: Script = (source, ids) => {
    const logits = Array.from(babble(source, ids));
    logits[source === 'safety' ? 97 : 98]! += 6;
    return logits;
  };

  test('is used up and never exceeded', async () => {
    const line = { budget: 2 };
    const { tokens } = await drive(torn, { line, maxTokens: 40 });
    const most = Math.max(...tokens.map(({ spent }) => spent!));
    expect(most).toBeLessThanOrEqual(2);
    expect(most).toBeGreaterThan(1.9);
  });

  test('of 0 draws what the safety expert would draw alone', async () => {
    const broke = await drive(torn, { line: { budget: 0 } });
    const alone = await drive(torn, { line: { action: 'safety_only' } });
    const open = await drive(torn);
    expect(broke.state.ids).toEqual(alone.state.ids);
    expect(open.state.ids).not.toEqual(alone.state.ids);
    expect(broke.tokens.map(({ spent }) => spent)).toEqual(broke.tokens.map(() => 0));
  });

  test('grows with the answer if it is earned, up to its full size', async () => {
    const line = { budget: 3, earned: { start: 0.5, rate: 0.25 } };
    const { tokens } = await drive(torn, { line, maxTokens: 30 });
    tokens.forEach(({ spent }, i) => {
      expect(spent).toBeLessThanOrEqual(Math.min(3, 0.5 + 0.25 * (i + 1)) + 1e-12);
    });
    expect(Math.max(...tokens.slice(0, 4).map(({ spent }) => spent!))).toBeGreaterThan(0.5);
  });

  test('holds on truncated rows, and never draws a token outside the safety expert’s top k', async () => {
    const { tokens } = await drive(torn, { line: { budget: 2 }, maxTokens: 40 }, 3);
    expect(Math.max(...tokens.map(({ spent }) => spent!))).toBeLessThanOrEqual(2);
    for (const [i, { id }] of tokens.entries()) {
      const ids = [...PROMPT, ...tokens.slice(0, i).map((token) => token.id)];
      const safety = Array.from(torn('safety', ids), Math.fround);
      expect(safety.filter((x) => x > safety[id]!).length).toBeLessThan(3);
    }
  });
});

describe('when an expert fails midway', () => {
  const failing =
    (which: 'safety' | 'helpfulness'): Script =>
    (source, ids) =>
      source === which && ids.length >= PROMPT.length + 3 ? [Number.NaN] : babble(source, ids);

  test('and it is the helpfulness expert, the gate closes: weight 1, and nothing more is spent', async () => {
    const { tokens, end } = await drive(failing('helpfulness'), { maxTokens: 8 });
    expect(tokens.map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.5, 1, 1, 1, 1, 1]);
    const spent = tokens.map((token) => token.spent!);
    for (const each of spent.slice(3)) expect(each).toBeCloseTo(spent[2]!, 12);
    expect(tokens[3]!.lp_h).toBeNull();
    expect(end).toMatchObject({ finish_reason: 'length' });
  });

  test('and it is the safety expert, no token is drawn and the answer stays as it was', () => {
    const answer = new Answer(ask(), options);
    answer.draw(both(only(97), only(98)));
    const before = answer.state();
    expect(() => answer.draw(both(Float32Array.of(Number.NaN), only(98)))).toThrow(
      expect.objectContaining({ name: 'GateError', code: 'safety_row_unusable' }),
    );
    expect(answer.state()).toEqual(before);
    expect(answer.ended).toBe(false);
    expect(answer.draw({ safety: says(only(97)) })).toMatchObject([{ type: 'token', id: 97, weight: 1 }]);
  });
});

test.each<[Partial<Line>, string[]]>([
  [{}, ['safety', 'helpfulness']],
  [{ mode: 'layers' }, ['safety', 'layers']],
  [{ action: 'safety_only' }, ['safety']],
  [{ action: 'safety_only', mode: 'layers' }, ['safety']],
])('with the line %j, an answer is made from %j', (line, sources) => {
  expect(new Answer(ask({ line }), options).sources).toEqual(sources);
});

test('an answer needs hidden states only if a router compares the two experts', () => {
  const router: AnswerOptions = { ...options, proposal: () => 0.5 };
  expect(new Answer(ask(), router).hidden).toBe(true);
  expect(new Answer(ask(), options).hidden).toBe(false);
  expect(new Answer(ask({ line: { mode: 'layers' } }), router).hidden).toBe(false);
  expect(new Answer(ask({ line: { action: 'safety_only' } }), router).hidden).toBe(false);
});

test('an answer feeds each row its prompt and then each token drawn, and knows how long its rows may get', () => {
  const own = [50, 51, ...PROMPT];
  const asked = (changes = {}) =>
    ask({ maxTokens: 10, line: { floor: 0.25 }, rowPrompts: { safety: own }, ...changes });
  const answer = new Answer(asked(), options);
  const bounds = { floor: 0.25, ceiling: 1 };
  const prompts = { rows: { safety: own, helpfulness: PROMPT }, reads: 'prompt', bounds };
  expect(answer.history()).toEqual([prompts]);
  answer.draw(both(only(97), only(97)));
  const drawn = { rows: { safety: [97], helpfulness: [97] }, reads: 'answer', bounds };
  expect(answer.next()).toEqual(drawn);
  expect(answer.history()).toEqual([prompts, drawn]);
  expect(answer.mostTokens).toEqual([15, 13]);
  expect(new Answer(asked({ maxTokens: null }), options).mostTokens).toEqual([96, 94]);
  expect(new Answer(asked({ rowPrompts: undefined }), options).mostTokens).toEqual([13, 13]);
});
