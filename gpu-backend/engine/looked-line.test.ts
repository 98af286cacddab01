/** How a second look tightens an answer's line, and how it fails. */
import { describe, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { SignalRules } from '#shared/line/rules.ts';
import { checkRequest, termsOf } from './check-request.ts';
import { DEFAULT_LIMITS } from './engine.ts';
import { LookedLine } from './looked-line.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { ask, calm, drive, endOf, experts, options, probe, violence, violent } from './testing/looked-answers.ts';
import { schedule } from './testing/schedule.ts';

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

test('a line that has been looked at refuses another look, which could loosen it', () => {
  const line = new LookedLine(ask(violent), null);
  line.look([]);
  const { line: tight, report } = line;
  const found = { version: probe.version, categories: JUDGEMENTS.map((name) => ({ name, probability: 0 })) };
  expect(() => line.take(found)).toThrow(/looked at already/);
  expect(() => line.look([])).toThrow(/looked at already/);
  expect(line).toMatchObject({ line: tight, report });
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
