/**
 * The law of every saving: the answer is the one that both experts would have given. The oracle
 * asks both for every token, one after another, and leaves nothing out.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GateStep, startGate } from '#shared/gate/index.ts';
import { type Line, type Mode, OPEN_LINE } from '#shared/line/line.ts';
import { askGate } from './ask-gate.ts';
import type { EngineRequest } from './engine.ts';
import type { Experts, Source } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { request } from './testing/engine-contract.ts';

const VOCAB = 12;
const EOS = 0;
const options = {
  vocabulary: { eos: [EOS], banned: [11], bytesOf: (id: number) => (id === EOS ? undefined : Uint8Array.of(96 + id)) },
  contextLength: 96,
};

/** Logits that depend on everything a sequence has read, on its source and on a seed. */
const random =
  (seed: number, { alike }: { alike: boolean }): Script =>
  (source, ids, bounds) => {
    const own = alike ? 0 : { safety: 1, helpfulness: 2, layers: 3 }[source];
    const share = bounds ? bounds.floor : 0;
    const turn = ids.reduce((hash, id) => (hash * 31 + id) % 9973, seed + own);
    return Array.from({ length: VOCAB }, (_, id) => 3 * Math.sin(turn * (id + 1) + share) - (id === EOS ? 3 : 0));
  };

const experts = (script: Script, topK: number | null) =>
  new ScriptedExperts(script, { vocabSize: VOCAB, topK, alpha: (ids) => (ids.at(-1)! % 10) / 10 });

/** Every token's account, from two rows that have both read everything. */
async function askBoth(asked: EngineRequest, { driver, proposal }: { driver: Experts; proposal: number }) {
  const { mode, action } = asked.line;
  const other: Source = mode === 'layers' ? 'layers' : 'helpfulness';
  const sequences = [driver.open('safety'), driver.open(other)];
  const { eos, banned } = options.vocabulary;
  const steps: GateStep[] = [];
  let state = startGate();
  let feed = asked.promptIds;
  while (steps.length < asked.maxTokens! && steps.at(-1)?.token !== EOS) {
    const { floor, ceiling, opening } = asked.line;
    const least = steps.length < opening.tokens ? Math.max(floor, opening.floor) : floor;
    const bounds = { floor: least, ceiling: Math.max(least, ceiling) };
    const outputs = driver.append(
      sequences.map((sequence, i) => ({
        sequence,
        ids: feed,
        beside: sequences[1 - i]!,
        ...(mode === 'layers' && i === 1 && { bounds }),
      })),
    );
    const [safety, beside] = await Promise.all(outputs);
    const step = askGate({
      mode,
      safety: safety!,
      beside: action === 'safety_only' ? null : beside!,
      proposal,
      policy: asked.line,
      sampling: { ...asked.sampling, mask: new Set(steps.length === 0 ? [...banned, ...eos] : banned) },
      state,
    });
    steps.push(step);
    state = step.state;
    feed = [step.token];
  }
  return steps;
}

/** The wire has null for a probability of 0 and for unbounded spending. */
const told = (nats: number) => (Math.abs(nats) === Number.MAX_VALUE ? null : nats);

const share = fc.constantFrom(0, 0, 0.3, 1);
const anyLine: fc.Arbitrary<Line> = fc.record({
  action: fc.constantFrom('mix' as const, 'mix' as const, 'mix' as const, 'safety_only' as const),
  mode: fc.constantFrom<Mode>('logits', 'layers'),
  rule: fc.constantFrom('geometric' as const, 'arithmetic' as const),
  floor: share,
  ceiling: share,
  opening: fc.record({ tokens: fc.constantFrom(0, 0, 3), floor: share }),
  budget: fc.constantFrom(null, null, 0, 0.3, 1, 4),
  earned: fc.constantFrom(null, null, { start: 0.2, rate: 0.1 }, { start: 0.5, rate: 0 }, { start: 0, rate: 0 }),
});
const pinnedLine = anyLine.map((line): Line => ({ ...OPEN_LINE, rule: line.rule, ceiling: line.ceiling }));
const anyCase = fc.record({
  line: fc.oneof({ weight: 4, arbitrary: anyLine }, { weight: 1, arbitrary: pinnedLine }),
  script: fc.nat(9999),
  alike: fc.boolean(),
  seed: fc.nat(9999),
  proposal: fc.constantFrom(0, 0, 0.4, 1),
  temperature: fc.constantFrom(0, 0.7, 1),
  topP: fc.constantFrom(1, 0.8),
  topK: fc.constantFrom(null, null, 4),
});

test('an answer is the same with and without what is saved, and its account too', async () => {
  const seen = { alone: 0, stopped: 0, both: 0, helpful: 0 };
  await fc.assert(
    fc.asyncProperty(anyCase, async ({ line, script, alike, seed, proposal, temperature, topP, topK }) => {
      fc.pre(topK === null || (line.mode === 'logits' && line.action === 'mix'));
      const asked = request({ promptIds: [3, 4, 5], maxTokens: 20, line, sampling: { seed, temperature, topP } });
      const driver = () => experts(random(script, { alike }), topK);
      const wanted = await askBoth(asked, { driver: driver(), proposal });
      const { events } = await driveAnswer(driver(), { request: asked, options: { ...options, proposal } });
      const tokens = events.filter((event) => event.type === 'token');
      const end = events.find((event) => event.type === 'end')!;
      const { safety = 0, helpfulness = 0, layers = 0 } = end.ran;
      const beside = helpfulness + layers;

      expect(tokens.map(({ id }) => id)).toEqual(wanted.map(({ token }) => token));
      for (const [i, token] of tokens.entries()) {
        const step = wanted[i]!;
        expect(token).toMatchObject({ weight: step.weight, floor: step.floor, lp: told(step.logprob) });
        // What the helpfulness expert says is known for as long as it is asked, and from then on
        // not reported.
        if (helpfulness > i) expect(token.lp_h).toBe(told(step.logprobHelpful));
        else expect(token.lp_h).toBeNull();
        if (safety > 0) expect(token).toMatchObject({ lp_s: told(step.logprobSafety), spent: told(step.spent) });
        else expect(token).toMatchObject({ lp_s: null, spent: null });
      }
      expect([0, tokens.length]).toContain(safety);
      if (safety === 0) seen.helpful++;
      else if (beside === 0) seen.alone++;
      else if (beside < tokens.length) seen.stopped++;
      else seen.both++;
    }),
    { numRuns: 800 },
  );
  // Every saving was tried, and lines without any.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(5);
});

describe('what ran is reported', () => {
  const run = async (line: Partial<Line>, proposal = 0.4) => {
    const asked = request({ promptIds: [3, 4, 5], maxTokens: 20, line: { ...OPEN_LINE, ...line } });
    // Neither expert ever ends the answer.
    const script: Script = (source, ids) =>
      Array.from(random(5, { alike: false })(source, ids), (x, id) => (id === EOS ? -99 : x));
    const { events } = await driveAnswer(experts(script, null), { request: asked, options: { ...options, proposal } });
    return events.find((event) => event.type === 'end')!;
  };

  test.each<[string, Partial<Line>, object]>([
    ['both', {}, { safety: 20, helpfulness: 20 }],
    ['layers', { mode: 'layers' }, { safety: 20, layers: 20 }],
    ['a floor of 1', { floor: 1 }, { safety: 20 }],
    ['ceiling 0', { ceiling: 0 }, { helpfulness: 20 }],
  ])('%s', async (_, line, ran) => {
    expect((await run(line)).ran).toEqual(ran);
  });

  test('a budget stops the helpfulness expert once it is spent, and not before', async () => {
    const { ran, spent } = await run({ budget: 1.5 }, 0);
    expect(spent).toBe(1.5);
    expect(ran.safety).toBe(20);
    expect(ran.helpfulness).toBeGreaterThan(0);
    expect(ran.helpfulness).toBeLessThan(20);
  });

  test('a budget that is earned stops nobody while it is used up for now', async () => {
    expect((await run({ budget: 100, earned: { start: 0, rate: 0.05 } }, 0)).ran).toEqual({
      safety: 20,
      helpfulness: 20,
    });
  });
});

describe('where only the helpfulness expert is asked', () => {
  const asked = request({ promptIds: [3, 4, 5], maxTokens: 20, line: { ...OPEN_LINE, ceiling: 0 } });
  const failing =
    (fail: () => ArrayLike<number>): Script =>
    (source, ids) =>
      ids.length === 8 ? fail() : random(5, { alike: false })(source, ids);

  test.each<[string, () => ArrayLike<number>, object]>([
    ['a NaN', () => [Number.NaN], { name: 'GateError', code: 'helpful_row_unusable' }],
    ['a failed step', () => raise(), { code: 'expert_failed' }],
  ])('%s ends the answer with an error, because nothing is left to close on', async (_, fail, error) => {
    const driver = experts(failing(fail), null);
    await expect(driveAnswer(driver, { request: asked, options: { ...options, proposal: 0.4 } })).rejects.toMatchObject(
      error,
    );
  });

  test('the safety expert is never opened', async () => {
    const driver = experts(random(5, { alike: false }), null);
    const opened: Source[] = [];
    const open = driver.open.bind(driver);
    driver.open = (source) => {
      opened.push(source);
      return open(source);
    };
    await driveAnswer(driver, { request: asked, options: { ...options, proposal: 0.4 } });
    expect(opened).toEqual(['helpfulness']);
  });
});

const raise = (): never => {
  throw new Error('connection lost');
};
