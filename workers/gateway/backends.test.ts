/** Backends that are dead, slow, wrong or dishonest: what the client gets, whole and streamed. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { Behaviour, ScriptedBackend } from '../testing/scripted-backend.ts';

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
  // Until what the test before broke has been tried again, and is trusted.
  for (let prompt = 0; new Set(await homesOf(prompt, prompt + 8)).size < 2; prompt += 8);
  for (const backend of under.backends) backend.seen.length = 0;
});

const homesOf = (from: number, to: number) =>
  Promise.all(Array.from({ length: to - from }, async (_, index) => (await homeOf(`Prompt ${from + index}`)).name));

/** The backend a prompt belongs to. */
async function homeOf(prompt: string): Promise<ScriptedBackend> {
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
  const { plimsoll } = (await answer.json()) as { plimsoll: { backend: string } };
  return under.backends.find(({ name }) => name === plimsoll.backend) as ScriptedBackend;
}

function allBehave(behaviour: Behaviour): void {
  for (const backend of under.backends) backend.behaviour = behaviour;
}

const errorOf = async (answer: Response) => ((await answer.json()) as ErrorBody).error;

describe('which backend', () => {
  test('a prompt keeps to its backend, also as the conversation goes on, and prompts spread', async () => {
    const homes = new Set<string>();
    for (let prompt = 0; prompt < 8; prompt++) homes.add((await homeOf(`Prompt ${prompt}`)).name);
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

describe('before the first frame another backend is asked', () => {
  test.each<Behaviour>([
    'die-before-start',
    'never-start',
    'error-first',
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
    // Each attempt carries its own directive for the very same line.
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
  ])('and if all of them %s, the client gets %i', async (behaviour, status, code, retryAfter) => {
    allBehave(behaviour);
    for (const stream of [false, true]) {
      const answer = await post(under.edge, '/v1/chat/completions', { ...ask('To all'), stream });
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([status, retryAfter]);
      expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
      expect(await errorOf(answer)).toMatchObject({ code, type: 'server_error' });
    }
  });

  test("a backend's doubt about the directive is not told as the client's fault, and not tried elsewhere", async () => {
    allBehave('refuse-directive');
    const answer = await post(under.edge, '/v1/chat/completions', ask('Doubt'));
    expect((await errorOf(answer)).message).not.toMatch(/directive/i);
    expect(under.backends.map(({ seen }) => seen.length).sort()).toEqual([0, 1]);
  });
});

describe('a backend that says nothing', () => {
  const receiptOf = async (answer: Response) => {
    const { plimsoll } = (await answer.json()) as { plimsoll: { backend: string; receipt: string } };
    return { backend: plimsoll.backend, ...(await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks)) };
  };

  test.each<Behaviour>(['never-start', 'hang'])(
    '%s: a second one is asked beside it, and the next requests are spared',
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
      // One may be the one that tries whether it is back.
      expect(home.seen.length).toBeLessThanOrEqual(1);
    },
  );

  test('is asked again once it is well, by one request at a time', async () => {
    const prompt = 'There and back';
    const home = await homeOf(prompt);
    home.behaviour = 'never-start';
    await post(under.edge, '/v1/chat/completions', ask(prompt));
    home.behaviour = 'answer';
    let back = '';
    while (back !== home.name) back = (await homeOf(prompt)).name;
  });

  test('but that the request waits is let be, and the wait is not told to the client', async () => {
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

describe('a connection that was kept and is closed', () => {
  test('costs a second try at the same backend, no more', async () => {
    const prompt = 'Over an old connection';
    const home = await homeOf(prompt);
    home.drops = 1;
    expect(await homeOf(prompt)).toBe(home);
    expect(home.drops).toBe(0);
  });

  test('and is no reason for a 503 where there is one backend', async () => {
    const prompt = 'Over two old connections';
    for (const backend of under.backends) backend.drops = 1;
    const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
    expect(answer.status).toBe(200);
    expect(under.backends.map(({ drops }) => drops).sort()).toEqual([0, 1]);
  });
});

describe('an answer that breaks', () => {
  test.each<[Behaviour, string]>([
    ['die-midway', 'backend_unavailable'],
    ['stall-midway', 'backend_unavailable'],
    ['bad-frame-midway', 'backend_unavailable'],
    ['end-without-receipt', 'backend_unavailable'],
    ['go-on-after-end', 'backend_unavailable'],
    ['error-midway', 'expert_failed'],
    ['forge-receipt', 'receipt_invalid'],
    ['replay-receipt', 'receipt_invalid'],
    ['say-other-words', 'receipt_invalid'],
    ['cross-the-floor', 'receipt_invalid'],
    ['overspend', 'receipt_invalid'],
    ['sign-as-another', 'receipt_invalid'],
  ])('%s: the stream ends with an error and no [DONE], the whole answer is an error', async (behaviour, code) => {
    // The receipt that gets replayed.
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

    const whole = await post(under.edge, '/v1/chat/completions', ask('Break'));
    expect(whole.status).toBeGreaterThanOrEqual(500);
    expect(await errorOf(whole)).toMatchObject({ code });
  });

  test('is an exception in the openai client', async () => {
    allBehave('die-midway');
    const stream = await openaiClient(under.edge).chat.completions.create({ ...ask('Break'), stream: true });
    const read = async () => {
      for await (const _chunk of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'backend_unavailable' });
  });
});

// Last, because it takes the backends away.
test('with every backend dead the answer is 503 with Retry-After, and health says so', async () => {
  await Promise.all(under.backends.map((backend) => backend.close()));
  for (let attempt = 0; attempt < 2; attempt++) {
    const answer = await post(under.edge, '/v1/chat/completions', ask('Anyone?'));
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await errorOf(answer)).toMatchObject({ code: 'backend_unavailable', type: 'server_error', param: null });
  }
  const call = openaiClient(under.edge).chat.completions.create({ ...ask('Anyone?'), stream: true });
  await expect(call).rejects.toMatchObject({ status: 503, code: 'backend_unavailable' });
});
