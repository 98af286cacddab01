import { expect, test } from 'vitest';
import { ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const EOS = 0;
const vocabulary = {
  eos: [EOS],
  banned: [1],
  bytesOf: (id: number) => (id <= 1 ? undefined : Uint8Array.of(id)),
};

async function eventsOf(text: string, changes: Parameters<typeof request>[0], dropsFirstSpace = false) {
  const experts = new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB });
  const options = { vocabulary: { ...vocabulary, dropsFirstSpace }, proposal: 0.5, contextLength: 96 };
  const { scheduler, of, run } = schedule(experts, options);
  scheduler.submit(1, request({ promptIds: [1, ...Buffer.from(text)], ...changes }));
  await run();
  return of(1).events;
}

test('an echo is the text of the client’s tokens, once, before any token', async () => {
  const rowPrompts = { safety: [...Buffer.from('a secret prompt')] };
  const events = await eventsOf('tea for 2 €', { echo: true, rowPrompts, moreKeys: [[1, 2, 3, 4]] });
  expect(events.slice(0, 2)).toEqual([
    { type: 'start', prompt_tokens: 14 },
    { type: 'echo', text: 'tea for 2 €' },
  ]);
  expect(events.filter(({ type }) => type === 'echo')).toHaveLength(1);
  const plain = await eventsOf('tea for 2 €', { rowPrompts, moreKeys: [[1, 2, 3, 4]] });
  expect(events.filter(({ type }) => type !== 'echo')).toEqual(plain);
});

test('echo and answer together are the text of all tokens, whatever the tokenizer puts in front', async () => {
  for (const dropsFirstSpace of [true, false]) {
    const events = await eventsOf(' tea', { echo: true, maxTokens: 10 }, dropsFirstSpace);
    const ids = events.flatMap((event) => (event.type === 'token' && event.id !== EOS ? [event.id] : []));
    const all = ` tea${Buffer.from(ids)}`;
    const said = events.map((event) => ('text' in event ? event.text : '')).join('');
    expect(said).toBe(dropsFirstSpace ? all.slice(1) : all);
  }
});
