/**
 * Backends that are dead, slow, wrong or dishonest, and what the client gets, whole and streamed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import type { Behaviour } from '../testing/behaviours.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;

beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2 });
});
afterAll(() => under.dispose());
beforeEach(async () => {
  for (const backend of under.backends) {
    backend.behaviour = 'answer';
    backend.drops = 0;
    backend.seen.length = 0;
  }
  // Waits until a backend that the previous test broke has been tried again and is trusted.
  for (let prompt = 0; new Set(await homesOf(prompt, prompt + 8)).size < 2; prompt += 8);
  for (const backend of under.backends) backend.seen.length = 0;
});

const homesOf = (from: number, to: number) =>
  Promise.all(Array.from({ length: to - from }, async (_, index) => (await homeOf(`Prompt ${from + index}`)).name));

/** The backend that a prompt belongs to. */
async function homeOf(prompt: string): Promise<ScriptedBackend> {
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
  const { plimsoll } = (await answer.json()) as { plimsoll: { backend: string } };
  return under.backends.find(({ name }) => name === plimsoll.backend) as ScriptedBackend;
}

function allBehave(behaviour: Behaviour): void {
  for (const backend of under.backends) backend.behaviour = behaviour;
}

const errorOf = async (answer: Response) => ((await answer.json()) as ErrorBody).error;

describe('the choice of a backend', () => {
  test('keeps a conversation on one backend and spreads prompts', async () => {
    const homes = new Set<string>();
    // One of two homes for all of them is a chance of 2^-31.
    for (let prompt = 0; prompt < 32; prompt++) homes.add((await homeOf(`Prompt ${prompt}`)).name);
    expect(homes.size).toBe(2);

    const home = await homeOf('A conversation');
    home.seen.length = 0;
    await post(under.edge, '/v1/chat/completions', {
      model: 'scripted',
      messages: [
        { role: 'user', content: 'A conversation' },
        { role: 'assistant', content: 'Yes?' },
        { role: 'user', content: 'It goes on.' },
      ],
    });
    expect(home.seen).toHaveLength(1);
  });
});

describe('asks another backend before the first frame', () => {
  test.each<Behaviour>([
    'die-before-start',
    'never-start',
    'error-first',
    'start-as-another-model',
    'refuse-overloaded',
    'refuse-as-a-proxy-would',
  ])('%s', async (behaviour) => {
    const prompt = `Failover from ${behaviour}`;
    const home = await homeOf(prompt);
    home.behaviour = behaviour;
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask(prompt), seed: 7 });
    expect(answer.status).toBe(200);
    const { plimsoll } = (await answer.json()) as { plimsoll: { backend: string } };
    expect(plimsoll.backend).not.toBe(home.name);
    // Each attempt carries its own directive for the same line.
    const directives = under.backends.flatMap(({ seen }) => seen.slice(-1).map(({ directive }) => directive));
    expect(directives[0]?.line).toEqual(directives[1]?.line);
    if (directives.length === 2) expect(directives[0]?.id).not.toBe(directives[1]?.id);
    expect(under.log.join('\n')).toContain('backend-attempt-failed');
  });

  test.each<[Behaviour, number, string, string | null]>([
    ['die-before-start', 503, 'backend_unavailable', '1'],
    ['refuse-overloaded', 503, 'overloaded', '7'],
    ['error-first', 500, 'expert_failed', null],
    ['refuse-directive', 500, 'internal_error', null],
  ])('if all backends %s, the client gets %i', async (behaviour, status, code, retryAfter) => {
    allBehave(behaviour);
    for (const stream of [false, true]) {
      const answer = await post(under.edge, '/v1/chat/completions', { ...ask('To all'), stream });
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([status, retryAfter]);
      expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
      expect(await errorOf(answer)).toMatchObject({ code, type: 'server_error' });
    }
  });

  test.each<[Behaviour, 'warn' | 'error']>([
    ['refuse-overloaded', 'warn'],
    ['die-before-start', 'error'],
    ['error-first', 'error'],
  ])(
    'if all backends %s, the log has a short line for each backend that broke and one for the request',
    async (behaviour, level) => {
      allBehave(behaviour);
      const before = under.log.length;
      const answer = await post(under.edge, '/v1/chat/completions', ask('To the log'));
      await answer.body?.cancel();
      const lines = under.log.slice(before).map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.map(({ event }) => event)).toEqual(
        behaviour === 'refuse-overloaded' ? ['request-failed'] : ['backend-attempt-failed', 'request-failed'],
      );
      expect(new Set(lines.map(({ level }) => level))).toEqual(new Set([level]));
      expect(JSON.stringify(lines)).not.toMatch(/stack|worker\.js/);
      expect(JSON.stringify(lines).length).toBeLessThan(600 * lines.length);
    },
  );

  test('does not blame the client if a backend rejects the directive, and does not try another', async () => {
    allBehave('refuse-directive');
    const answer = await post(under.edge, '/v1/chat/completions', ask('Doubt'));
    expect((await errorOf(answer)).message).not.toMatch(/directive/i);
    expect(under.backends.map(({ seen }) => seen.length).sort()).toEqual([0, 1]);
  });
});

test('the fingerprint names the weights that answered, not those of a moment ago', async () => {
  const fingerprint = async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Which weights?'), seed: 1 });
    return ((await answer.json()) as { system_fingerprint: string }).system_fingerprint;
  };
  const before = await fingerprint();
  for (const backend of under.backends) backend.bundle = 'b2';
  const after = await fingerprint();
  for (const backend of under.backends) backend.bundle = 'b1';
  expect(after).not.toBe(before);
  expect(await fingerprint()).toBe(before);
});

describe('a backend that says nothing', () => {
  const receiptOf = async (answer: Response) => {
    const { plimsoll } = (await answer.json()) as { plimsoll: { receipt: string } };
    return verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
  };

  test.each<Behaviour>(['never-start', 'hang'])(
    '%s: a second one is asked as well, and the next requests skip the first',
    async (behaviour) => {
      const prompt = `Beside one that will ${behaviour}`;
      const home = await homeOf(prompt);
      const other = under.backends.find((backend) => backend !== home) as ScriptedBackend;
      home.behaviour = behaviour;
      home.seen.length = 0;
      other.seen.length = 0;
      const aborted = home.aborted;
      const receipt = await receiptOf(await post(under.edge, '/v1/chat/completions', ask(prompt)));
      expect(receipt.backend).toBe(other.name);
      expect(receipt.directive).toBe(other.seen[0]?.directive.id);
      expect(receipt.directive).not.toBe(home.seen[0]?.directive.id);
      if (behaviour === 'never-start') {
        await eventually(
          () => home.aborted,
          (now) => now === aborted + 1,
        );
      }
      home.seen.length = 0;
      await Promise.all(Array.from({ length: 6 }, () => post(under.edge, '/v1/chat/completions', ask(prompt))));
      // One of them may be the trial that finds out whether it is back.
      expect(home.seen.length).toBeLessThanOrEqual(1);
    },
  );

  test('gets requests again once it is well', async () => {
    const prompt = 'There and back';
    const home = await homeOf(prompt);
    home.behaviour = 'never-start';
    await post(under.edge, '/v1/chat/completions', ask(prompt));
    home.behaviour = 'answer';
    let back = '';
    while (back !== home.name) back = (await homeOf(prompt)).name;
  });

  test('keeps the request once it reports a wait, and the client does not see the wait', async () => {
    const prompt = 'In a queue';
    const home = await homeOf(prompt);
    const other = under.backends.find((backend) => backend !== home) as ScriptedBackend;
    home.behaviour = 'wait-first';
    other.seen.length = 0;
    const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
    expect(await answer.json()).toMatchObject({ object: 'chat.completion', plimsoll: { backend: home.name } });
    expect(other.seen).toHaveLength(0);
  });
});

test('a prompt may take longer to read than a backend may be silent, as long as it goes on', async () => {
  const prompt = 'Very long';
  const home = await homeOf(prompt);
  home.behaviour = 'read-first';
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
  expect(await answer.json()).toMatchObject({ object: 'chat.completion', plimsoll: { backend: home.name } });
});

describe('a kept-alive connection that the backend has closed', () => {
  test('costs only a second try at the same backend', async () => {
    const prompt = 'Over an old connection';
    const home = await homeOf(prompt);
    home.drops = 1;
    expect(await homeOf(prompt)).toBe(home);
    expect(home.drops).toBe(0);
  });

  test('does not cause a 503, even if both backends close theirs', async () => {
    const prompt = 'Over two old connections';
    for (const backend of under.backends) backend.drops = 1;
    const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
    expect(answer.status).toBe(200);
    expect(under.backends.map(({ drops }) => drops).sort()).toEqual([0, 1]);
  });
});

describe('an answer that breaks', () => {
  test.each<[Behaviour, string]>([
    ['die-for-good-midway', 'backend_unavailable'],
    ['end-without-receipt', 'backend_unavailable'],
    ['go-on-after-end', 'backend_unavailable'],
    ['forge-receipt', 'receipt_invalid'],
    ['replay-receipt', 'receipt_invalid'],
    ['say-other-words', 'receipt_invalid'],
    ['cross-the-floor', 'receipt_invalid'],
    ['leave-safety-out', 'receipt_invalid'],
    ['sign-other-runs', 'receipt_invalid'],
    ['find-more-than-asked', 'receipt_invalid'],
    ['overspend', 'receipt_invalid'],
    ['sign-as-another', 'receipt_invalid'],
    ['sign-another-bundle', 'receipt_invalid'],
    ['sign-another-model', 'receipt_invalid'],
    ['sign-other-draws', 'receipt_invalid'],
    ['sign-another-end', 'receipt_invalid'],
    ['sign-other-usage', 'receipt_invalid'],
    ['sign-no-tokens', 'receipt_invalid'],
    ['sign-odd-weights', 'receipt_invalid'],
    ['sign-less-spent', 'receipt_invalid'],
    ['sign-another-limit', 'receipt_invalid'],
    ['sign-another-line', 'receipt_invalid'],
  ])('%s: the stream ends with an error and no [DONE], and the whole answer is an error', async (behaviour, code) => {
    // These requests produce the receipt that is replayed.
    for (const prompt of ['A', 'B', 'C', 'D']) await homeOf(prompt);
    allBehave(behaviour);
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Break'), stream: true });
    expect(answer.status).toBe(200);
    const events = (await answer.text()).trimEnd().split('\n\n');
    expect(events.join()).toContain('The answer to');
    expect(JSON.parse(events.at(-1)?.replace('data: ', '') ?? '')).toMatchObject({
      error: { code, type: 'server_error', param: null, message: expect.stringMatching(/\w/) },
    });
    expect(events.join()).not.toMatch(/\[DONE\]|"finish_reason":"|"receipt"/);

    allBehave(behaviour);
    const whole = await post(under.edge, '/v1/chat/completions', ask('Break'));
    // While we look for another backend, white space is sent, and the status with it.
    expect(whole.status).toBeGreaterThanOrEqual(behaviour === 'die-for-good-midway' ? 200 : 500);
    expect(await errorOf(whole)).toMatchObject({ code });
  });

  test('throws an exception in the openai client', async () => {
    allBehave('die-for-good-midway');
    const stream = await openaiClient(under.edge).chat.completions.create({ ...ask('Break'), stream: true });
    const read = async () => {
      for await (const _chunk of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'backend_unavailable' });
  });
});

// This test is last, because it closes the backends.
test('answers 503 with Retry-After if every backend is dead, and health says so', async () => {
  await Promise.all(under.backends.map((backend) => backend.close()));
  for (let attempt = 0; attempt < 2; attempt++) {
    const answer = await post(under.edge, '/v1/chat/completions', ask('Anyone?'));
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await errorOf(answer)).toMatchObject({ code: 'backend_unavailable', type: 'server_error', param: null });
  }
  const health = await fetch(`${under.edge.url}/healthz`);
  expect(await health.json()).toEqual({ status: 'no_backend', backends: { alive: 0, total: 2 } });
  const call = openaiClient(under.edge).chat.completions.create({ ...ask('Anyone?'), stream: true });
  await expect(call).rejects.toMatchObject({ status: 503, code: 'backend_unavailable' });
});
