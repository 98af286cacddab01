/** The second look at a prompt: what it reads, how it tightens an answer, and how it fails. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import type { Line } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import { type Probe, ProbeHead } from '../model/probe.ts';
import { checkRequest, termsOf } from './check-request.ts';
import { DEFAULT_LIMITS, type EngineEvent, type EngineRequest } from './engine.ts';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { lookAt, lookSpans, windowsOf } from './second-look.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const WINDOW = 4;

/**
 * A probe over states of one number. The numbers of a window make its features: their mean and the
 * last one. `violence` follows the mean, `hate` the last one, and the others are never found.
 */
const probe: Probe = {
  version: '0123456789ab',
  head: ProbeHead.parse({
    format: 1,
    layers: [0],
    pooling: ['mean', 'last'],
    judgements: JUDGEMENTS,
    window: WINDOW,
    calibration: Object.fromEntries(JUDGEMENTS.map((judgement) => [judgement, { a: 1, b: 0 }])),
    licence: 'Apache-2.0',
    provenance: { description: 'By hand.', data: [] },
  }),
  weight: Float32Array.from(
    JUDGEMENTS.flatMap((name) => (name === 'violence' ? [1, 0] : name === 'hate' ? [0, 1] : [0, 0])),
  ),
  bias: Float32Array.from(JUDGEMENTS, (name) => (name === 'violence' || name === 'hate' ? 0 : -50)),
};
const violence = JUDGEMENTS.indexOf('violence');
const hate = JUDGEMENTS.indexOf('hate');
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.1,
  probe,
  contextLength: 96,
};

/** A token's state is how far it is from 100: tokens above are violent, those below are not. */
const states = (_: unknown, ids: readonly number[]) => [ids.at(-1)! - 100];
const experts = (changes: Partial<ScriptedOptions> = {}, script: Script = babble) =>
  new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, states, ...changes });

const RULES = SignalRules.parse({
  violence: { floor: 0.8, budget: 3, ramp: { from: 0.2, full: 0.9 } },
  hate: { action: 'safety_only', ramp: { from: 0.5, full: 0.999 } },
});
const calm = [7, 90, 80, 85, 90, 95, 70];
const violent = [7, 90, 130, 130, 140, 130, 70];

type Changes = Parameters<typeof request>[0] & { rules?: SignalRules };
function ask(promptIds: number[], { rules = RULES, ...changes }: Changes = {}): EngineRequest {
  const last = promptIds.length - 1;
  const secondLook = { base: 0, rules, messages: [{ from: 2, to: last, last }] };
  return request({ promptIds, maxTokens: 6, secondLook, ...changes });
}

const endOf = (events: readonly EngineEvent[]) => {
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  return end;
};
const tokensOf = (events: readonly EngineEvent[]): TokenFrame[] => events.filter((event) => event.type === 'token');

async function drive(asked: EngineRequest, { from = experts(), chunk = Infinity } = {}) {
  const { events, state } = await driveAnswer(from, { request: asked, options, chunk });
  expect(from.openCount).toBe(0);
  return { events, state, end: endOf(events), tokens: tokensOf(events) };
}

describe('the windows of a message', () => {
  test('have at most so many tokens, cover all of it, and the last one is full', () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(5),
        fc.integer({ min: 1, max: 20 }),
        (from, length, more, window) => {
          const to = from + length;
          const windows = windowsOf([{ from, to, last: to + more }], window);
          const covered = new Set(windows.flatMap((w) => Array.from({ length: w.to - w.from }, (_, i) => w.from + i)));
          expect([...covered].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => from + i));
          for (const w of windows) expect(w.to - w.from).toBe(Math.min(window, length));
          expect(windows.map(({ last }) => last)).toEqual([...windows.slice(0, -1).map((w) => w.to - 1), to + more]);
          expect(windows).toHaveLength(Math.ceil(length / window));
        },
      ),
    );
  });

  test('join short neighbours where there are very many, so a long prompt has few and nothing is left out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ length: fc.integer({ min: 1, max: 9 }), gap: fc.nat(4) }), {
          minLength: 65,
          maxLength: 400,
        }),
        fc.integer({ min: 1, max: 32 }),
        (parts, window) => {
          let at = 0;
          const messages = parts.map(({ length, gap }) => {
            const from = at;
            at += length + gap;
            return { from, to: from + length, last: from + length - 1 + gap };
          });
          const windows = windowsOf(messages, window);
          expect(windows.length).toBeLessThanOrEqual(Math.max(64, Math.ceil((2 * at) / window) + 1));
          const covered = new Set(windows.flatMap((w) => Array.from({ length: w.to - w.from }, (_, i) => w.from + i)));
          for (const { from, to } of messages) for (let i = from; i < to; i++) expect(covered.has(i)).toBe(true);
          for (const w of windows) {
            expect(w.to - w.from).toBeLessThanOrEqual(window);
            expect(w.last).toBeGreaterThanOrEqual(w.to - 1);
          }
          expect(windows.at(-1)!.last).toBe(at - 1);
        },
      ),
    );
  });

  test('stay apart, message by message, in any common conversation', () => {
    const messages = Array.from({ length: 64 }, (_, i) => ({ from: 2 * i, to: 2 * i + 1, last: 2 * i + 1 }));
    expect(windowsOf(messages, 8)).toEqual(messages);
  });

  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e39])(
    'count as certain if a state is %d',
    (state) => {
      const windows = windowsOf([{ from: 0, to: 1, last: 0 }], WINDOW);
      for (const sign of [1, -1]) {
        const turned = { ...probe, weight: probe.weight.map(() => sign) };
        const sums = lookSpans(windows, turned).map(() => Float32Array.of(state));
        expect(lookAt(turned, windows, sums)).toEqual(JUDGEMENTS.map(() => Number.NaN));
        expect(lookCategories(lookAt(turned, windows, sums)).every(({ probability }) => probability === 1)).toBe(true);
      }
    },
  );

  test('are judged each by itself, by the definition, and the strictest counts', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 30 }), (numbers) => {
        const windows = windowsOf([{ from: 0, to: numbers.length, last: numbers.length - 1 }], WINDOW);
        const sums = lookSpans(windows, probe).map(({ from, to }) =>
          Float32Array.of(numbers.slice(from, to).reduce((sum, x) => sum + x, 0)),
        );
        const found = lookAt(probe, windows, sums);
        const means = windows.map(({ from, to }) => numbers.slice(from, to).reduce((a, b) => a + b) / (to - from));
        expect(found[violence]).toBeCloseTo(Math.max(...means.map(sigmoid)), 5);
        expect(found[hate]).toBeCloseTo(Math.max(...windows.map(({ last }) => sigmoid(numbers[last]!))), 5);
      }),
    );
  });

  test('a state that is missing or not a number makes every judgement unknown', () => {
    const windows = windowsOf([{ from: 0, to: 6, last: 5 }], WINDOW);
    const fine = lookSpans(windows, probe).map(() => Float32Array.of(0));
    expect(lookAt(probe, windows, fine)[violence]).toBe(0.5);
    for (const wrong of [null, Float32Array.of(Number.NaN), undefined]) {
      for (const i of fine.keys()) {
        // The last case: fewer sums than were asked for.
        const sums = wrong === undefined ? fine.slice(0, i) : fine.map((sum, j) => (j === i ? wrong : sum));
        expect(lookAt(probe, windows, sums).every(Number.isNaN)).toBe(true);
      }
    }
    expect(lookAt(probe, [], []).every(Number.isNaN)).toBe(true);
  });
});

describe('an answer after a second look', () => {
  test('has the line that the rules make of what was found, from its first token on', async () => {
    const { end, tokens } = await drive(ask(violent));
    expect(end.second_look).toMatchObject({ version: probe.version, tightened: true, because: 'violence' });
    expect(end.second_look!.categories[violence]).toEqual({ name: 'violence', probability: 1 });
    expect(end.line).toMatchObject({ floor: 0.8, budget: 3, action: 'mix' });
    expect(tokens[0]!.floor).toBe(0.8);
    expect(tokens.every(({ weight }) => weight >= 0.8)).toBe(true);
    expect(end.spent).toBeLessThanOrEqual(3);
  });

  test('is as without it where nothing is found', async () => {
    const { end, tokens } = await drive(ask(calm));
    expect(end.second_look).toMatchObject({ tightened: false, because: null });
    const { secondLook: _, ...plain } = ask(calm);
    const without = await drive(plain);
    expect([end.line, tokens]).toEqual([without.end.line, without.tokens]);
    expect(without.end.second_look).toBeNull();
  });

  test('goes on with the safety expert alone if a rule says so, and nobody else runs', async () => {
    const hateful = [...calm.slice(0, -1), 150];
    const { end } = await drive(ask(hateful));
    expect(end.line).toMatchObject({ action: 'safety_only', floor: 1, ceiling: 1 });
    expect(end.ran).toEqual({ safety: end.usage.completion_tokens });
  });

  test('is refused without a token if a rule says so', async () => {
    const rules = SignalRules.parse({ violence: { action: 'refuse', ramp: { from: 0.2, full: 0.9 } } });
    const { events, end } = await drive(ask(violent, { rules }));
    expect(events).toHaveLength(1);
    expect(end).toMatchObject({
      finish_reason: 'content_filter',
      usage: { prompt_tokens: 7, completion_tokens: 0 },
      second_look: { tightened: true, because: 'violence' },
      ran: {},
      spent: 0,
    });
  });

  test.each([
    ['NaN', () => [Number.NaN]],
    ['no state', () => []],
  ])('counts %s as certain, for every judgement', async (_, states) => {
    const { end } = await drive(ask(calm), { from: experts({ states }) });
    expect(end.second_look!.categories.map(({ probability }) => probability)).toEqual(JUDGEMENTS.map(() => 1));
    expect(end.line).toMatchObject({ action: 'safety_only', floor: 1, budget: 3 });
  });

  test('without a message to look at, everything counts as certain', async () => {
    const asked = ask(calm);
    const { end } = await drive({ ...asked, secondLook: { ...asked.secondLook!, messages: [] } });
    expect(end.line.action).toBe('safety_only');
  });

  test.each([1, 2, 3])('is the same if the prompt is read %i tokens at a time', async (chunk) => {
    expect((await drive(ask(violent), { chunk })).events).toEqual((await drive(ask(violent))).events);
  });

  test('is the same if the prompt, or one that begins like it, was kept', async () => {
    const long = [...violent, ...Array.from({ length: 60 }, (_, i) => 70 + ((i * 37) % 90))];
    const fresh = await drive(ask(long));
    for (const first of [long, [...long.slice(0, 50), 81, 82]]) {
      for (const secondLook of [true, false]) {
        const from = experts();
        const { secondLook: _, ...plain } = ask(first);
        await drive(secondLook ? ask(first) : plain, { from });
        const again = await drive(ask(long), { from });
        expect(again.tokens).toEqual(fresh.tokens);
        expect(again.end.second_look).toEqual(fresh.end.second_look);
        // What was read without sums must be read again.
        expect(from.prefixStats.foundTokens > 0).toBe(true);
      }
    }
  });

  test('asks the safety expert to read the prompt even where the line leaves it out', async () => {
    const pinned = { ...options, proposal: 0 };
    const run = async (promptIds: number[]) => {
      const from = experts();
      return endOf((await driveAnswer(from, { request: ask(promptIds), options: pinned })).events);
    };
    expect((await run(calm)).ran).toEqual({ helpfulness: 6 });
    expect((await run(violent)).ran).toEqual({ safety: 6, helpfulness: 6 });
  });

  test('resumed elsewhere, goes on under the same line without looking again', async () => {
    const whole = await drive(ask(violent, { maxTokens: 12 }));
    const asked = ask(violent, { maxTokens: 12 });
    const { state } = await driveAnswer(experts(), { request: asked, options, atMost: 5 });
    const kept = JSON.parse(JSON.stringify(state)) as typeof state;
    expect(kept.look).toMatchObject({ tightened: true });
    // States that would now be read as harmless.
    const rest = await drive({ ...asked, resume: kept }, { from: experts({ states: () => [-9] }) });
    expect(rest.tokens).toEqual(whole.tokens.slice(5));
    expect(rest.end.line).toEqual(whole.end.line);
    const { look: _, ...blind } = kept;
    const terms = termsOf(experts(), { ...options, limits: DEFAULT_LIMITS });
    expect(() => checkRequest({ ...asked, resume: blind }, terms)).toThrow(/has no second look/);
    const { secondLook: _rules, ...plain } = asked;
    expect(() => checkRequest({ ...plain, resume: kept }, terms)).toThrow(
      /has a second look, but its request has none/,
    );
    await expect(drive({ ...plain, resume: kept })).rejects.toThrow(/no rules/);
    // What has been found needs no probe.
    const blindTerms = termsOf(experts(), { ...options, probe: null, limits: DEFAULT_LIMITS });
    expect(() => checkRequest({ ...asked, resume: kept }, blindTerms)).not.toThrow();
  });

  test('is refused by an engine that cannot look', () => {
    for (const [from, asked] of [
      [experts({ sums: false }), probe],
      [experts(), null],
    ] as const) {
      const terms = termsOf(from, { ...options, probe: asked, limits: DEFAULT_LIMITS });
      expect(terms.secondLook).toBeNull();
      expect(() => checkRequest(ask(calm), terms)).toThrow(
        expect.objectContaining({ code: 'backend_unavailable', message: expect.stringMatching(/second time/) }),
      );
    }
  });
});

describe('in the mode layers', () => {
  const line: Partial<Line> = { mode: 'layers', floor: 0.1, budget: 20 };
  /** Each step's source, how many tokens it read, and its bounds. */
  async function steps(promptIds: number[], { rules = RULES, chunk = Infinity } = {}) {
    const sources = new Map<number, string>();
    const seen: [string, number, number | undefined][] = [];
    const from = experts({
      onRun: (steps: readonly Step[]) => {
        for (const { sequence, ids, bounds } of steps) seen.push([sources.get(sequence)!, ids.length, bounds?.floor]);
      },
    });
    const open = from.open.bind(from);
    from.open = (source, given) => {
      const sequence = open(source, given);
      sources.set(sequence, source);
      return sequence;
    };
    const driven = await drive(ask(promptIds, { line, rules, maxTokens: 2 }), { from, chunk });
    return { seen, ...driven };
  }

  test('the safety row reads the prompt first, and the layers row under the tightened bounds', async () => {
    expect((await steps(violent)).seen).toEqual([
      ['safety', 7, undefined],
      ['layers', 7, 0.8],
      ['safety', 1, undefined],
      ['layers', 1, 0.8],
    ]);
    expect((await steps(calm)).seen[1]).toEqual(['layers', 7, 0.1]);
    expect((await steps(violent, { chunk: 4 })).seen.slice(0, 4)).toEqual([
      ['safety', 4, undefined],
      ['safety', 3, undefined],
      ['layers', 4, 0.8],
      ['layers', 3, 0.8],
    ]);
  });

  test('an answer is what it would be if the tightened line had come from the edge', async () => {
    const looked = await drive(ask(violent, { line }));
    const { secondLook: _, ...plain } = ask(violent, { line: looked.end.line });
    const wanted = await drive(plain);
    expect([looked.tokens, looked.end.ran]).toEqual([wanted.tokens, wanted.end.ran]);
    expect(looked.end.ran.layers).toBeGreaterThan(3);
  });

  test('no layers row reads the prompt if the safety expert goes on alone, or nobody does', async () => {
    const hateful = [...calm.slice(0, -1), 150];
    const alone = await steps(hateful);
    expect(alone.seen.map(([source]) => source)).toEqual(['safety', 'safety']);
    expect(alone.end.line).toMatchObject({ action: 'safety_only', mode: 'logits' });
    const rules = SignalRules.parse({ violence: { action: 'refuse', ramp: { from: 0.2, full: 0.9 } } });
    const refused = await steps(violent, { rules });
    expect(refused.seen.map(([source]) => source)).toEqual(['safety']);
    expect(refused.end.finish_reason).toBe('content_filter');
  });

  test('what was kept under one line is not found under another', async () => {
    const long = [...violent, ...Array.from({ length: 60 }, (_, i) => 70 + ((i * 37) % 90))];
    const fresh = await drive(ask(long, { line }));
    const from = experts();
    const { secondLook: _, ...plain } = ask(long, { line });
    await drive(plain, { from });
    await drive(ask(long, { line }), { from });
    const again = await drive(ask(long, { line }), { from });
    expect(again.tokens).toEqual(fresh.tokens);
    expect(again.end.usage.prompt_tokens_details!.cached_tokens).toBeGreaterThan(32);
  });
});

describe('several answers to one prompt', () => {
  const moreKeys = [2, 3].map((seed) => request({ sampling: { seed } }).sampling.key);

  test.each<[string, Partial<Line>, number[]]>([
    ['logits', {}, violent],
    ['layers', { mode: 'layers' }, violent],
    ['layers, where the safety expert goes on alone', { mode: 'layers' }, [...calm.slice(0, -1), 150]],
  ])('share the look, mode %s', async (_, line, promptIds) => {
    const { scheduler, run, of } = schedule(experts(), options);
    scheduler.submit(1, ask(promptIds, { line, moreKeys }));
    for (const [i, key] of moreKeys.entries()) {
      const { sampling, ...rest } = ask(promptIds, { line });
      scheduler.submit(10 + i, { ...rest, sampling: { ...sampling, key } });
    }
    await run();
    expect(of(1).error).toBeNull();
    for (const i of moreKeys.keys()) {
      const own = of(1).events.filter((event) => 'choice' in event && event.choice === i + 1);
      const ids = (events: EngineEvent[]) => tokensOf(events).map(({ id }) => id);
      expect(ids(own)).toEqual(ids(of(10 + i).events));
      expect(ids(own)).toHaveLength(6);
    }
    const looks = of(1).events.flatMap((event) => (event.type === 'end' ? [event.second_look] : []));
    expect(looks).toHaveLength(3);
    expect(new Set(looks.map((report) => JSON.stringify(report))).size).toBe(1);
    expect(scheduler.stats.rows).toBe(0);
  });

  test('are refused together', async () => {
    const { scheduler, run, of } = schedule(experts(), options);
    const rules = SignalRules.parse({ violence: { action: 'refuse', ramp: { from: 0.2, full: 0.9 } } });
    scheduler.submit(1, ask(violent, { moreKeys, rules }));
    await run();
    const ends = of(1).events.filter((event) => event.type === 'end');
    expect(ends.map((end) => [end.finish_reason, end.remaining])).toEqual([
      ['content_filter', 2],
      ['content_filter', 1],
      ['content_filter', undefined],
    ]);
    expect(of(1).events).toHaveLength(4);
  });
});

test('a request that is looked at and one that is not share runs, and each has its own line', async () => {
  const { scheduler, run, of } = schedule(experts(), options);
  scheduler.submit(1, ask(violent));
  const { secondLook: _, ...plain } = ask(violent);
  scheduler.submit(2, plain);
  scheduler.submit(3, ask(calm));
  await run();
  const floors = [1, 2, 3].map((id) => endOf(of(id).events).line.floor);
  expect(floors).toEqual([0.8, 0, 0]);
});
