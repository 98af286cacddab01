/**
 * What every engine must do. The scripted engine and the onnxruntime engine both run this suite.
 * `create` makes an engine with both modes and a context of 96 tokens, whose answers to `PROMPTS`
 * go on for at least 30 tokens at temperature 1 for most seeds. `createWithoutRouters` makes one
 * that offers only `logits` mode.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import { BACKEND_MODES, type Line, OPEN_LINE } from '#shared/line/line.ts';
import type { EndFrame, TokenFrame } from '#shared/protocol/generate.ts';
import type { Engine, EngineEvent, EngineLimits, EngineRequest } from '../engine.ts';

/** A fresh request. Everything not given is as plain as possible. */
export function request({
  line,
  sampling,
  ...rest
}: Partial<Omit<EngineRequest, 'line' | 'sampling'>> & {
  line?: Partial<Line>;
  sampling?: { seed?: number } & Partial<Omit<EngineRequest['sampling'], 'key'>>;
} = {}): EngineRequest {
  const { seed = 1, ...shape } = sampling ?? {};
  return {
    tenant: 'acme',
    promptIds: [7, 70, 71, 72],
    maxTokens: 30,
    stop: [],
    sampling: { key: seedKey(seed), temperature: 1, topP: 1, ...shape },
    line: { ...OPEN_LINE, ...line },
    ...rest,
  };
}

export type Collected = {
  /** The number of requests ahead, each time this one was told to wait. */
  ahead: number[];
  promptTokens: number;
  tokens: TokenFrame[];
  ids: number[];
  /** All the text that a client would have seen. */
  text: string;
  end: Omit<EndFrame, 'receipt'>;
};

export async function collect(events: AsyncIterable<EngineEvent>): Promise<Collected> {
  const all: EngineEvent[] = [];
  for await (const event of events) all.push(event);
  const begins = all.findIndex(({ type }) => type !== 'waiting');
  const ahead = all.slice(0, begins).map((event) => (event.type === 'waiting' ? event.ahead : Number.NaN));
  const start = all[begins];
  const end = all.at(-1);
  if (start?.type !== 'start' || end?.type !== 'end') throw new Error('an answer begins with start and ends with end');
  const tokens = all.filter((event) => event.type === 'token');
  const text = all.map((event) => ('text' in event ? event.text : '')).join('');
  return { ahead, promptTokens: start.prompt_tokens, tokens, ids: tokens.map((token) => token.id), text, end };
}

/** The timeout is only for hangs: a busy machine may take long. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 600_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const PROMPTS = [[7], [7, 70, 71, 72, 73, 74, 75, 76, 77], [7, 80, 81], Array.from({ length: 40 }, (_, i) => 60 + i)];

export function testEngine(
  name: string,
  {
    create,
    createWithoutRouters,
  }: { create: (limits?: Partial<EngineLimits>) => Promise<Engine>; createWithoutRouters: () => Promise<Engine> },
): void {
  describe(`the contract of an engine: ${name}`, () => {
    // Starting an engine costs more than most tests here, so they share this one. The few tests
    // that limit or close their engine start their own.
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());

    test('counts the tokens it was given and the tokens it drew', async () => {
      const { promptTokens, tokens, end } = await collect(engine.generate(request({ maxTokens: 5 })));
      expect(promptTokens).toBe(4);
      expect(tokens).toHaveLength(end.usage.completion_tokens);
      expect(end.usage.total_tokens).toBe(4 + tokens.length);
      expect(end.usage.completion_tokens).toBeLessThanOrEqual(5);
    });

    test.each(BACKEND_MODES)(
      'gives the same answer for the same seed and another one for another seed, mode %s',
      async (mode) => {
        const answer = async (seed: number) =>
          (await collect(engine.generate(request({ sampling: { seed }, line: { mode } })))).tokens;
        expect(await answer(1)).toEqual(await answer(1));
        expect(await answer(1)).not.toEqual(await answer(2));
      },
    );

    test('gives each of several requests the tokens it gets alone, whatever joins and leaves', async () => {
      const requests = PROMPTS.flatMap((promptIds, i) =>
        [3, 9, 30, 12].map((maxTokens, j) => {
          const floor = 0.1 * i;
          const opening = { tokens: 4, floor: 0.5 };
          const lines: Partial<Line>[] = [{ floor }, { action: 'safety_only' }, { mode: 'layers', floor, opening }];
          return request({ promptIds, maxTokens, sampling: { seed: 10 * i + j }, line: lines[j % 3]! });
        }),
      );
      const alone: number[][] = [];
      for (const one of requests) alone.push((await collect(engine.generate(one))).ids);
      const together = await Promise.all(requests.map((one) => collect(engine.generate(one))));
      expect(together.map(({ ids }) => ids)).toEqual(alone);
      await until(() => engine.stats().rows === 0);
    });

    test.each(BACKEND_MODES)(
      'keeps every weight at or above the floor and spending within the budget, mode %s',
      async (mode) => {
        const line: Partial<Line> = { mode, floor: 0.6, opening: { tokens: 3, floor: 0.9 }, budget: 1.5 };
        for (const seed of [1, 2, 3]) {
          const { tokens, end } = await collect(engine.generate(request({ line, sampling: { seed } })));
          tokens.forEach((token, i) => {
            expect(token.floor).toBe(i < 3 ? 0.9 : 0.6);
            expect(token.weight).toBeGreaterThanOrEqual(token.floor);
            expect(token.spent).toBeLessThanOrEqual(1.5);
          });
          expect(end.spent).toBe(tokens.at(-1)!.spent);
          expect(end.weights.min).toBe(Math.min(...tokens.map((token) => token.weight)));
        }
      },
    );

    test.each(BACKEND_MODES)(
      'gives several answers to one request, each as its own key draws it alone, mode %s',
      async (mode) => {
        const single = [1, 2, 3].map((seed) => request({ line: { mode, floor: 0.2, budget: 3 }, sampling: { seed } }));
        const alone: Collected[] = [];
        for (const one of single) alone.push(await collect(engine.generate(one)));
        const [first, ...others] = single;
        const moreKeys = others.map(({ sampling: { key } }) => key);
        const events: EngineEvent[] = [];
        for await (const event of engine.generate({ ...first!, moreKeys })) events.push(event);
        for (const [choice, { ids, end }] of alone.entries()) {
          const own = events.filter((event) => ('choice' in event ? (event.choice ?? 0) : 0) === choice);
          expect(own.flatMap((event) => (event.type === 'token' ? [event.id] : []))).toEqual(ids);
          const { finish_reason, usage } = end;
          expect(own.find((event) => event.type === 'end')).toMatchObject({ finish_reason, usage });
        }
        const drawn = alone.reduce((sum, { ids }) => sum + ids.length, 0);
        expect(events.at(-1)).toMatchObject({ type: 'end', total: { prompt_tokens: 4, completion_tokens: drawn } });
        await until(() => engine.stats().rows === 0);
      },
    );

    test('safety_only takes one row at weight 1, and draws what a floor of 1 draws', async () => {
      const seen = { rows: 0 };
      const only = engine.generate(request({ line: { action: 'safety_only' } }));
      const alone = await collect(
        (async function* () {
          for await (const event of only) {
            seen.rows = Math.max(seen.rows, engine.stats().rows);
            yield event;
          }
        })(),
      );
      const floored = await collect(engine.generate(request({ line: { floor: 1 } })));
      expect(seen.rows).toBe(1);
      expect(alone.end.weights).toEqual({ min: 1, mean: 1, max: 1 });
      expect(alone.ids).toEqual(floored.ids);
    });

    test.each(BACKEND_MODES)(
      'draws what the safety expert draws at a floor of 1 and at a budget of 0, mode %s',
      async (mode) => {
        const safety = await collect(engine.generate(request({ line: { action: 'safety_only' } })));
        const floored = await collect(engine.generate(request({ line: { mode, floor: 1 } })));
        const broke = await collect(engine.generate(request({ line: { mode, budget: 0 } })));
        expect(floored.ids).toEqual(safety.ids);
        expect(floored.end.weights).toEqual({ min: 1, mean: 1, max: 1 });
        expect(broke.ids).toEqual(safety.ids);
        expect(broke.end.spent).toBe(0);
      },
    );

    test('in layers mode, runs the layers row with the safety expert and does not ask the helpfulness expert', async () => {
      const rows: number[] = [];
      const tokens: TokenFrame[] = [];
      for await (const event of engine.generate(request({ line: { mode: 'layers', floor: 0.2, ceiling: 0.7 } }))) {
        rows.push(engine.stats().rows);
        if (event.type === 'token') tokens.push(event);
      }
      expect(Math.max(...rows)).toBe(2);
      for (const { weight, lp_s, lp_h } of tokens) {
        expect(weight).toBeGreaterThanOrEqual(0.2);
        expect(weight).toBeLessThanOrEqual(0.7);
        expect(lp_s).toBeLessThan(0);
        expect(lp_h).toBeNull();
      }
    });

    test('the modes give different answers, and the line decides which', async () => {
      const answer = async (line: Partial<Line>) => (await collect(engine.generate(request({ line })))).ids;
      expect(await answer({ mode: 'layers' })).not.toEqual(await answer({ mode: 'logits' }));
    });

    test('without a layers router, refuses layers mode by name before any work', async () => {
      expect(engine.info.modes).toEqual(['logits', 'layers']);
      const without = await createWithoutRouters();
      expect(without.info.modes).toEqual(['logits']);
      await expect(collect(without.generate(request({ line: { mode: 'layers' } })))).rejects.toMatchObject({
        status: 400,
        param: 'plimsoll.mode',
        message: expect.stringContaining('no layers router'),
      });
      expect(without.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
      expect((await collect(without.generate(request()))).ids).not.toEqual([]);
      await without.close();
    });

    test.each(BACKEND_MODES)('is greedy at temperature 0, whatever the seed, mode %s', async (mode) => {
      const greedy = (seed: number) =>
        collect(engine.generate(request({ sampling: { seed, temperature: 0 }, line: { mode } })));
      expect((await greedy(1)).ids).toEqual((await greedy(2)).ids);
    });

    test('ends with length at max_tokens, or at the end of the context', async () => {
      const ends: string[] = [];
      for (let seed = 0; seed < 8; seed++) {
        const { end, tokens } = await collect(engine.generate(request({ maxTokens: 7, sampling: { seed } })));
        ends.push(end.finish_reason);
        if (end.finish_reason === 'length') expect(tokens).toHaveLength(7);
      }
      expect(ends).toContain('length');

      const promptIds = Array.from({ length: 90 }, () => 70);
      for (const maxTokens of [null, 1000]) {
        const { end } = await collect(engine.generate(request({ promptIds, maxTokens })));
        expect(end.usage.total_tokens).toBeLessThanOrEqual(engine.info.contextLength);
      }
    });

    test('ends before a stop string, wherever tokens cut it, and sends no part of it', async () => {
      const whole = await collect(engine.generate(request()));
      for (const [from, to] of [
        [5, 8],
        [9, 10],
        [12, 18],
      ] as const) {
        const stop = whole.text.slice(from, to);
        const stopped = await collect(engine.generate(request({ stop: ['never in the text', stop] })));
        expect(stopped.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
        expect(stopped.end.finish_reason).toBe('stop');
        expect(stopped.ids.length).toBeLessThan(whole.ids.length);
      }
    });

    test('sends the text it held back for a stop string that never came', async () => {
      const whole = await collect(engine.generate(request()));
      const stop = `${whole.text.slice(-3)}and more`;
      expect((await collect(engine.generate(request({ stop: [stop] })))).text).toBe(whole.text);
    });

    test('refuses a prompt that fills the context, naming both numbers, before any work', async () => {
      const promptIds = Array.from({ length: 96 }, () => 70);
      await expect(collect(engine.generate(request({ promptIds })))).rejects.toMatchObject({
        code: 'context_length_exceeded',
        message: expect.stringMatching(/96 tokens.*96 tokens/),
      });
      expect(engine.stats().rows).toBe(0);
    });

    test('frees an answer’s rows when its reader leaves or aborts, and goes on with the others', async () => {
      const long = { maxTokens: null, sampling: { seed: 4 } };
      const expected = await collect(engine.generate(request({ maxTokens: 20 })));
      const abort = new AbortController();
      const reading = (async () => {
        for await (const event of engine.generate(request(long), { signal: abort.signal })) {
          if (event.type === 'token') abort.abort(new Error('the client left'));
        }
      })();
      const leaving = (async () => {
        for await (const event of engine.generate(request(long))) if (event.type === 'token') break;
      })();
      const other = collect(engine.generate(request({ maxTokens: 20 })));
      await expect(reading).rejects.toThrow('the client left');
      await leaving;
      expect((await other).ids).toEqual(expected.ids);
      await until(() => engine.stats().rows === 0 && engine.stats().running === 0);
    });

    test('lets requests wait for rows, and turns away those beyond the limit', async () => {
      const engine = await create({ maxRows: 2, maxWaiting: 3 });
      const first = engine.generate(request({ maxTokens: null }));
      await first.next();
      await until(() => engine.stats().running === 1);
      const more = await Promise.allSettled(
        [1, 2, 3, 4, 5].map((seed) => collect(engine.generate(request({ maxTokens: 2, sampling: { seed } })))),
      );
      for await (const _ of first);
      const refused = more.filter((result) => result.status === 'rejected');
      expect(refused.length).toBeGreaterThanOrEqual(1);
      expect(more.filter((result) => result.status === 'fulfilled').length).toBeGreaterThanOrEqual(3);
      for (const { reason } of refused) {
        expect(reason).toMatchObject({ code: 'overloaded', status: 503 });
        expect(reason.retryAfterSeconds).toBeGreaterThanOrEqual(1);
        expect(reason.retryAfterSeconds).toBeLessThanOrEqual(60);
      }
      await engine.close();
    });

    test('tells a waiting request how many are ahead, and later that it has started', async () => {
      const engine = await create({ maxRows: 2 });
      const first = engine.generate(request({ maxTokens: null }));
      expect((await first.next()).value).toMatchObject({ type: 'start' });
      const waiting = [1, 2].map(() => engine.generate(request({ maxTokens: 2 })));
      // Nobody keeps reading the first answer here, so it has not ended when the others are told to
      // wait.
      const firstEvents = await Promise.all(waiting.map((events) => events.next()));
      expect(firstEvents.map(({ value }) => value)).toEqual([
        { type: 'waiting', ahead: 0 },
        { type: 'waiting', ahead: 1 },
      ]);
      await first.return();
      for (const events of waiting) expect((await collect(events)).tokens.length).toBeGreaterThan(0);
      await engine.close();
    });

    test('ends running answers with an error when it closes, and accepts no more', async () => {
      const engine = await create();
      const answer = engine.generate(request({ maxTokens: null }));
      await answer.next();
      await engine.close();
      await expect(collect(answer)).rejects.toMatchObject({ code: 'backend_unavailable' });
      await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
      expect(engine.alive).toBe(false);
    });
  });
}
