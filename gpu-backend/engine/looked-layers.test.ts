/** The second look in the mode `layers`, where it comes before the layers row reads anything. */
import { describe, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import type { Step } from './experts.ts';
import { ask, calm, drive, experts, RULES, violent } from './testing/looked-answers.ts';

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
