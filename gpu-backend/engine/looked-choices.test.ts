/** Several answers to one prompt that is looked at once. */
import { describe, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import type { EngineEvent } from './engine.ts';
import { request } from './testing/engine-contract.ts';
import { ask, calm, experts, options, tokensOf, violent } from './testing/looked-answers.ts';
import { schedule } from './testing/schedule.ts';

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
