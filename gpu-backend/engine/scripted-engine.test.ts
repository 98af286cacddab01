import { expect, test } from 'vitest';
import type { Script } from './scripted-rows.ts';
import { collect, request, testEngine } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB, startScriptedEngine } from './testing/scripted-engine.ts';

testEngine('scripted', { create: (limits = {}) => startScriptedEngine({ limits }) });

/** Breaks the given expert from the fourth token of an answer on, for prompts that begin with 66. */
const failing =
  (broken: 'safety' | 'helpfulness', value: number): Script =>
  (expert, ids) =>
    expert === broken && ids[0] === 66 && ids.length >= 7 ? Array(SCRIPTED_VOCAB).fill(value) : babble(expert, ids);

const bad = { promptIds: [66, 70, 71, 72] };

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a helpfulness row of %d closes the gate: the safety expert alone',
  async (value) => {
    const engine = await startScriptedEngine({ script: failing('helpfulness', value) });
    const { tokens } = await collect(engine.generate(request({ ...bad, maxTokens: 10 })));
    expect(tokens.map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1]);
    expect(tokens[3]!.lp_h).toBeNull();
    await engine.close();
  },
);

test('a broken safety row ends its own answer with expert_failed, frees its rows, and no other answer notices', async () => {
  const engine = await startScriptedEngine({ script: failing('safety', Number.NaN) });
  const seen: string[] = [];
  const broken = (async () => {
    for await (const event of engine.generate(request(bad))) seen.push(event.type);
  })();
  const other = collect(engine.generate(request()));
  await expect(broken).rejects.toMatchObject({ code: 'expert_failed' });
  expect(seen).toEqual(['start', 'token', 'token', 'token']);
  expect((await other).tokens).toHaveLength(30);
  expect(engine.stats()).toEqual({ running: 0, waiting: 0, rows: 0 });
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

test('an answer never shows half a character and never leaves one behind', async () => {
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
