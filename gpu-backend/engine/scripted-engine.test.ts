import { describe, expect, test } from 'vitest';
import type { Source, WeightBounds } from './experts.ts';
import type { Script } from './scripted-experts.ts';
import { collect, request, testEngine, until } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB, startScriptedEngine } from './testing/scripted-engine.ts';
import { allowedTokens, type MaskOf } from './token-mask.ts';

testEngine('scripted', {
  create: (limits = {}) => startScriptedEngine({ limits }),
  createWithoutRouters: () => startScriptedEngine({ modes: ['logits'] }),
});

/**
 * Breaks rows of the given kind from the fourth token of an answer on, if the prompt begins with
 * 66.
 */
const failing =
  (broken: Source, value: number): Script =>
  (source, ids) =>
    source === broken && ids[0] === 66 && ids.length >= 7 ? Array(SCRIPTED_VOCAB).fill(value) : babble(source, ids);

const bad = { promptIds: [66, 70, 71, 72] };

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a helpfulness row of %d closes the gate, and the safety expert goes on alone',
  async (value) => {
    const engine = await startScriptedEngine({ script: failing('helpfulness', value) });
    const { tokens } = await collect(engine.generate(request({ ...bad, maxTokens: 10 })));
    expect(tokens.map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1]);
    expect(tokens[3]!.lp_h).toBeNull();
    await engine.close();
  },
);

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a layers row of %d closes the gate, and the safety expert goes on alone as it would have',
  async (value) => {
    const engine = await startScriptedEngine({ script: failing('layers', value) });
    const { tokens } = await collect(engine.generate(request({ ...bad, maxTokens: 10, line: { mode: 'layers' } })));
    expect(tokens.map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1]);
    await engine.close();
  },
);

test.each([Number.NaN, -0.5, 1.5])(
  'a layers router that says %d closes the gate or is held within the line',
  async (wish) => {
    const engine = await startScriptedEngine({ alpha: () => wish });
    const line = { mode: 'layers', floor: 0.3, ceiling: 0.6 } as const;
    const { tokens } = await collect(engine.generate(request({ line, maxTokens: 5 })));
    const weight = Number.isNaN(wish) ? 1 : wish < 0 ? 0.3 : 0.6;
    expect(tokens.map((token) => token.weight)).toEqual(Array(5).fill(weight));
    await engine.close();
  },
);

test('a layers row is read under the bounds of the token to be drawn: raised in the opening, then lower', async () => {
  const seen: WeightBounds[] = [];
  const script: Script = (source, ids, bounds) => {
    if (source === 'layers') seen.push(bounds!);
    return babble(source, ids);
  };
  const engine = await startScriptedEngine({ script, alpha: () => 0 });
  const line = { mode: 'layers', floor: 0.1, ceiling: 0.5, opening: { tokens: 2, floor: 0.8 } } as const;
  const { tokens } = await collect(engine.generate(request({ line, maxTokens: 4 })));
  // The prompt is read under the bounds of the first token. A floor above the ceiling wins.
  const opening = { floor: 0.8, ceiling: 0.8 };
  const later = { floor: 0.1, ceiling: 0.5 };
  expect(seen).toEqual([opening, opening, later, later]);
  expect(tokens.map(({ weight, floor }) => [weight, floor])).toEqual([
    [0.8, 0.8],
    [0.8, 0.8],
    [0.1, 0.1],
    [0.1, 0.1],
  ]);
  await engine.close();
});

test('closing an engine does not wait until a long prompt is read, and its request ends with an error', async () => {
  let runs = 0;
  const engine = await startScriptedEngine({ stepMs: 2, limits: { maxPrefillTokens: 4 }, onRun: () => runs++ });
  const answer = engine.generate(request({ promptIds: Array(90).fill(70) }));
  expect((await answer.next()).value).toMatchObject({ type: 'start' });
  await until(() => runs > 0);
  const before = runs;
  await engine.close();
  expect(runs - before).toBeLessThanOrEqual(2);
  await expect(answer.next()).rejects.toMatchObject({ code: 'backend_unavailable' });
});

describe('a logits router', () => {
  const hidden = (source: Source, ids: readonly number[]) => [source === 'safety' ? ids.length : 100, ids[0]!];

  test('proposes each token’s weight from both rows’ hidden states, within the line’s bounds', async () => {
    const proposal = ([length]: Float32Array, [hundred, first]: Float32Array) => {
      expect([hundred, first]).toEqual([100, 7]);
      return length! / 10;
    };
    const engine = await startScriptedEngine({ hidden, proposal });
    const line = { floor: 0.5, ceiling: 0.7 };
    const { tokens } = await collect(engine.generate(request({ maxTokens: 5, line })));
    // The prompt has four tokens, so proposals go 0.4, 0.5, ...
    expect(tokens.map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.6, 0.7, 0.7]);
    await engine.close();
  });

  test('that says NaN closes the gate', async () => {
    const engine = await startScriptedEngine({ hidden, proposal: () => Number.NaN });
    const { tokens } = await collect(engine.generate(request({ maxTokens: 3, line: { ceiling: 0.5 } })));
    expect(tokens.map(({ weight }) => weight)).toEqual([1, 1, 1]);
    await engine.close();
  });

  test('is not asked if no helpfulness expert runs', async () => {
    const proposal = () => {
      throw new Error('asked');
    };
    const engine = await startScriptedEngine({ hidden, proposal });
    const lines = [{ action: 'safety_only' }, { mode: 'layers' }] as const;
    for (const line of lines) {
      expect((await collect(engine.generate(request({ maxTokens: 3, line })))).tokens).toHaveLength(3);
    }
    await engine.close();
  });
});

test('a broken safety row ends its own answer with expert_failed and frees its rows, and affects no other answer', async () => {
  const engine = await startScriptedEngine({ script: failing('safety', Number.NaN) });
  const seen: string[] = [];
  const broken = (async () => {
    for await (const event of engine.generate(request(bad))) seen.push(event.type);
  })();
  const other = collect(engine.generate(request()));
  await expect(broken).rejects.toMatchObject({ code: 'expert_failed' });
  expect(seen).toEqual(['start', 'token', 'token', 'token']);
  expect((await other).tokens).toHaveLength(30);
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  await engine.close();
});

test('a run that throws ends the answers in it with expert_failed, and the engine goes on', async () => {
  let calls = 0;
  const script: Script = (expert, ids) => {
    if (++calls === 9) throw new Error('out of memory');
    return babble(expert, ids);
  };
  const engine = await startScriptedEngine({ script });
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({
    code: 'expert_failed',
    message: 'The model failed to run.',
    cause: expect.stringContaining('out of memory'),
  });
  expect((await collect(engine.generate(request()))).tokens).toHaveLength(30);
  await engine.close();
});

test('an answer never shows half a character and never holds back a whole one', async () => {
  const bytes = [...new TextEncoder().encode('a€b😀'), 0];
  const script: Script = (_, ids) => {
    const logits = Array(SCRIPTED_VOCAB).fill(-50);
    logits[bytes[ids.length - 1]!] = 50;
    return logits;
  };
  const engine = await startScriptedEngine({ script });
  const { tokens, text, end } = await collect(engine.generate(request({ promptIds: [7] })));
  expect(tokens.map((token) => token.text)).toEqual(['a', '', '', '€', 'b', '', '', '', '😀', '']);
  expect(text).toBe('a€b😀');
  expect(end.finish_reason).toBe('stop');
  const cut = await collect(engine.generate(request({ promptIds: [7], maxTokens: 3 })));
  expect(cut.text).toBe('a');
  await engine.close();
});

describe('an engine whose experts give truncated rows', () => {
  test('says so, offers only the mode that can use them, and draws only from the safety expert’s k tokens', async () => {
    const engine = await startScriptedEngine({ topK: 3 });
    expect(engine.info).toMatchObject({ topK: 3, modes: ['logits'] });
    const { tokens, end } = await collect(engine.generate(request({ line: { budget: 5 } })));
    let ids = request().promptIds;
    for (const { id, spent } of tokens) {
      const likeliest = Array.from(babble('safety', ids))
        .map((logit, token) => ({ logit, token }))
        .sort((a, b) => b.logit - a.logit);
      expect(likeliest.slice(0, 3).map(({ token }) => token)).toContain(id);
      expect(spent).toBeLessThanOrEqual(5);
      ids = [...ids, id];
    }
    expect(end.usage.completion_tokens).toBe(tokens.length);
    await engine.close();
  });

  test('with k = V, draws the same tokens as from whole rows', async () => {
    const [whole, truncated] = [await startScriptedEngine(), await startScriptedEngine({ topK: SCRIPTED_VOCAB })];
    expect(whole.info.topK).toBeNull();
    for (const seed of [1, 2, 3]) {
      const asked = { sampling: { seed }, line: { floor: 0.3, budget: 4 } };
      const [a, b] = [await collect(whole.generate(request(asked))), await collect(truncated.generate(request(asked)))];
      expect(b.ids).toEqual(a.ids);
      expect(b.end.spent).toBeCloseTo(a.end.spent!, 9);
    }
    await Promise.all([whole.close(), truncated.close()]);
  });
});

test('an engine can be given masks of its own, each made of what crossed to it: the request', async () => {
  const only = (allowedIds: readonly number[]) => allowedTokens(request({ sampling: { allowedIds } }))!.allowed();
  // Pairs of the same letter, from those that the request names.
  const maskOf: MaskOf = ({ sampling: { allowedIds } }) => {
    let letter: number | null = null;
    return {
      allowed: () => only(letter === null ? allowedIds! : [letter]),
      accept: (id) => {
        letter = letter === null ? id : null;
      },
    };
  };
  const engine = await startScriptedEngine({ maskOf });
  const asked = (allowedIds: number[]) => request({ maxTokens: 8, sampling: { allowedIds } });
  const answers = await Promise.all(
    [
      [97, 98, 99],
      [120, 121],
    ].map(async (ids) => (await collect(engine.generate(asked(ids)))).ids),
  );
  for (const [i, from] of [/[abc]/, /[xy]/].entries()) {
    const letters = String.fromCharCode(...answers[i]!);
    expect(letters).toMatch(/^((.)\2){4}$/);
    expect(letters).toMatch(from);
  }
  await engine.close();
});
