/** Runs that fail as a whole, in the middle of other requests' answers. */
import { describe, expect, test } from 'vitest';
import type { EngineRequest } from './engine.ts';
import type { Step } from './experts.ts';
import { ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 96,
};

const asked = [0, 1, 2, 3].map((seed) =>
  request({ promptIds: [7, 70 + seed, 71], maxTokens: 10, sampling: { seed }, tenant: `${seed}` }),
);
/** Joins last, so its sequences are the last two. */
const poison = request({ promptIds: [7, 66, 66, 66], maxTokens: 10 });

/** @param fails whether a run of these steps fails; runs count from 1 */
async function serve(fails: (steps: readonly Step[], run: number) => boolean, requests: readonly EngineRequest[]) {
  let run = 0;
  const experts = new ScriptedExperts(babble, {
    vocabSize: SCRIPTED_VOCAB,
    onRun: (steps) => {
      if (fails(steps, ++run)) throw new Error(`run ${run} failed`);
    },
  });
  const scheduled = schedule(experts, { ...options, limits: { maxPrefillTokens: 32 } });
  for (const [id, one] of requests.entries()) scheduled.scheduler.submit(id, one);
  await scheduled.run();
  expect(experts.openCount).toBe(0);
  return scheduled;
}

async function alone(one: EngineRequest) {
  return (await serve(() => false, [one])).of(0);
}

test('a run that was too large is made again, request by request, and no answer changes', async () => {
  let failures = 0;
  const { of, warnings } = await serve((steps) => steps.length > 4 && ++failures > 0, asked);
  expect(failures).toBeGreaterThan(5);
  for (const [id, one] of asked.entries()) expect(of(id)).toEqual(await alone(one));
  expect(warnings).toEqual([]);
});

describe('a request that breaks every run it is in', () => {
  test.each([
    ['while its prompt is read', 1, 0],
    ['in the middle of its answer', 5, 1],
  ])('fails alone, %s: the others go on as if it had not been there', async (_, from, least) => {
    const isPoison = ({ sequence }: Step) => sequence > 2 * asked.length;
    const { of, tokens } = await serve((steps, run) => run >= from && steps.some(isPoison), [...asked, poison]);
    const id = asked.length;
    expect(of(id).error).toMatchObject({ code: 'expert_failed', message: 'The model failed to run.' });
    expect(of(id).error!.cause).toMatchObject({ message: expect.stringMatching(/^run \d+ failed$/) });
    expect(tokens(id).length).toBeGreaterThanOrEqual(least);
    for (const [other, one] of asked.entries()) expect(of(other)).toEqual(await alone(one));
  });
});

test('experts that fail for good end every request, each with its own error', async () => {
  const { of, scheduler } = await serve((_, run) => run >= 4, asked);
  for (const id of asked.keys()) expect(of(id).error).toMatchObject({ code: 'expert_failed' });
  expect(scheduler.stats).toMatchObject({ running: 0, waiting: 0, rows: 0 });
});

test('a run with one request is not made again', async () => {
  let runs = 0;
  const { of } = await serve(
    (_, run) => {
      runs = run;
      return run === 3;
    },
    [asked[0]!],
  );
  expect(of(0).error).toMatchObject({ code: 'expert_failed' });
  expect(runs).toBe(3);
});
